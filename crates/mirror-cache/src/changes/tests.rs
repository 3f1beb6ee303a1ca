use model::{EventId, EventOrigin, ResourceId, Timestamp};

use super::*;

fn table() -> (ChangeTable, ChangeKeys) {
    let keys = ChangeKeys::default();
    (ChangeTable::bounded(keys.clone(), 10), keys)
}

fn news(place: &str, id: u64) -> MirroredStates {
    MirroredStates {
        replica: 1,
        place: place.to_owned(),
        ids: GithubIds {
            owner: Some(OwnerId(5)),
            repository: Some(RepositoryId(id)),
            resource: None,
        },
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_every_entry_is_forgotten_and_newer_changes_are_not() {
    let (mut table, keys) = table();
    let depends = |name: &str| [Dependency::Change(keys.name(name))];
    let before = table.now();
    table.mirrored(&news("octo/cat", 20));
    assert!(table.has_changed(before, &depends("octo/cat")));
    assert!(!table.has_changed(table.now(), &depends("octo/cat")));
    tokio::time::advance(MAX_AGE).await;
    // The first part is kept for as long again.
    table.mirrored(&news("octo/dog", 21));
    assert!(table.has_changed(before, &depends("octo/cat")));
    tokio::time::advance(MAX_AGE).await;
    table.mirrored(&news("octo/cow", 22));
    tokio::time::advance(MAX_AGE).await;
    table.mirrored(&news("octo/cow", 22));
    assert!(!table.has_changed(before, &depends("octo/cat")));
    assert!(table.has_changed(before, &depends("octo/cow")));
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_everything_is_dropped() {
    let (mut table, keys) = table();
    let depends = [Dependency::Change(keys.name("other/place"))];
    let before = table.now();
    for id in 0..3 {
        table.mirrored(&news(&format!("octo/part-{id}"), id));
    }
    assert!(!table.has_changed(before, &depends));
    for id in 3..20 {
        table.mirrored(&news(&format!("octo/part-{id}"), id));
    }
    assert!(table.has_changed(before, &depends));
    assert!(table.current.len() + table.previous.len() <= 20);
}

#[tokio::test(start_paused = true)]
async fn an_event_of_a_label_may_change_everything_in_its_repository() {
    let (mut table, keys) = table();
    let id = keys.repository(RepositoryId(20));
    let depends = [Dependency::Pair(keys.name("octo/cat"), id)];
    for (resource, action, changes) in [
        (ResourceType::ISSUE, EventType::UPDATED, false),
        (ResourceType::LABEL, EventType::CREATED, false),
        (ResourceType::LABEL, EventType::UPDATED, true),
        (ResourceType::MILESTONE, EventType::DELETED, true),
    ] {
        let event = of_cat(resource.clone(), action);
        table.event(&event);
        let before = table.now();
        table.event(&event);
        let has_changed = table.has_changed(before, &depends);
        assert_eq!(has_changed, changes, "{resource:?}");
    }
}

fn of_cat(resource_type: ResourceType, event_type: EventType) -> EventFacts {
    EventFacts {
        id: EventId::new("e").unwrap(),
        event_type,
        action: None,
        resource_type,
        resource_id: ResourceId::new("X_1").unwrap(),
        owner: Some("octo".into()),
        repo: Some("cat".into()),
        number: None,
        ids: news("octo/cat", 20).ids,
        former: None,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    }
}
