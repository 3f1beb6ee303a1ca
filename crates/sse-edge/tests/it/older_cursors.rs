//! Cursors without a seal of the edges' keys, which anybody can make up: they continue where they prove to
//! have been, and count nobody's events.

use model::{Cursor, CursorScope, EntryTag, EventId, PrincipalId, Sequence};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;
use service_kit::config::Secret;
use sse_edge::EdgeConfig;
use testkit::sse;

use super::world::*;

/// The log keeps the events 3 to 5, `e3` to `e5`.
const KEPT: usize = 3;
const EVENTS: u64 = 5;

/// An edge with keys, on a log that has removed its first two events.
async fn trimmed() -> (EdgeWorld, Node) {
    let world = EdgeWorld::keeping(KEPT).await;
    let config = EdgeConfig {
        state_keys: vec![Secret::new("a key that is as long as a key has to be")],
        ..EdgeConfig::default()
    };
    let node = world.node_with(&config, world.bus.clone()).await;
    let mut live = sse::open(&node.at("/events/stream"), HeaderMap::new())
        .await
        .unwrap();
    for _ in 0..EVENTS {
        world.happens("cat").await;
    }
    // The edge has reached the end of the log.
    next_ids(&mut live, 1 + usize::try_from(EVENTS).unwrap()).await;
    (world, node)
}

/// A cursor as an edge without seals wrote it, and as one without keys sealed it.
fn older(world: &EdgeWorld, sequence: u64, tag: Option<&str>) -> [String; 2] {
    let cursor = Cursor {
        is_sealed: false,
        epoch: world.keys().epoch(),
        sequence: Sequence(sequence),
        tag: tag.map(|id| EntryTag::of(&EventId::new(id).unwrap())),
        told: None,
        scope: CursorScope::events(&PrincipalId::anonymous()),
        inbox: Sequence::START,
        newest_subscription: 0,
    };
    let sealed = world.keys().seal(&cursor).to_string();
    [cursor.unsealed_text(), sealed]
}

/// The ids of the events, and whether the answer says that some are gone.
async fn answer(node: &Node, path: &str) -> (Vec<String>, bool) {
    let list = reqwest::get(node.at(path)).await.unwrap();
    let list: Value = list.json().await.unwrap();
    let events = list["events"]
        .as_array()
        .unwrap_or_else(|| panic!("{list}"));
    let ids = events.iter().map(|event| event["id"].as_str().unwrap());
    let truncated = list["truncated"].as_bool().unwrap();
    (ids.map(str::to_owned).collect(), truncated)
}

fn ids(numbers: &[u64]) -> Vec<String> {
    numbers.iter().map(|n| format!("e{n}")).collect()
}

#[tokio::test]
async fn a_made_up_cursor_has_the_same_answer_wherever_it_points() {
    let (world, node) = trimmed().await;
    for sequence in [0, 1, 2, 3, 4, EVENTS, EVENTS + 1, 1000, u64::MAX] {
        // None, that of no event, and that of an event elsewhere in the log.
        for tag in [
            None,
            Some("elsewhere"),
            Some(if sequence == 4 { "e3" } else { "e4" }),
        ] {
            for text in older(&world, sequence, tag) {
                let after = format!("/events/replay/2020-01-01?cursor={text}");
                let all = (ids(&[3, 4, 5]), true);
                assert_eq!(answer(&node, &after).await, all, "{sequence} {tag:?}");
                let before = format!("/events/recent?before={text}");
                let all = (ids(&[5, 4, 3]), true);
                assert_eq!(answer(&node, &before).await, all, "{sequence} {tag:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_older_cursor_that_names_its_event_keeps_its_place() {
    let (world, node) = trimmed().await;
    for text in older(&world, 4, Some("e4")) {
        let after = format!("/events/replay/2020-01-01?cursor={text}");
        assert_eq!(answer(&node, &after).await, (ids(&[5]), false));
        let before = format!("/events/recent?before={text}");
        let (older, _) = answer(&node, &before).await;
        assert_eq!(older, ids(&[3]));
        let mut headers = HeaderMap::new();
        headers.insert("last-event-id", HeaderValue::from_str(&text).unwrap());
        let mut stream = sse::open(&node.at("/events/stream"), headers)
            .await
            .unwrap();
        assert_eq!(next_ids(&mut stream, 2).await, ["connected", "e5"]);
    }
    // What came next is gone, and it is told so.
    for text in older(&world, 1, Some("e1")) {
        let after = format!("/events/replay/2020-01-01?cursor={text}");
        assert_eq!(answer(&node, &after).await, (ids(&[3, 4, 5]), true));
    }
}

/// The ids of the next events on a stream; the names of the frames that are none.
async fn next_ids(stream: &mut sse::SseStream, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let frame = stream.next_event(SOON).await.unwrap();
        let id = frame
            .json()
            .and_then(|data| Some(data["id"].as_str()?.to_owned()));
        ids.push(id.unwrap_or_else(|| frame.event.clone().unwrap_or_default()));
    }
    ids
}
