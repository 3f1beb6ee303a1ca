//! `subscriptions/listen`: the stateless era's stream.

use serde_json::json;
use testkit::mcp_client::ModernClient;

use super::world::*;

#[tokio::test]
async fn only_what_was_asked_for_comes_tagged_and_as_it_was_spelt() {
    let (world, a, b) = World::two().await;
    let client = ModernClient::new();
    let uris = ["github://events/OCTO/Cat", "github://issues/octo/dog/7"];
    let filter = json!({
        "resourceSubscriptions": [uris[0], uris[1], "http://elsewhere"],
        "toolsListChanged": true,
    });
    for node in [&a, &b] {
        let mut stream = client.listen(&node.url, filter.clone()).await.unwrap();
        let honoured = json!({ "resourceSubscriptions": uris, "toolsListChanged": true });
        assert_eq!(stream.honoured(), &honoured);
        for (repo, uri) in [("cat", uris[0]), ("bird", ""), ("dog", uris[1])] {
            world.happens(repo).await;
            if uri.is_empty() {
                continue;
            }
            let told = stream.next(SOON).await.unwrap();
            assert_eq!(told.method(), "notifications/resources/updated");
            assert_eq!(
                (told.params()["uri"].as_str(), told.id.as_deref()),
                (Some(uri), None)
            );
            assert!(stream.is_mine(&told));
        }
    }
}

#[tokio::test]
async fn a_listener_to_nothing_is_told_and_let_go() {
    let (_world, a, _b) = World::two().await;
    let mut stream = ModernClient::new().listen(&a.url, json!({})).await.unwrap();
    assert_eq!(stream.honoured(), &json!({}));
    let end = stream.next(SOON).await.unwrap();
    assert!(stream.is_end(&end) && stream.is_mine(&end));
}

#[tokio::test]
async fn the_drain_ends_it_with_the_result() {
    let (_world, a, _b) = World::two().await;
    let filter = json!({ "resourceSubscriptions": ["github://events"] });
    let mut stream = ModernClient::new().listen(&a.url, filter).await.unwrap();
    a.life.shut_down();
    let end = tokio::time::timeout(SOON * 3, stream.next(SOON * 3))
        .await
        .unwrap()
        .unwrap();
    assert!(stream.is_end(&end) && stream.is_mine(&end));
    assert!(stream.next(SOON).await.is_err(), "the stream has ended");
}
