//! Promises of the file beyond the ports' contract: a single process, known versions, no lost commit.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use std::{
    collections::HashMap,
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use contract::StoredLog;
use contract::{NewTask, TaskLife, TaskLimits, TaskRecords};
use model::{LeaseName, ManualClock, PrincipalId, Sequence, StreamId, SystemClock, TaskId};
use ports::{EventLog, EventLogError, Leases, Mailbox, MailboxLimits, Revision};
use store_sqlite::{Database, DatabaseOpenError, SqliteSessionStore};

const HOUR: Duration = Duration::from_secs(3600);

/// Set in the child process of a test: the file to work on.
const CHILD_FILE: &str = "STORE_SQLITE_TEST_CHILD_FILE";

/// Runs one of the tests below again in its own process, on `path`.
fn child(test: &str, path: &Path) -> Child {
    let mut command = Command::new(env::current_exe().expect("the test knows its file"));
    command
        .args([test, "--exact", "--nocapture"])
        .env(CHILD_FILE, path)
        .stdout(Stdio::piped());
    command.spawn().expect("the test starts again")
}

fn child_file() -> Option<PathBuf> {
    env::var_os(CHILD_FILE).map(PathBuf::from)
}

/// In a child process: appends continuously from many tasks, and prints the acknowledged ids.
#[tokio::test(flavor = "multi_thread")]
async fn child_appends() {
    let Some(path) = child_file() else { return };
    let database = Database::open(&path).unwrap();
    println!();
    let tasks: Vec<_> = (0..16_u64)
        .map(|task| {
            let log = StoredLog::new(database.log_store());
            tokio::spawn(async move {
                for n in 0.. {
                    let event = contract::event(task * 1_000_000 + n);
                    let appended = log.append(vec![event]).await.unwrap().remove(0);
                    println!("acknowledged {} {}", appended.sequence, appended.id);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let mut expected = HashMap::new();
    for round in 1..=2 {
        let mut child = child("child_appends", &path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        // Read to the end of the pipe, which includes the output between the decision to kill the
        // child and its death.
        while let Some(Ok(line)) = lines.next() {
            let mut words = line.split(' ');
            if words.next() == Some("acknowledged") {
                let sequence: u64 = words.next().unwrap().parse().unwrap();
                // The last line may be cut off by the kill.
                let Some(id) = words.next().filter(|id| id.len() >= 36) else {
                    continue;
                };
                expected.insert(id.to_owned(), Sequence(sequence));
                acknowledged += 1;
            }
            if acknowledged == 300 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged >= 300 * round, "the child ended by itself");
    }
    let database = Database::open(&path).unwrap();
    let log = StoredLog::new(database.log_store());
    let (mut after, mut stored) = (Sequence::START, HashMap::new());
    loop {
        let page = log.read_after(after, 1000).await.unwrap();
        after = page.through;
        for event in page.events {
            stored.insert(event.item.facts.id.to_string(), event.sequence);
        }
        if page.at_head {
            break;
        }
    }
    assert_eq!(
        after.0,
        u64::try_from(stored.len()).unwrap(),
        "sequences are dense"
    );
    for (id, sequence) in expected {
        assert_eq!(stored.get(&id), Some(&sequence), "{id} was acknowledged");
    }
}

/// In a child process: opens a file that another process holds.
#[test]
fn child_is_refused() {
    let Some(path) = child_file() else { return };
    let refused = Database::open(&path);
    println!(
        "\nrefused {}",
        refused.expect_err("two processes on one file")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused_with_the_path_and_let_in_after_a_close() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.db");
    let database = Database::open(&path).unwrap();
    let output = child("child_is_refused", &path).wait_with_output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let refused = output
        .lines()
        .find(|line| line.starts_with("refused"))
        .unwrap_or(&output);
    assert!(refused.contains(path.to_str().unwrap()), "{refused}");
    assert!(refused.contains("another process"), "{refused}");
    assert!(
        matches!(Database::open(&path), Err(DatabaseOpenError::InUse { .. })),
        "this process as well"
    );
    database.close().await.unwrap();
    database.close().await.expect("closing twice is fine");
    Database::open(&path).unwrap().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_database_gives_the_file_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dropped.db");
    let log = StoredLog::new(Database::open(&path).unwrap().log_store());
    let appended = log.append(contract::events(0, 10)).await.unwrap();
    drop(log);
    let deadline = Instant::now() + Duration::from_secs(10);
    let database = loop {
        match Database::open(&path) {
            Ok(database) => break database,
            Err(error) if Instant::now() > deadline => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    let page = StoredLog::new(database.log_store())
        .read_after(Sequence::START, 100)
        .await
        .unwrap();
    assert_eq!(page.events.len(), appended.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_database_answers_that_it_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("closed.db")).unwrap();
    let store = database.session_store(Arc::new(SystemClock));
    let (log, tasks) = (
        StoredLog::new(database.log_store()),
        TaskRecords::new(Arc::new(store)),
    );
    tasks.check().await.unwrap();
    database.close().await.unwrap();
    let append = log.append(vec![contract::event(1)]).await;
    assert!(
        matches!(append, Err(EventLogError::Unavailable { .. })),
        "{append:?}"
    );
    let read = log.head().await;
    assert!(
        matches!(read, Err(EventLogError::Unavailable { .. })),
        "{read:?}"
    );
    assert!(tasks.check().await.is_err());
}

fn raw(path: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(path).expect("the file opens");
    connection.execute_batch(sql).expect("the statement runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_ours_to_change_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let newer = folder.path().join("newer.db");
    Database::open(&newer).unwrap().close().await.unwrap();
    raw(&newer, "PRAGMA user_version = 99");
    let refused = Database::open(&newer).unwrap_err();
    assert!(
        matches!(
            refused,
            DatabaseOpenError::Newer {
                found: 99,
                known: 9,
                ..
            }
        ),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("newer.db"), "{refused}");

    let foreign = folder.path().join("foreign.db");
    raw(&foreign, "CREATE TABLE theirs (n INTEGER)");
    let before = std::fs::read(&foreign).unwrap();
    let refused = Database::open(&foreign).unwrap_err();
    assert!(
        matches!(refused, DatabaseOpenError::Foreign { .. }),
        "{refused:?}"
    );
    assert_eq!(std::fs::read(&foreign).unwrap(), before);

    let garbage = folder.path().join("garbage.db");
    std::fs::write(
        &garbage,
        "not a database, but long enough to look at".repeat(100),
    )
    .unwrap();
    let refused = Database::open(&garbage).unwrap_err();
    assert!(
        matches!(refused, DatabaseOpenError::Sqlite { .. }),
        "{refused:?}"
    );
}

/// The tables of schema version 1, as the first release created them. Never changed.
const VERSION_1: &str = "
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE events (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        received_at INTEGER NOT NULL,
        watermark INTEGER NOT NULL,
        body BLOB NOT NULL
    );
    CREATE INDEX events_by_watermark ON events (watermark);
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        revision INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        body BLOB
    );
    CREATE INDEX sessions_by_expiry ON sessions (expires_at);
    INSERT INTO meta (key, value) VALUES ('trimmed_through', 0), ('epoch', -77);
    PRAGMA application_id = 1180125522;
    PRAGMA user_version = 1;
";

/// Creates a file of version 1 with the events that a current file holds, and a session.
async fn file_of_version_1(folder: &Path) -> PathBuf {
    let (today, old) = (folder.join("today.db"), folder.join("old.db"));
    let database = Database::open(&today).unwrap();
    let events = contract::events(0, 20);
    StoredLog::new(database.log_store())
        .append(events)
        .await
        .unwrap();
    database.close().await.unwrap();
    raw(&old, VERSION_1);
    let copy = "INSERT INTO events SELECT * FROM today.events;
                INSERT INTO sessions VALUES ('one', 1, 1790000000000, x'7b7d');";
    let attach = format!("ATTACH '{}' AS today; {copy}", today.display());
    raw(&old, &attach);
    old
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_version_1_opens_and_keeps_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_of_version_1(folder.path()).await;
    // In the second round the file already has the current version.
    for round in 0..2 {
        let database = Database::open(&path).unwrap();
        let log = StoredLog::new(database.log_store());
        let head = log.head().await.unwrap();
        assert_eq!(
            head.epoch.0.cast_signed(),
            -77,
            "another epoch is another log"
        );
        let page = log.read_after(Sequence::START, 100).await.unwrap();
        let events: Vec<_> = page.events.into_iter().map(|event| event.item).collect();
        assert_eq!(events[..20], contract::events(0, 20));
        let appended = log.append(vec![contract::event(20 + round)]).await.unwrap();
        assert_eq!(appended[0].sequence, Sequence(21 + round));
        let store = database.session_store(Arc::new(SystemClock));
        works_with_what_is_new(&store, round).await;
        database.close().await.unwrap();
    }
}

/// Uses a mailbox, a lock, and a task.
async fn works_with_what_is_new(store: &SqliteSessionStore, round: u64) {
    let (session, stream) = (contract::session(0).id, StreamId::new("a").unwrap());
    let limits = MailboxLimits::default();
    let owner = PrincipalId::anonymous();
    Mailbox::open(store, &session, &owner, HOUR).await.unwrap();
    let appended = store.append(&session, &stream, "message".into(), limits);
    assert!(appended.await.unwrap() > Sequence(round));
    let lock = LeaseName::new("migrated").unwrap();
    let guard = store.acquire(&lock, HOUR, Duration::ZERO).await.unwrap();
    let guard = guard.expect("the lock is free");
    assert!(guard.fence > round);
    assert!(store.release(&lock, &guard.token).await.unwrap());
    let (task, limits) = (task(0), TaskLimits::default());
    let tasks = TaskRecords::new(Arc::new(store.clone()));
    let of = (&task.owner, &task.id);
    let revision = match tasks.load(of.0, of.1).await.unwrap() {
        None => tasks.create(&task, limits).await.unwrap(),
        Some(kept) => {
            let replaced = tasks.replace(of, &kept, TaskLife::Unchanged, limits);
            replaced.await.unwrap()
        }
    };
    assert!(revision > Revision(round));
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

/// Removes everything that was added after version 2.
const BACK_TO_VERSION_2: &str = "
    DROP TABLE records;
    DROP TABLE record_accounts;
    DROP TABLE mailbox_messages;
    DROP TABLE mailbox_streams;
    DROP TABLE mailboxes;
    DELETE FROM meta WHERE key = 'mailboxes_through';
    CREATE TABLE mailboxes (session TEXT PRIMARY KEY);
    CREATE TABLE mailbox_streams (session TEXT);
    CREATE TABLE mailbox_messages (session TEXT);
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        revision INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        body BLOB
    );
    INSERT INTO sessions VALUES ('one', 1, 1790000000000, x'7b7d');
    PRAGMA user_version = 2;
";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_version_2_opens_and_takes_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.db");
    let database = Database::open(&path).unwrap();
    database.close().await.unwrap();
    raw(&path, BACK_TO_VERSION_2);
    for round in 0..2 {
        let database = Database::open(&path).unwrap();
        let store = database.session_store(Arc::new(SystemClock));
        works_with_what_is_new(&store, round).await;
        database.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_or_expired_leaves_nothing_beside_it_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("swept.db");
    let database = Database::open(&path).unwrap();
    let clock = Arc::new(ManualClock::default());
    let store = database.session_store(clock.clone());
    let tasks = TaskRecords::new(Arc::new(store.clone()));
    let stream = StreamId::new("a").unwrap();
    for n in 0..8 {
        let session = contract::session(n);
        let payload = "message".into();
        Mailbox::open(&store, &session.id, &session.owner, HOUR)
            .await
            .unwrap();
        let append = store.append(&session.id, &stream, payload, MailboxLimits::default());
        append.await.unwrap();
        if n % 2 == 0 {
            Mailbox::end(&store, &session.id).await.unwrap();
        }
        let created = tasks.create(&task(n), TaskLimits::default()).await;
        created.unwrap();
        let lock = LeaseName::new(&format!("lock-{n}")).unwrap();
        assert!(
            store
                .acquire(&lock, HOUR, Duration::ZERO)
                .await
                .unwrap()
                .is_some()
        );
    }
    clock.advance(HOUR);
    let (one, owner) = (contract::session(100).id, PrincipalId::anonymous());
    Mailbox::open(&store, &one, &owner, HOUR).await.unwrap();
    let created = tasks.create(&task(100), TaskLimits::default()).await;
    created.unwrap();
    let lock = LeaseName::new("last").unwrap();
    assert!(
        store
            .acquire(&lock, HOUR, Duration::ZERO)
            .await
            .unwrap()
            .is_some()
    );
    database.close().await.unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    for (table, left) in [
        ("mailboxes", 1),
        ("mailbox_streams", 0),
        ("mailbox_messages", 0),
        ("locks", 1),
        ("records", 1),
        ("record_accounts", 2),
    ] {
        let sql = format!("SELECT count(*) FROM {table}");
        let rows: u32 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(rows, left, "rows of {table}");
    }
}

#[tokio::test]
async fn a_new_file_has_pages_of_8_kib_and_one_that_exists_keeps_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let page_bytes = |path: &Path| {
        let file = rusqlite::Connection::open(path).unwrap();
        let read = file.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0));
        read.unwrap()
    };
    let (new, old) = (folder.path().join("new.db"), folder.path().join("old.db"));
    let file = rusqlite::Connection::open(&old).unwrap();
    file.execute_batch("PRAGMA page_size = 4096; VACUUM")
        .unwrap();
    drop(file);
    for (path, bytes) in [(new, 8192), (old, 4096)] {
        let database = Database::open(&path).unwrap();
        let log = StoredLog::new(database.log_store());
        log.append(vec![contract::event(1)]).await.unwrap();
        database.close().await.unwrap();
        assert_eq!(page_bytes(&path), bytes);
    }
}
