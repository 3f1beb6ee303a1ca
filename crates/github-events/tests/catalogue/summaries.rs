//! What an agent reads of each webhook: the summary of its event, and the event without what only programs follow.

use github_events::{
    EventTrim, encode, limits::MAX_SUMMARY_BYTES, normalise, summarise_event, trim_event,
};
use model::{ManualClock, ResourceEvent, TraceContext};
use serde_json::Value;

use crate::{
    events::{envelope, for_each_form},
    packages,
    payloads::{self, Variant},
};

/// Length of a long text in a payload: as much as GitHub lets anybody write into a comment.
const LONG_TEXT_BYTES: usize = 60_000;

fn stored(name: &str, payload: Value) -> Option<(ResourceEvent, Vec<u8>)> {
    let event = normalise(&envelope(name), payload).ok()?.remove(0);
    let trace = TraceContext::start(&ManualClock::default());
    let stored = encode(event.clone(), trace, usize::MAX).unwrap();
    Some((event, stored.json.to_vec()))
}

fn check(name: &str, (event, json): (ResourceEvent, Vec<u8>)) {
    let summary = summarise_event(&json).unwrap_or_else(|| panic!("{name} has no summary"));
    assert!(summary.len() <= MAX_SUMMARY_BYTES, "{name}: {summary}");
    let summary: Value = serde_json::from_str(&summary).unwrap();
    for (of_summary, of_event) in [
        (&summary["id"], event.id.as_str()),
        (&summary["type"], event.event_type.as_str()),
        (&summary["resourceType"], event.resource_type.as_str()),
        (&summary["resourceId"], event.resource_id.as_str()),
        (&summary["timestamp"], &event.timestamp.to_string()),
    ] {
        assert_eq!(of_summary, of_event, "{name}: {summary}");
    }
    assert!(
        event
            .action
            .starts_with(summary["action"].as_str().unwrap().trim_end_matches('…'))
    );
    for (of_summary, of_event) in [
        ("owner", &event.resource.owner),
        ("repo", &event.resource.repo),
    ] {
        let shown = summary["resource"][of_summary].as_str();
        let whole = of_event.as_deref().filter(|text| text.len() <= 100);
        assert!(whole.is_none() || shown == whole, "{name}: {summary}");
    }
    let trimmed = trim_event(&json, EventTrim::default()).unwrap();
    let shown: Value = serde_json::from_str(&trimmed).unwrap();
    for part in [&shown["data"], &shown["metadata"]["related"]] {
        assert!(!has_link(part), "{name}: {part}");
    }
}

fn has_link(value: &Value) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(key, value)| key.ends_with("_url") || key == "_links" || has_link(value)),
        Value::Array(elements) => elements.iter().any(has_link),
        _ => false,
    }
}

/// Makes the texts of a payload long, as far as GitHub lets somebody write them.
fn lengthen(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match (&**key, member.is_string()) {
                    ("body" | "description" | "message" | "from" | "summary" | "text", true) => {
                        *member = "\"long\" ".repeat(LONG_TEXT_BYTES / 7).into();
                    }
                    ("title" | "name", true) => *member = "\u{1F600}".repeat(256).into(),
                    _ => lengthen(member),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(lengthen),
        _ => {}
    }
}

#[test]
fn every_webhook_has_a_summary_that_an_agent_reads() {
    let mut checked = 0;
    for_each_form(
        packages::descriptions(),
        |name, action, description, form| {
            let made = payloads::make(description, form, Variant::Everything, action).payload;
            let mut long = made.clone();
            lengthen(&mut long);
            for payload in [made, long] {
                if let Some(event) = stored(name, payload) {
                    check(name, event);
                    checked += 1;
                }
            }
        },
    );
    assert!(checked > 500, "{checked}");
}

#[test]
fn every_published_example_is_short() {
    let (mut events, mut whole, mut trimmed, mut summaries) = (0, 0, 0, 0);
    for (name, payload) in packages::examples() {
        let Some((event, json)) = stored(&name, payload) else {
            continue;
        };
        events += 1;
        whole += json.len();
        trimmed += trim_event(&json, EventTrim::default()).unwrap().len();
        summaries += summarise_event(&json).unwrap().len();
        check(&name, (event, json));
    }
    println!("{events} events: {whole} bytes whole, {trimmed} trimmed, {summaries} in summaries");
    assert!(
        trimmed * 2 < whole && summaries * 8 < whole,
        "{whole} {trimmed} {summaries}"
    );
}
