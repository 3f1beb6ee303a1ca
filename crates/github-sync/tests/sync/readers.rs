//! The guarantees of every reader, in process and over gRPC: each test runs on both.

use model::{EventType, GithubIds, OwnerId, RepositoryId, ResourceType, ResourceUri};
use serde_json::json;

use crate::world::{Source, World, issue, time, uri};

const NINE: &str = "2026-11-20T09:00:00Z";
const TEN: &str = "2026-11-20T10:00:00Z";
const ISSUE: &str = "github://issues/octo/repo/7";

#[tokio::test]
async fn it_gives_the_last_known_state_whatever_the_case_of_the_name() {
    let world = World::running(10).await;
    world
        .source
        .append([issue(7, "a", EventType::CREATED, NINE)])
        .await;
    world
        .source
        .append([issue(7, "b", EventType::UPDATED, TEN)])
        .await;
    world.caught_up().await;
    for reader in world.readers().await {
        let state = reader
            .get_resource(&uri(ISSUE), None, None)
            .await
            .unwrap()
            .unwrap();
        let json: serde_json::Value = serde_json::from_slice(&state.json).unwrap();
        assert_eq!(
            json,
            json!({ "node_id": "I_7", "updated_at": TEN, "event": "b" })
        );
        assert_eq!((state.event_id.as_str(), state.sequence.0), ("b", 2));
        assert_eq!((state.updated_at, state.deleted), (time(TEN), false));
        assert_eq!(state.uri, uri("github://issues/OCTO/Repo/7"));
    }
}

#[tokio::test]
async fn what_nobody_spoke_of_and_what_is_no_single_resource_is_none() {
    let world = World::running(10).await;
    let events = ResourceUri::Events {
        owner: None,
        repo: None,
    };
    for reader in world.readers().await {
        assert_eq!(
            reader.get_resource(&uri(ISSUE), None, None).await.unwrap(),
            None
        );
        assert_eq!(
            reader.get_resource(&events, None, None).await.unwrap(),
            None
        );
    }
}

#[tokio::test]
async fn an_older_state_that_comes_later_changes_nothing() {
    let world = World::running(10).await;
    let newer = issue(7, "newer", EventType::CLOSED, TEN);
    let older = issue(7, "older", EventType::UPDATED, NINE);
    world.source.append([newer, older]).await;
    world.caught_up().await;
    for reader in world.readers().await {
        let state = reader
            .get_resource(&uri(ISSUE), None, None)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(state.event_id.as_str(), "newer");
    }
}

#[tokio::test]
async fn a_deleted_resource_stays_as_deleted() {
    let world = World::running(10).await;
    let deleted = issue(7, "deleted", EventType::DELETED, TEN);
    // GitHub's timestamps have a resolution of one second, so they do not order these two events.
    let straggler = issue(7, "straggler", EventType::UPDATED, TEN);
    world
        .source
        .append([issue(7, "a", EventType::CREATED, NINE), deleted, straggler])
        .await;
    world.caught_up().await;
    for reader in world.readers().await {
        let state = reader
            .get_resource(&uri(ISSUE), None, None)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((state.event_id.as_str(), state.deleted), ("deleted", true));
    }
}

#[tokio::test]
async fn a_state_has_the_ids_and_the_address_of_its_present_holder() {
    let world = World::running(10).await;
    let of = |id: &str, repo: &str, repository: u64| {
        let mut event = issue(7, id, EventType::UPDATED, TEN);
        event.resource.repo = Some(repo.into());
        event.resource.owner_id = Some(OwnerId(5));
        event.resource.repository_id = Some(RepositoryId(repository));
        event
    };
    let mut rename = of("rename", "Moved", 1);
    rename.resource_type = ResourceType::open("repository");
    rename.resource.number = None;
    rename.resource.former_repo = Some("Repo".into());
    world.source.append([of("first", "Repo", 1), rename]).await;
    world.caught_up().await;
    let readers = world.readers().await;
    let ids = |repository| GithubIds {
        owner: Some(OwnerId(5)),
        repository: Some(RepositoryId(repository)),
        resource: None,
    };
    for reader in &readers {
        let state = reader.get_resource(&uri(ISSUE), None, None).await;
        let state = state.unwrap().unwrap();
        assert_eq!(state.ids, ids(1));
        assert_eq!(state.uri, uri("github://issues/octo/moved/7"));
    }
    world.source.append([of("other", "Repo", 2)]).await;
    world.caught_up().await;
    for reader in &readers {
        for (name, event, repository) in [("repo", "other", 2), ("moved", "first", 1)] {
            let uri = uri(&format!("github://issues/octo/{name}/7"));
            let state = reader
                .get_resource(&uri, None, None)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(
                (state.event_id.as_str(), state.ids),
                (event, ids(repository))
            );
            assert_eq!(state.uri, uri);
        }
    }
}

/// The deliveries of one second: their GUIDs say which GitHub made last, whoever stored them.
#[tokio::test]
async fn of_two_states_of_one_second_the_later_delivery_is_kept() {
    let world = World::running(10).await;
    let of = |id: &str, guid: &str| {
        let mut event = issue(7, id, EventType::UPDATED, "2014-04-25T13:00:00Z");
        event.metadata.delivery = Some(guid.into());
        event
    };
    let newer = of("newer", "72d3162f-cc78-11e3-81ab-4c9367dc0958");
    let older = of("older", "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    world.source.append([newer, older]).await;
    world.caught_up().await;
    for reader in world.readers().await {
        let state = reader.get_resource(&uri(ISSUE), None, None).await;
        assert_eq!(state.unwrap().unwrap().event_id.as_str(), "newer");
    }
}

#[tokio::test]
async fn a_project_card_of_an_issue_leaves_the_issue_as_it_was() {
    let world = World::running(10).await;
    let mut card = issue(7, "card", EventType::DELETED, TEN);
    card.data = json!({ "node_id": "PVTI_1", "content_node_id": "I_7", "updated_at": TEN });
    card.metadata.event = Some("projects_v2_item".into());
    world
        .source
        .append([issue(7, "a", EventType::CREATED, NINE), card])
        .await;
    world.caught_up().await;
    for reader in world.readers().await {
        let state = reader
            .get_resource(&uri(ISSUE), None, None)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((state.event_id.as_str(), state.deleted), ("a", false));
    }
}

#[tokio::test]
async fn a_start_rebuilds_everything_from_the_log() {
    let source = Source::new();
    let at = |n: u64| format!("2026-11-20T09:{:02}:{:02}Z", n / 60 % 60, n % 60);
    let one = |n: u64| issue(n % 100, &n.to_string(), EventType::UPDATED, &at(n));
    source.append((0..1500).map(one)).await;
    let world = World::start(source, 10_000);
    world.caught_up().await;
    for reader in world.readers().await {
        let status = reader.status(None).await.unwrap();
        assert_eq!((status.position.0, status.head.0), (1500, 1500));
        assert_eq!((status.resources, status.caught_up), (100, true));
        for number in 0..100_u64 {
            let uri = uri(&format!("github://issues/octo/repo/{number}"));
            let state = reader
                .get_resource(&uri, None, None)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(state.event_id.as_str(), (1400 + number).to_string());
        }
    }
}

#[tokio::test]
async fn at_the_bound_the_least_recently_used_is_not_found() {
    let world = World::running(2).await;
    let events = [1, 2, 3].map(|n| issue(n, &n.to_string(), EventType::CREATED, NINE));
    world.source.append(events).await;
    world.caught_up().await;
    for reader in world.readers().await {
        let mut found = Vec::new();
        for number in 1..=3 {
            let uri = uri(&format!("github://issues/octo/repo/{number}"));
            found.push(
                reader
                    .get_resource(&uri, None, None)
                    .await
                    .unwrap()
                    .is_some(),
            );
        }
        assert_eq!(found, [false, true, true]);
    }
}

#[tokio::test]
async fn it_counts_calls_states_and_lag() {
    let world = World::running(10).await;
    world
        .source
        .append([issue(7, "a", EventType::CREATED, NINE)])
        .await;
    world.caught_up().await;
    let reader = world.running.reader();
    reader.get_resource(&uri(ISSUE), None, None).await.unwrap();
    reader
        .get_resource(&uri("github://issues/o/r/1"), None, None)
        .await
        .unwrap();
    let text = service_kit::metrics::encode(&world.registry).unwrap();
    for line in [
        "forgewire_sync_resources 1",
        "forgewire_sync_lag_events 0",
        r#"forgewire_sync_requests_total{method="get_resource",outcome="ok"} 1"#,
        r#"forgewire_sync_requests_total{method="get_resource",outcome="missing"} 1"#,
    ] {
        assert!(
            text.lines().any(|one| one == line),
            "{line} is not in\n{text}"
        );
    }
}
