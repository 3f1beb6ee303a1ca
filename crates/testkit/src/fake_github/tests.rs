//! Tests of the fake GitHub's guarantees.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use axum::{
    Router, body::Bytes as Body, extract::State, http::HeaderMap, http::StatusCode, routing::post,
};
use model::{
    EventMetadata, EventOrigin, EventType, ResourceEvent, ResourceId, ResourceRef, ResourceType,
};

use reqwest::Url;

use super::*;

fn payload(delivery: &Delivery) -> Value {
    serde_json::from_slice(&delivery.body).unwrap()
}

/// The resource, read from the payload according to GitHub's documentation.
fn resource(delivery: &Delivery) -> (ResourceType, String) {
    let body = payload(delivery);
    let id = |object: &str| {
        body[object]["node_id"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    match delivery.event {
        "issues" => (ResourceType::ISSUE, id("issue")),
        "pull_request" => (ResourceType::PULL_REQUEST, id("pull_request")),
        "milestone" => (ResourceType::MILESTONE, id("milestone")),
        "projects_v2" => (ResourceType::PROJECT, id("projects_v2")),
        "projects_v2_item" => {
            let item = &body["projects_v2_item"];
            let kind = match item["content_type"].as_str().unwrap() {
                "Issue" => ResourceType::ISSUE,
                "DraftIssue" => ResourceType::DRAFT_ISSUE,
                other => panic!("unexpected content {other}"),
            };
            (kind, item["content_node_id"].as_str().unwrap().to_owned())
        }
        other => panic!("unexpected event {other}"),
    }
}

#[test]
fn the_same_seed_tells_the_same_story_byte_for_byte() {
    let tell = |seed| {
        let mut github = FakeGithub::new(seed, "s");
        let mut all = github.story();
        all.extend((0..200).map(|_| github.next_delivery()));
        all.into_iter()
            .map(|d| (d.guid, d.body, d.signature))
            .collect::<Vec<_>>()
    };
    assert_eq!(tell(7), tell(7));
    assert_ne!(tell(7), tell(8));
}

#[test]
fn a_story_touches_all_five_kinds_and_says_what_to_expect() {
    let story = FakeGithub::new(1, "s").story();
    let events: BTreeSet<_> = story.iter().map(|d| d.event).collect();
    assert_eq!(
        events.into_iter().collect::<Vec<_>>(),
        [
            "issues",
            "milestone",
            "projects_v2",
            "projects_v2_item",
            "pull_request"
        ]
    );
    for delivery in &story {
        let (body, expected) = (payload(delivery), delivery.expected.as_ref().unwrap());
        assert_eq!(
            resource(delivery),
            (expected.resource_type.clone(), expected.resource_id.clone())
        );
        assert_eq!(body["action"], expected.action);
        assert_eq!(
            body["repository"]["name"].as_str(),
            expected.repo.as_deref()
        );
        assert_eq!(body["organization"]["login"], expected.owner.as_str());
        assert!(body["sender"]["login"].is_string() && body["installation"]["id"].is_u64());
    }
}

#[test]
fn the_issue_on_the_board_is_the_issue_of_the_story() {
    let story = FakeGithub::new(3, "s").story();
    let of = |step| {
        story
            .iter()
            .find(|d| d.step == Some(step))
            .unwrap()
            .expected
            .clone()
            .unwrap()
    };
    assert_eq!(
        of(StoryStep::IssueOpened).resource_id,
        of(StoryStep::ItemAdded).resource_id
    );
    assert_eq!(
        of(StoryStep::IssueOpened).resource_id,
        of(StoryStep::IssueClosed).resource_id
    );
    assert_eq!(
        of(StoryStep::IssueOpened).event_type,
        Some(EventType::CREATED)
    );
    assert_eq!(
        of(StoryStep::PullMerged).event_type,
        Some(EventType::CLOSED)
    );
}

#[test]
fn a_long_life_keeps_ids_unique_states_plausible_and_memory_bounded() {
    let mut github = FakeGithub::new(11, "s").with_payload_size(PayloadSize::OneKib);
    let (mut guids, mut open) = (BTreeSet::new(), BTreeMap::new());
    for _ in 0..5_000 {
        let delivery = github.next_delivery();
        assert!(guids.insert(delivery.guid.clone()), "a GUID occurred twice");
        let expected = delivery.expected.clone().unwrap();
        assert_eq!(resource(&delivery).1, expected.resource_id);
        if matches!(delivery.event, "issues" | "pull_request") {
            let was_open = open.insert(expected.resource_id.clone(), expected.action != "closed");
            if expected.action == "closed" {
                assert_ne!(was_open, Some(false), "closed twice: {delivery:?}");
            }
        }
    }
    assert!(github.world.tickets.len() <= 256 && github.world.items.len() <= 256);
}

#[test]
fn one_issue_gets_its_changes_in_a_row() {
    let burst = FakeGithub::new(5, "s").about_one_issue(50);
    let ids: BTreeSet<_> = burst
        .iter()
        .map(|d| d.expected.clone().unwrap().resource_id)
        .collect();
    assert_eq!((burst.len(), ids.len()), (50, 1));
}

/// Approximately the event that ingest makes of a delivery, to measure its size.
fn event_bytes(delivery: &Delivery) -> usize {
    let (body, expected) = (payload(delivery), delivery.expected.clone().unwrap());
    let id = ResourceId::new(&expected.resource_id).unwrap();
    let names = [
        "issue",
        "pull_request",
        "milestone",
        "projects_v2",
        "projects_v2_item",
    ];
    let data = names
        .iter()
        .map(|n| body[n].clone())
        .find(|v| !v.is_null())
        .unwrap();
    let text = |name: &str| data[name].as_str().map(str::to_owned);
    let event = ResourceEvent {
        id: delivery.guid.event(0),
        event_type: EventType::UPDATED,
        action: expected.action.to_owned(),
        resource_type: expected.resource_type,
        resource_id: id.clone(),
        resource: ResourceRef {
            owner: Some(expected.owner),
            repo: expected.repo,
            number: expected.number,
            database_id: data["id"].as_u64(),
            title: text("title"),
            url: text("html_url"),
            ..ResourceRef::of(id)
        },
        timestamp: STORY_START,
        received_at: STORY_START,
        source: EventOrigin::WEBHOOK,
        actor: body["sender"]["login"].as_str().map(str::to_owned),
        metadata: EventMetadata {
            event: Some(delivery.event.into()),
            ..EventMetadata::default()
        },
        data,
    };
    serde_json::to_vec(&event).unwrap().len()
}

#[test]
fn size_classes_hold_what_they_say() {
    let mut lean = FakeGithub::new(2, "s").with_payload_size(PayloadSize::OneKib);
    for delivery in lean.about_one_issue(30) {
        let bytes = event_bytes(&delivery);
        assert!(
            (900..=1_300).contains(&bytes),
            "{bytes} bytes: {delivery:?}"
        );
    }
    let mut typical = FakeGithub::new(2, "s");
    for delivery in typical.story() {
        let bytes = delivery.body.len();
        assert!(
            (2_000..=40_000).contains(&bytes),
            "{bytes} bytes: {delivery:?}"
        );
    }
    let mut large = FakeGithub::new(2, "s").with_payload_size(PayloadSize::WithText(1 << 20));
    assert!(large.delivery_of(StoryStep::IssueOpened).body.len() > 1 << 20);
}

type Seen = Arc<Mutex<Vec<String>>>;

/// A receiver that verifies all that a receiver must verify, and deduplicates by GUID.
async fn receive(State(seen): State<Seen>, headers: HeaderMap, body: Body) -> (StatusCode, String) {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    };
    assert!(header("user-agent").starts_with("GitHub-Hookshot/"));
    assert_eq!(header("content-type"), "application/json");
    assert!(header("x-github-hook-id").parse::<u64>().is_ok());
    if header("x-hub-signature-256") != signature("right", &body) {
        return (StatusCode::UNAUTHORIZED, String::from("who are you?"));
    }
    let guid = header("x-github-delivery").to_owned();
    let mut seen = seen.lock().unwrap();
    if seen.contains(&guid) {
        return (StatusCode::OK, json!({"deduplicated": true}).to_string());
    }
    seen.push(guid);
    let answer = json!({"events": [seen.last()], "event": header("x-github-event")});
    (StatusCode::ACCEPTED, answer.to_string())
}

async fn receiver() -> (Url, Seen) {
    let seen = Seen::default();
    let app = Router::new()
        .route(WEBHOOK_PATH, post(receive))
        .with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, seen)
}

#[tokio::test]
async fn deliveries_arrive_signed_and_a_redelivery_keeps_its_guid() {
    let (url, seen) = receiver().await;
    let (sender, mut github) = (WebhookSender::new(), FakeGithub::new(1, "right"));
    for delivery in github.story() {
        let outcome = sender.send(&url, &delivery).await.unwrap();
        assert_eq!(
            (outcome.status, &outcome.body["event"]),
            (202, &Value::from(delivery.event))
        );
        assert_eq!(outcome.event_ids(), [delivery.guid.as_str()]);
        assert!(
            sender
                .send(&url, &delivery)
                .await
                .unwrap()
                .is_deduplicated()
        );
    }
    assert_eq!(seen.lock().unwrap().len(), StoryStep::STORY.len());

    let delivery = github.next_delivery();
    let forged = delivery.clone().signed_with("wrong");
    assert_eq!(sender.send(&url, &forged).await.unwrap().status, 401);
    let tampered = delivery.clone().with_body("{}");
    assert_eq!(sender.send(&url, &tampered).await.unwrap().status, 401);
    github.rotate_secret("next");
    assert_eq!(sender.send(&url, &github.ping()).await.unwrap().status, 401);
}

#[tokio::test]
async fn sending_until_accepted_goes_round_the_ingests_and_gives_up_on_a_refusal() {
    let (url, _seen) = receiver().await;
    let dead: Url = "http://127.0.0.1:1".parse().unwrap();
    let (sender, mut github) = (WebhookSender::new(), FakeGithub::new(1, "right"));
    let second = std::time::Duration::from_secs(5);
    let delivery = github.next_delivery();
    let ingests = [dead.clone(), url.clone()];
    let outcome = sender
        .send_until_accepted(&ingests, &delivery, second)
        .await
        .unwrap();
    assert_eq!((outcome.status, outcome.attempts), (202, 2));

    let forged = github.next_delivery().signed_with("wrong");
    let refused = sender
        .send_until_accepted(&[url], &forged, second)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("401"), "{refused}");
    let brief = std::time::Duration::from_millis(120);
    let gone = sender
        .send_until_accepted(&[dead], &delivery, brief)
        .await
        .unwrap_err();
    assert!(
        matches!(gone, SendDeliveryError::NotAccepted { attempts: 2.., .. }),
        "{gone}"
    );
}
