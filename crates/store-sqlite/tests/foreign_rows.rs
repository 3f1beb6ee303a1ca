//! Rows that are damaged, or that another program wrote: each concerns itself alone.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use std::{path::Path, sync::Arc, time::Duration};

use contract::StoredLog;
use contract::{NewTask, TaskLimits, TaskRecords, TaskRecordsError};
use model::{EntryTag, PrincipalId, Sequence, SystemClock, TaskId};
use ports::{Collection, EventLog, UndecodableEntry};
use store_sqlite::Database;

const HOUR: Duration = Duration::from_secs(3600);

fn raw(path: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(path).expect("the file opens");
    connection.execute_batch(sql).expect("the statement runs");
}

/// The `n`-th task.
fn task(n: u64) -> NewTask {
    NewTask {
        id: TaskId::new(&format!("task-{n}")).unwrap(),
        owner: PrincipalId::anonymous(),
        state: "state".into(),
        ttl: Some(HOUR),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_entry_is_a_gap_and_the_rest_readable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.db");
    let database = Database::open(&path).unwrap();
    StoredLog::new(database.log_store())
        .append(contract::events(0, 5))
        .await
        .unwrap();
    database.close().await.unwrap();
    raw(&path, "UPDATE events SET body = x'ffff' WHERE sequence = 3");
    let log = StoredLog::new(Database::open(&path).unwrap().log_store());
    let before = log.read_after(Sequence::START, 10).await.unwrap();
    assert_eq!((before.events.len(), before.at_head), (2, false));
    let after = log.read_after(before.through, 10).await.unwrap();
    assert_eq!(after.resumes_after, Some(Sequence(3)));
    let damaged = UndecodableEntry {
        sequence: Sequence(3),
        tag: EntryTag::of(&contract::event(2).facts.id),
    };
    assert_eq!(
        (after.events.len(), after.undecodable),
        (2, vec![damaged]),
        "a client that has the entry knows that it is still that one"
    );
    let before = log.read_before(Sequence(5), 10).await.unwrap();
    assert_eq!(before.undecodable, [damaged]);
}

const TASKS: Collection = Collection::new("tasks");

/// SQLite stores any type in any column, and any text as an id.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_type_concerns_its_own_row_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let database = Database::open(&path).unwrap();
    let store = database.session_store(Arc::new(SystemClock));
    let tasks = TaskRecords::new(Arc::new(store.clone()));
    for n in 0..4 {
        let created = tasks.create(&task(n), TaskLimits::default()).await;
        created.unwrap();
    }
    let outside = rusqlite::Connection::open(&path).unwrap();
    let changed = |sql: &str, id: &str| assert_eq!(outside.execute(sql, [id]).unwrap(), 1);
    changed(
        "UPDATE records SET state = 'text' WHERE id LIKE ?1",
        "task-0@%",
    );
    changed(
        "UPDATE records SET owner = x'00' WHERE id LIKE ?1",
        "task-1@%",
    );
    changed(
        "UPDATE records SET id = id || ' ' WHERE id LIKE ?1",
        "task-2@%",
    );
    let loaded = tasks.load(&task(0).owner, &task(0).id).await;
    let is_unreadable = matches!(loaded, Err(TaskRecordsError::Unreadable { .. }));
    assert!(is_unreadable, "{loaded:?}");
    for limit in [1, 2, 10] {
        let (mut after, mut found, mut unreadable) = (None, 0, 0);
        loop {
            let page = ports::Records::list(&store, TASKS, None, after.as_ref(), limit);
            let page = page.await.unwrap();
            found += page.records.len();
            unreadable += page.unreadable;
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        assert_eq!((found, unreadable), (1, 3), "in pages of {limit}");
    }
}
