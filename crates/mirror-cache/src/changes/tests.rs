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
