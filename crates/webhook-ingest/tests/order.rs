//! Deliveries about one resource are stored in GitHub's order, whichever ingest they reach, and in which order.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod harness;

use std::sync::atomic::Ordering;

use futures_util::{FutureExt, StreamExt};
use harness::{Ingest, guid, issue};
use ports::Topic;
use serde_json::{Value, json};
use tower::ServiceExt;

fn titled(number: u64, title: &str, updated_at: &str) -> Value {
    let mut payload = issue(number, "edited");
    payload["issue"]["title"] = title.into();
    payload["issue"]["updated_at"] = updated_at.into();
    payload
}

/// Titles of the events of one issue, in the log's order, and whether each is marked as late.
async fn stored(ingest: &Ingest, number: u64) -> Vec<(String, bool)> {
    let events = ingest.log.all().await.into_iter();
    let of_issue = events.filter(|event| event.item.facts.number == Some(number));
    let read = |json: &[u8]| {
        let event: Value = serde_json::from_slice(json).unwrap();
        let title = event["resource"]["title"].as_str().unwrap().to_owned();
        (title, event["metadata"]["late"] == json!(true))
    };
    of_issue.map(|event| read(&event.item.json)).collect()
}

/// Lets the ingests begin to listen to each other.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

fn in_order(titles: &[&str]) -> Vec<(String, bool)> {
    titles
        .iter()
        .map(|title| ((*title).to_owned(), false))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_swapped_pair_at_two_ingests_is_stored_as_github_made_it() {
    let one = Ingest::new();
    let two = one.beside();
    settle().await;
    for (number, second) in [(7, "2026-11-20T10:00:01Z"), (8, "2026-11-20T10:00:00Z")] {
        let now = model::Clock::now(&model::SystemClock);
        // Of the same second only the GUID tells.
        let later = titled(number, "later", second);
        let earlier = titled(number, "earlier", "2026-11-20T10:00:00Z");
        let (later_id, earlier_id) = (
            guid(&now, number * 20_000),
            guid(&now, number * 20_000 - 10_000),
        );
        let send_earlier = async {
            tokio::task::yield_now().await;
            two.post("issues", &earlier_id, &earlier).await
        };
        let answers = tokio::join!(one.post("issues", &later_id, &later), send_earlier);
        assert_eq!(
            (answers.0.status.as_u16(), answers.1.status.as_u16()),
            (202, 202)
        );
        assert_eq!(stored(&one, number).await, in_order(&["earlier", "later"]));
    }
}

#[tokio::test(start_paused = true)]
async fn many_deliveries_about_one_issue_at_three_ingests_keep_githubs_order() {
    let one = Ingest::new();
    let ingests = [one.beside(), one.beside(), one.beside()];
    settle().await;
    let now = model::Clock::now(&model::SystemClock);
    // Each neighbouring pair is swapped, and goes to another ingest than its other half.
    let places: Vec<u64> = (0..60).map(|place: u64| place ^ 1).collect();
    let sent = places.iter().enumerate().map(|(index, place)| {
        let (ingest, id) = (&ingests[index % 3], guid(&now, *place * 10_000));
        let payload = titled(7, &format!("{place:02}"), "2026-11-20T10:00:00Z");
        async move { ingest.post("issues", &id, &payload).await.status.as_u16() }
    });
    let answers = futures_util::future::join_all(sent).await;
    assert!(answers.iter().all(|status| *status == 202), "{answers:?}");
    let titles: Vec<String> = (0..60).map(|place| format!("{place:02}")).collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    assert_eq!(stored(&one, 7).await, in_order(&titles));
}

#[tokio::test(start_paused = true)]
async fn an_ingest_that_is_alone_keeps_githubs_order_and_asks_nobody() {
    let secrets = json!({"webhook_secrets": [harness::SECRET]});
    let ingest = Ingest::alone(&secrets, tokio::sync::Semaphore::MAX_PERMITS);
    let mut told = ingest.bus.subscribe(&Topic::Deliveries).await.unwrap();
    settle().await;
    let now = model::Clock::now(&model::SystemClock);
    let sent = (0..60).map(|place: u64| place ^ 1).map(|place| {
        let id = guid(&now, place * 10_000);
        let payload = titled(7, &format!("{place:02}"), "2026-11-20T10:00:00Z");
        let ingest = &ingest;
        async move { ingest.post("issues", &id, &payload).await.status.as_u16() }
    });
    let answers = futures_util::future::join_all(sent).await;
    assert!(answers.iter().all(|status| *status == 202), "{answers:?}");
    let titles: Vec<String> = (0..60).map(|place| format!("{place:02}")).collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    assert_eq!(stored(&ingest, 7).await, in_order(&titles));
    assert!(told.0.next().now_or_never().is_none(), "nobody is told");
}

/// Whoever's request stores the deliveries about a resource may go: the others are stored all the same.
#[tokio::test(start_paused = true)]
async fn a_sender_that_hangs_up_takes_no_other_delivery_along() {
    let secrets = json!({"webhook_secrets": [harness::SECRET]});
    let ingest = Ingest::alone(&secrets, 0);
    let delivery = |id, title| {
        let payload = titled(7, title, "2026-11-20T10:00:00Z");
        harness::signed("issues", id, &payload.to_string())
    };
    let first = tokio::spawn(ingest.router.clone().oneshot(delivery("d1", "first")));
    harness::eventually("the append begins", async || {
        ingest.log.appends.load(Ordering::SeqCst) == 1
    })
    .await;
    let second = tokio::spawn(ingest.router.clone().oneshot(delivery("d2", "second")));
    settle().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    ingest.log.open.add_permits(2);
    assert_eq!(second.await.unwrap().unwrap().status(), 202);
    assert_eq!(stored(&ingest, 7).await, in_order(&["first", "second"]));
}

#[tokio::test(start_paused = true)]
async fn an_older_state_that_comes_too_late_is_stored_and_marked() {
    let one = Ingest::new();
    let two = one.beside();
    settle().await;
    one.post("issues", "d2", &titled(7, "new", "2026-11-20T10:00:01Z"))
        .await;
    let old = titled(7, "old", "2026-11-20T10:00:00Z");
    assert_eq!(two.post("issues", "d1", &old).await.status, 202);
    assert_eq!(
        stored(&one, 7).await,
        [("new".to_owned(), false), ("old".to_owned(), true)]
    );
    let counted = two
        .metrics()
        .contains("forgewire_ingest_late_deliveries_total 1");
    assert!(counted, "{}", two.metrics());
}

#[tokio::test(start_paused = true)]
async fn a_delivery_about_another_issue_does_not_wait() {
    let secrets = json!({"webhook_secrets": [harness::SECRET], "order_window_milliseconds": 1000});
    let ingest = Ingest::with(&secrets, tokio::sync::Semaphore::MAX_PERMITS);
    let (edited, opened) = (titled(7, "a", "2026-11-20T10:00:00Z"), issue(8, "opened"));
    let held = ingest.post("issues", "d1", &edited);
    let opened = ingest.post("issues", "d2", &opened);
    tokio::select! {
        biased;
        _ = held => panic!("it is held for 250 ms"),
        answer = opened => assert_eq!(answer.status, 202),
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_delivery_to_three_ingests_at_once_is_one_event() {
    let one = Ingest::new();
    let (two, three) = (one.beside(), one.beside());
    settle().await;
    let payload = titled(7, "once", "2026-11-20T10:00:00Z");
    let answers = tokio::join!(
        one.post("issues", "d1", &payload),
        two.post("issues", "d1", &payload),
        three.post("issues", "d1", &payload),
    );
    let mut statuses = [answers.0, answers.1, answers.2].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 202]);
    assert_eq!(stored(&one, 7).await, in_order(&["once"]));
}

#[tokio::test(start_paused = true)]
async fn an_issue_has_one_order_whichever_webhook_tells_of_it() {
    let one = Ingest::new();
    let two = one.beside();
    settle().await;
    let now = model::Clock::now(&model::SystemClock);
    let second = "2026-11-20T10:00:00Z";
    let later = titled(7, "later", second);
    let mut earlier = titled(7, "earlier", second);
    let parent = earlier["issue"].take();
    earlier["action"] = "sub_issue_added".into();
    earlier["parent_issue"] = parent;
    let (first, last) = (guid(&now, 0), guid(&now, 9));
    let answers = tokio::join!(
        one.post("issues", &last, &later),
        two.post("sub_issues", &first, &earlier),
    );
    assert_eq!(
        (answers.0.status.as_u16(), answers.1.status.as_u16()),
        (202, 202)
    );
    assert_eq!(stored(&one, 7).await, in_order(&["earlier", "later"]));
}

#[tokio::test(start_paused = true)]
async fn a_state_without_any_place_is_never_late() {
    let one = Ingest::new();
    one.post("issues", "d1", &titled(7, "new", "2026-11-20T10:00:01Z"))
        .await;
    let mut timeless = titled(7, "timeless", "");
    timeless["issue"]["updated_at"] = Value::Null;
    one.post("issues", "d2", &timeless).await;
    assert_eq!(stored(&one, 7).await, in_order(&["new", "timeless"]));
}
