//! Webhooks of every kind of resource, as ingest makes events of them.

use github_events::Envelope;
use model::{DeliveryId, RandomIds, TraceContext};
use ports::{MirrorFilter, MirrorListing, MirrorOrder};
use serde_json::Value;

use super::*;

/// The event of a delivery about an object in `Octo/Cat`.
fn delivered(webhook: &str, action: &str, key: &str, object: &Value) -> StoredEvent {
    let repository = json!({
        "id": 1, "node_id": "R_1", "name": "Cat", "owner": { "login": "Octo", "id": 10 },
    });
    let sender = json!({ "login": "mona", "node_id": "U_1", "id": 3 });
    let mut payload = json!({ "action": action, "repository": repository, "sender": sender });
    payload[key] = object.clone();
    if webhook == "workflow_run" {
        payload["workflow"] = json!({ "id": 1, "name": "ci" });
    }
    let envelope = Envelope {
        delivery: DeliveryId::new("d1").unwrap(),
        event: webhook.to_owned(),
        hook_id: None,
        received_at: at(10),
    };
    let mut events = github_events::normalise(&envelope, payload).unwrap();
    let trace = TraceContext::start(&RandomIds);
    events.remove(0).store(trace).unwrap()
}

fn listed(mirror: &Mirror, kind: MirroredKind) -> Vec<(u64, bool)> {
    let listing = MirrorListing {
        kind,
        owner: "octo".to_owned(),
        repo: Some("cat".to_owned()),
        filter: MirrorFilter {
            with_deleted: true,
            ..MirrorFilter::default()
        },
        order: MirrorOrder::Number,
        descending: false,
        limit: 10,
        after: None,
    };
    let states = mirror.list(&listing).unwrap().states.into_iter();
    states
        .map(|state| (state.address.number, state.deleted))
        .collect()
}

#[test]
fn every_kind_of_a_repository_has_states_from_its_webhooks() {
    let mirror = mirror(100);
    let object =
        |id: u64| json!({ "id": id, "node_id": format!("N_{id}"), "number": 7, "name": "x" });
    let repository = json!({
        "id": 1, "node_id": "R_1", "name": "Cat", "owner": { "login": "Octo", "id": 10 },
    });
    let deliveries = [
        (
            "issues",
            "opened",
            "issue",
            object(101),
            MirroredKind::Issue,
            7,
        ),
        (
            "milestone",
            "created",
            "milestone",
            object(103),
            MirroredKind::Milestone,
            7,
        ),
        (
            "label",
            "deleted",
            "label",
            object(104),
            MirroredKind::Label,
            104,
        ),
        (
            "release",
            "published",
            "release",
            object(105),
            MirroredKind::Release,
            105,
        ),
        (
            "workflow_run",
            "completed",
            "workflow_run",
            object(106),
            MirroredKind::WorkflowRun,
            106,
        ),
        (
            "repository",
            "edited",
            "repository",
            repository,
            MirroredKind::Repository,
            1,
        ),
    ];
    for (sequence, (webhook, action, key, object, ..)) in (1..).zip(&deliveries) {
        mirror.apply(Followed::Events(vec![Sequenced {
            sequence: Sequence(sequence),
            item: delivered(webhook, action, key, object),
        }]));
    }
    for (webhook, action, .., kind, number) in deliveries {
        let expected = [(number, action == "deleted")];
        assert_eq!(listed(&mirror, kind), expected, "{webhook}");
    }
    // What belongs to a repository is no state of it.
    let starred_at = json!("2026-11-20T10:00:00Z");
    mirror.apply(Followed::Events(vec![Sequenced {
        sequence: Sequence(9),
        item: delivered("star", "created", "starred_at", &starred_at),
    }]));
    assert_eq!(listed(&mirror, MirroredKind::Repository), [(1, false)]);
}
