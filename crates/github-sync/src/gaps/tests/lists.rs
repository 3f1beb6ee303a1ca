//! Lists of deliveries that are not as they should be.

use std::time::Duration;

use github::{GithubClient, GithubIdentity, RestCall};
use model::{Clock, Timestamp};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::world::{GapWorld, TOKEN};
use crate::{
    gaps::look::{HookHistory, LookedPage},
    limits::DELIVERIES_KEPT,
    webhook_place::{SweptHook, SweptPlace},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A list of which each page is the next one of these, with the path of its next page.
async fn canned_pages(pages: Vec<(Value, Option<&'static str>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let base = url.clone();
    tokio::spawn(async move {
        for (page, next) in pages {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 64 << 10];
            let _ = socket.read(&mut bytes).await;
            let link = next.map(|next| format!("link: <{base}{next}>; rel=\"next\"\r\n"));
            let (link, body) = (link.unwrap_or_default(), page.to_string());
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n{link}content-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    url
}

fn listed(id: u64, at: Timestamp) -> Value {
    json!({
        "id": id, "guid": format!("72d3162e-cc78-11e3-81ab-{id:012}"), "event": "issues",
        "delivered_at": at.to_string(), "status_code": 502,
    })
}

async fn look_at(pages: Vec<(Value, Option<&'static str>)>) -> (GapWorld, GithubClient, RestCall) {
    let world = GapWorld::new(100).await;
    let server = canned_pages(pages).await;
    let client = world.client_of(&server, GithubIdentity::Token(TOKEN.to_owned()));
    let place = SweptPlace::Repository {
        owner: "octo".to_owned(),
        repo: "reactor".to_owned(),
    };
    let hook = SweptHook { place, id: Some(1) };
    (world, client, hook.deliveries())
}

/// Reads a page at this time; the ids that are new, and whether it is the last one.
async fn read(
    history: &mut HookHistory,
    (client, list): (&GithubClient, &RestCall),
    now: Timestamp,
) -> (Vec<u64>, bool) {
    let bounds = (now, now.minus(DELIVERIES_KEPT));
    let page = history.next_page(client, list, bounds).await.unwrap();
    let LookedPage::Deliveries {
        unknown, is_last, ..
    } = page
    else {
        panic!("{page:?}");
    };
    (unknown.iter().map(|it| it.id).collect(), is_last)
}

#[tokio::test]
async fn a_time_in_the_future_hides_nothing_that_comes_after_it() {
    let now = GapWorld::new(1).await.clock.now();
    let later = now.plus(MINUTE);
    let ahead = listed(5, now.plus(1_440 * MINUTE));
    let pages = vec![
        (json!([ahead]), None),
        (json!([listed(6, later), ahead]), None),
    ];
    let (_world, client, list) = look_at(pages).await;
    let mut history = HookHistory::default();
    let page = read(&mut history, (&client, &list), now).await;
    assert_eq!(page, (vec![5], false));
    history.finish_look();
    assert_eq!(history.through, Some(now));
    let page = read(&mut history, (&client, &list), later).await;
    assert_eq!(page, (vec![6], false), "and what is known is not new");
}

#[tokio::test]
async fn a_list_that_leads_in_a_circle_over_two_pages_ends() {
    let now = GapWorld::new(1).await.clock.now();
    let (first, second) = (json!([listed(9, now)]), json!([listed(8, now)]));
    let pages = vec![
        (first.clone(), Some("/list?page=2")),
        (second.clone(), Some("/list?page=1")),
        (first, Some("/list?page=2")),
        (second, Some("/list?page=1")),
    ];
    let (_world, client, list) = look_at(pages).await;
    let mut history = HookHistory::default();
    for expected in [(vec![9], false), (vec![8], false), (vec![9], true)] {
        let page = read(&mut history, (&client, &list), now).await;
        assert_eq!(page, expected);
    }
}

#[tokio::test]
async fn a_list_without_news_for_days_was_looked_at_all_the_same() {
    let now = GapWorld::new(1).await.clock.now();
    let old = json!([listed(9, now)]);
    let (world, client, list) = look_at(vec![(old.clone(), None), (json!([]), None)]).await;
    let mut history = HookHistory::default();
    read(&mut history, (&client, &list), now).await;
    history.finish_look();
    let later = now.plus(DELIVERIES_KEPT - MINUTE);
    let page = read(&mut history, (&client, &list), later).await;
    assert_eq!(page, (vec![], true));
    history.finish_look();
    let much_later = later.plus(10 * MINUTE);
    assert_eq!(
        history.missed_since(much_later.minus(DELIVERIES_KEPT)),
        None
    );
    // Nobody has looked for longer than GitHub keeps its list.
    let too_late = later.plus(DELIVERIES_KEPT + MINUTE).minus(DELIVERIES_KEPT);
    assert_eq!(history.missed_since(too_late), Some(later));
    assert_eq!(history.missed_since(too_late), None, "it is told once");
    drop(world);
}
