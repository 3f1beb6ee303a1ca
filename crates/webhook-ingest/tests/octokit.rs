//! GitHub's published example payloads, every one of them, signed and posted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod harness;

use std::{collections::BTreeMap, path::PathBuf};

use harness::{Ingest, guid};
use serde::Deserialize;
use serde_json::Value;

/// The published examples of one webhook.
#[derive(Deserialize)]
struct Webhook {
    name: String,
    examples: Vec<Value>,
}

fn published() -> Vec<Webhook> {
    let default = "../../.setup/node_modules/@octokit/webhooks-examples/api.github.com/index.json";
    let path = std::env::var_os("FORGEWIRE_WEBHOOK_EXAMPLES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(default),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "GitHub's example payloads are not at {} ({error}): run `make setup`, or set \
             FORGEWIRE_WEBHOOK_EXAMPLES to the file",
            path.display()
        )
    });
    serde_json::from_str(&text).unwrap()
}

/// Examples missing from the published ones, see `payloads/README.md`.
fn our_own() -> Vec<Webhook> {
    [
        include_str!("payloads/projects_v2.json"),
        include_str!("payloads/projects_v2_item.json"),
    ]
    .map(|text| serde_json::from_str(text).unwrap())
    .into()
}

/// The kind and id that an event of this payload must have, computed independently of the
/// normaliser.
fn expected(webhook: &str, payload: &Value) -> Option<(&'static str, String)> {
    let (kind, id) = match webhook {
        "issues" if payload["issue"]["pull_request"].is_object() => {
            ("pull_request", &payload["issue"]["node_id"])
        }
        "issues" => ("issue", &payload["issue"]["node_id"]),
        "pull_request" => ("pull_request", &payload["pull_request"]["node_id"]),
        "milestone" => ("milestone", &payload["milestone"]["node_id"]),
        "projects_v2" => ("project", &payload["projects_v2"]["node_id"]),
        "projects_v2_item" => {
            let item = &payload["projects_v2_item"];
            let kind = match item["content_type"].as_str().unwrap() {
                "Issue" => "issue",
                "PullRequest" => "pull_request",
                "DraftIssue" => "draft_issue",
                other => panic!("an example has content of type {other}"),
            };
            (kind, &item["content_node_id"])
        }
        _ => return None,
    };
    Some((kind, id.as_str().unwrap().to_owned()))
}

/// Posts all examples; returns the number of events by webhook.
async fn post_all(webhooks: Vec<Webhook>) -> BTreeMap<String, usize> {
    let mut events = BTreeMap::new();
    for Webhook { name, examples } in webhooks {
        // The events of all are more than one page of a log.
        let ingest = Ingest::new();
        for (index, payload) in examples.iter().enumerate() {
            let delivery = format!("{name}-{index}");
            let answer = ingest.post(&name, &delivery, payload).await;
            assert_eq!(answer.status, 202, "{delivery}: {answer:?}");
            if name == "ping" {
                assert_eq!(answer.json["skipped"], true, "{delivery}");
                continue;
            }
            assert_eq!(answer.json["events"][0], delivery.as_str());
            *events.entry(name.clone()).or_insert(0) += 1;
            // The other webhooks are judged in `github-events`.
            let Some((kind, id)) = expected(&name, payload) else {
                continue;
            };
            let stored = ingest.log.all().await.pop().unwrap().item;
            let event: Value = serde_json::from_slice(&stored.json).unwrap();
            assert_eq!(event["id"], delivery.as_str());
            assert_eq!(event["resourceType"], kind, "{delivery}");
            assert_eq!(event["resourceId"], id.as_str(), "{delivery}");
            assert_eq!(event["action"], payload["action"], "{delivery}");
            let what = event["type"].as_str().unwrap();
            assert_eq!(what, type_of(kind, &name, payload), "{delivery}");
            assert_eq!(event["actor"], payload["sender"]["login"], "{delivery}");
            check_place(&event, payload, &name);
        }
    }
    events
}

fn type_of(kind: &str, webhook: &str, payload: &Value) -> &'static str {
    let draft = kind == "draft_issue";
    match payload["action"].as_str().unwrap() {
        _ if webhook == "projects_v2_item" && !draft => "updated",
        "opened" | "created" => "created",
        "deleted" => "deleted",
        "closed" => "closed",
        "reopened" => "reopened",
        _ => "updated",
    }
}

fn check_place(event: &Value, payload: &Value, webhook: &str) {
    let resource = &event["resource"];
    if webhook.starts_with("projects_v2") {
        assert_eq!(resource["owner"], payload["organization"]["login"]);
        assert_eq!(resource["repo"], Value::Null);
    } else {
        assert_eq!(resource["owner"], payload["repository"]["owner"]["login"]);
        assert_eq!(resource["repo"], payload["repository"]["name"]);
        assert!(resource["number"].is_u64());
        let by_issue = webhook == "issues" && event["resourceType"] == "pull_request";
        assert_eq!(resource["databaseId"].is_u64(), !by_issue);
    }
}

#[tokio::test]
async fn every_published_example_but_a_ping_becomes_an_event() {
    let events = post_all(published()).await;
    for (webhook, at_least) in [
        ("issues", 29),
        ("pull_request", 29),
        ("milestone", 5),
        ("projects_v2_item", 7),
        ("push", 6),
        ("workflow_run", 3),
    ] {
        assert!(
            events[webhook] >= at_least,
            "{webhook}: {} events",
            events[webhook]
        );
    }
}

#[tokio::test]
async fn what_the_published_examples_lack_becomes_events_too() {
    let events = post_all(our_own()).await;
    assert_eq!((events["projects_v2"], events["projects_v2_item"]), (6, 8));
}

/// Objects whose states are published, some without a time, and the actions of one of them in their order.
const LIVES: [(&str, &[&str]); 3] = [
    (
        "installation",
        &[
            "created",
            "suspend",
            "unsuspend",
            "new_permissions_accepted",
            "deleted",
        ],
    ),
    (
        "code_scanning_alert",
        &["created", "reopened", "fixed", "closed_by_user"],
    ),
    ("release", &["created", "published", "deleted"]),
];

#[tokio::test(start_paused = true)]
async fn no_state_in_the_life_of_a_published_object_is_late() {
    let published = published();
    for (name, actions) in LIVES {
        let ingest = Ingest::new();
        let webhook = published.iter().find(|webhook| webhook.name == name);
        let examples = &webhook.unwrap().examples;
        let now = model::Clock::now(&model::SystemClock);
        for (number, action) in (0_u64..).zip(actions) {
            // Of several forms, the one with a time where there is one.
            let forms = examples.iter().filter(|form| form["action"] == **action);
            let has_time = |form: &&Value| !form["alert"]["updated_at"].is_null();
            let form = forms
                .clone()
                .find(has_time)
                .or_else(|| forms.clone().next());
            let mut payload = form.unwrap().clone();
            for (object, field, id) in [
                ("installation", "id", 77.into()),
                ("alert", "number", 5.into()),
                ("release", "node_id", "RE_1".into()),
                ("repository", "node_id", "R_1".into()),
            ] {
                if payload[object].is_object() {
                    payload[object][field] = id;
                }
            }
            let second = guid(&now, number * 10_000_000);
            assert_eq!(ingest.post(name, &second, &payload).await.status, 202);
        }
        let stored = ingest.log.all().await;
        let resources: std::collections::BTreeSet<_> = stored
            .iter()
            .map(|event| event.item.facts.resource_id.clone())
            .collect();
        assert_eq!(
            (stored.len(), resources.len()),
            (actions.len(), 1),
            "{name}"
        );
        for event in stored {
            let event: Value = serde_json::from_slice(&event.item.json).unwrap();
            assert!(
                event["metadata"]["late"].is_null(),
                "{name} {}",
                event["action"]
            );
        }
    }
}
