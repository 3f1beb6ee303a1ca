//! Rows that are damaged, or that another program wrote: each concerns itself alone.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use std::{path::Path, sync::Arc, time::Duration};

use contract::StoredLog;
use contract::{NewTask, TaskLimits, TaskRecords, TaskRecordsError};
use model::{EntryTag, PrincipalId, Sequence, SystemClock, TaskId};
use ports::{
    Collection, EventLog, SessionLimits, SessionStore, SessionStoreError, UndecodableEntry,
};
use store_sqlite::Database;

const HOUR: Duration = Duration::from_secs(3600);
const ROOMY: SessionLimits = SessionLimits {
    max_sessions: 1000,
    max_sessions_per_owner: 1000,
};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_ours_concerns_its_session_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let database = Database::open(&path).unwrap();
    let store = database.session_store(Arc::new(SystemClock));
    let sessions = [0, 1, 2].map(contract::session);
    for session in &sessions {
        store.create(session, HOUR, ROOMY).await.unwrap();
    }
    let [first, kept, last] = sessions.map(|session| session.id);
    let outside = rusqlite::Connection::open(&path).unwrap();
    let planted = "UPDATE sessions SET body = CAST('{\"version\":2}' AS BLOB) WHERE id <> ?1";
    assert_eq!(outside.execute(planted, [kept.as_str()]).unwrap(), 2);
    for id in [&first, &last] {
        let loaded = store.load(id).await;
        let is_unreadable = matches!(loaded, Err(SessionStoreError::Unreadable { .. }));
        assert!(is_unreadable, "{loaded:?}");
    }
    let listed = store.list(None, 10).await.unwrap();
    assert_eq!((listed.sessions.len(), listed.unreadable), (1, 2));
    let (mut after, mut found, mut unreadable) = (None, 0, 0);
    loop {
        let page = store.list(after.as_ref(), 1).await.unwrap();
        found += page.sessions.len();
        unreadable += page.unreadable;
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!((found, unreadable), (1, 2), "in pages");
    assert!(store.end(&first).await.unwrap());
    assert!(store.load(&first).await.unwrap().is_none());
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
    let sessions = [0, 1, 2, 3].map(contract::session);
    for (n, session) in (0..).zip(&sessions) {
        store.create(session, HOUR, ROOMY).await.unwrap();
        let created = tasks.create(&task(n), TaskLimits::default()).await;
        created.unwrap();
    }
    let outside = rusqlite::Connection::open(&path).unwrap();
    let changed = |sql: &str, id: &str| assert_eq!(outside.execute(sql, [id]).unwrap(), 1);
    let [first, second, ..] = &sessions;
    changed(
        "UPDATE sessions SET body = 'text' WHERE id = ?1",
        first.id.as_str(),
    );
    changed(
        "UPDATE sessions SET id = id || ' ' WHERE id = ?1",
        second.id.as_str(),
    );
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
    let loaded = store.load(&first.id).await;
    let is_unreadable = matches!(loaded, Err(SessionStoreError::Unreadable { .. }));
    assert!(is_unreadable, "{loaded:?}");
    let loaded = tasks.load(&task(0).owner, &task(0).id).await;
    let is_unreadable = matches!(loaded, Err(TaskRecordsError::Unreadable { .. }));
    assert!(is_unreadable, "{loaded:?}");
    for limit in [1, 2, 10] {
        let (mut after, mut found) = (None, Vec::new());
        let mut unreadable = 0;
        loop {
            let page = store.list(after.as_ref(), limit).await.unwrap();
            found.extend(page.sessions.into_iter().map(|found| found.session.id));
            unreadable += page.unreadable;
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        // The one under a name that is none can still be read.
        assert_eq!((found.len(), unreadable), (3, 1), "in pages of {limit}");
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
