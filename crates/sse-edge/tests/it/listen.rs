//! `subscriptions/listen`: the stateless era's stream.

use serde_json::json;
use testkit::mcp_client::ModernClient;

use super::world::*;

#[tokio::test]
async fn only_what_was_asked_for_comes_tagged_and_as_it_was_spelt() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = ModernClient::new();
    let uris = ["github://events/OCTO/Cat", "github://issues/octo/dog/7"];
    let filter = json!({
        "resourceSubscriptions": [uris[0], uris[1], "http://elsewhere"],
        "toolsListChanged": true,
    });
    for node in [&a, &b] {
        let mut stream = client.listen(&node.url, filter.clone()).await.unwrap();
        let honoured = json!({ "resourceSubscriptions": uris, "toolsListChanged": true });
        assert_eq!(stream.acknowledged_filter(), &honoured);
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
            assert!(stream.has_subscription_id(&told));
        }
    }
}

#[tokio::test]
async fn a_listener_to_nothing_is_told_and_let_go() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let mut stream = ModernClient::new().listen(&a.url, json!({})).await.unwrap();
    assert_eq!(stream.acknowledged_filter(), &json!({}));
    let end = stream.next(SOON).await.unwrap();
    assert!(stream.is_end(&end) && stream.has_subscription_id(&end));
}

#[tokio::test]
async fn the_drain_ends_it_with_the_result() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let filter = json!({ "resourceSubscriptions": ["github://events"] });
    let mut stream = ModernClient::new().listen(&a.url, filter).await.unwrap();
    a.life.shut_down();
    let end = tokio::time::timeout(SOON * 3, stream.next(SOON * 3))
        .await
        .unwrap()
        .unwrap();
    assert!(stream.is_end(&end) && stream.has_subscription_id(&end));
    assert!(stream.next(SOON).await.is_err(), "the stream has ended");
}

/// The trigger tools are fixtures of the conformance suite.
#[tokio::test]
async fn a_changed_list_is_told_on_every_edge_to_who_wants_to_know() {
    let (_world, a, b) = EdgeWorld::two().await;
    let client = ModernClient::new();
    let wants = |list: &str| json!({ list: true });
    let mut tools = client
        .listen(&b.url, wants("toolsListChanged"))
        .await
        .unwrap();
    let mut prompts = client
        .listen(&b.url, wants("promptsListChanged"))
        .await
        .unwrap();
    let session = connect(&a).await;
    let mut stream = session.open_stream(&b.url, None).await.unwrap();
    let call = client.call_tool(&a.url, "test_trigger_tool_change", json!({}));
    call.await.unwrap();
    let told = tools.next(SOON).await.unwrap();
    assert_eq!(told.method(), "notifications/tools/list_changed");
    assert!(tools.has_subscription_id(&told));
    assert_eq!(
        next(&mut stream).await.method(),
        "notifications/tools/list_changed"
    );
    let call = client.call_tool(&a.url, "test_trigger_prompt_change", json!({}));
    call.await.unwrap();
    let told = prompts.next(SOON).await.unwrap();
    assert_eq!(told.method(), "notifications/prompts/list_changed");
    assert!(
        tools.next(QUIET).await.is_err(),
        "who listens to tools hears of tools"
    );
}
