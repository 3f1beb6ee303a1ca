//! The files of a database vanish or change under the process that uses them: nothing is acknowledged that
//! the next start would not find, and the owner learns of it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use contract::StoredLog;
use model::Sequence;
use ports::{EventLog, EventLogError};
use store_sqlite::{Database, DatabaseFailure};
use tokio::time::timeout;

/// The owner learns of it "within seconds", also while nothing is written.
const SOON: Duration = Duration::from_secs(5);

/// Time for the first look at the files, which is immediate.
const AT_ONCE: Duration = Duration::from_millis(100);

/// A database with some events, in a folder of its own.
struct Fixture {
    _folder: tempfile::TempDir,
    path: PathBuf,
    database: Database,
}

/// The number of events in a new one.
const EVENTS: u64 = 20;

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("100% of it?.db");
        let database = Database::open(&path).unwrap();
        let events = contract::events(0, EVENTS);
        StoredLog::new(database.log_store())
            .append(events)
            .await
            .unwrap();
        Self {
            _folder: folder,
            path,
            database,
        }
    }

    /// The path with more at the end.
    fn beside(&self, more: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(more);
        path.into()
    }

    /// A copy as a backup makes it, without the write-ahead log.
    async fn copy(&self) -> PathBuf {
        let copy = self.beside(".copy");
        let sql = format!("VACUUM INTO '{}'", copy.display());
        let source = rusqlite::Connection::open(&self.path).unwrap();
        source.execute_batch(&sql).unwrap();
        copy
    }

    async fn append(&self, n: u64) -> Result<(), EventLogError> {
        let log = StoredLog::new(self.database.log_store());
        log.append(vec![contract::event(n)]).await.map(drop)
    }

    async fn failure(&self) -> DatabaseFailure {
        let failed = timeout(SOON, self.database.failed()).await;
        failed.expect("the owner learns of it")
    }

    /// Nothing is acknowledged, the reason is told, and the database is closed.
    async fn ends_with(&self, failure: DatabaseFailure) {
        let refused = self.append(1000).await;
        assert!(
            matches!(refused, Err(EventLogError::Unavailable { .. })),
            "{refused:?}"
        );
        let log = StoredLog::new(self.database.log_store());
        log.check_append().await.expect_err("not ready");
        assert_eq!(self.failure().await, failure);
        self.database.close().await.unwrap();
    }
}

/// The number of events in a file, which is whole.
async fn events_in(path: &Path) -> u64 {
    let whole: String = rusqlite::Connection::open(path)
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(whole, "ok");
    let database = Database::open(path).unwrap();
    let page = StoredLog::new(database.log_store())
        .read_after(Sequence::START, 1000)
        .await;
    database.close().await.unwrap();
    page.unwrap().events.len().try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_into_a_file_that_was_removed() {
    let fixture = Fixture::new().await;
    fs::remove_file(&fixture.path).unwrap();
    fixture.ends_with(DatabaseFailure::Removed).await;
    assert!(!fixture.path.exists(), "it does not come back by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_file_is_noticed_without_a_write_and_can_be_put_back() {
    let fixture = Fixture::new().await;
    let elsewhere = fixture.beside(".elsewhere");
    fs::rename(&fixture.path, &elsewhere).unwrap();
    assert_eq!(fixture.failure().await, DatabaseFailure::Removed);
    fs::rename(&elsewhere, &fixture.path).unwrap();
    fixture.database.close().await.unwrap();
    assert_eq!(events_in(&fixture.path).await, EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_replaced_stays_as_it_is() {
    let fixture = Fixture::new().await;
    let copy = fixture.copy().await;
    fixture.append(500).await.unwrap();
    fs::rename(&copy, &fixture.path).unwrap();
    fixture.ends_with(DatabaseFailure::Replaced).await;
    assert_eq!(events_in(&fixture.path).await, EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_overwritten_stays_as_it_is() {
    let fixture = Fixture::new().await;
    let copy = fixture.copy().await;
    fixture.append(500).await.unwrap();
    fs::copy(&copy, &fixture.path).unwrap();
    fixture.ends_with(DatabaseFailure::Overwritten).await;
    assert!(fixture.beside("-wal.replaced").exists());
    assert_eq!(events_in(&fixture.path).await, EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwritten_file_is_noticed_without_a_write() {
    let fixture = Fixture::new().await;
    fs::write(&fixture.path, "no database").unwrap();
    assert_eq!(fixture.failure().await, DatabaseFailure::Overwritten);
    fixture.database.close().await.unwrap();
    assert_eq!(fs::read(&fixture.path).unwrap(), b"no database");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_removed_write_ahead_log() {
    let fixture = Fixture::new().await;
    fs::remove_file(fixture.beside("-wal")).unwrap();
    let failure = DatabaseFailure::WriteAheadLogRemoved;
    assert_eq!(fixture.failure().await, failure);
    fixture.ends_with(failure).await;
    assert!(events_in(&fixture.path).await >= EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_ahead_log_that_was_cut_does_not_spoil_the_file() {
    for left in [0, 5000] {
        let fixture = Fixture::new().await;
        // Enough commits for a checkpoint, and some more.
        for n in 500..900 {
            fixture.append(n).await.unwrap();
        }
        let wal = fs::OpenOptions::new()
            .write(true)
            .open(fixture.beside("-wal"))
            .unwrap();
        wal.set_len(left).unwrap();
        fixture.ends_with(DatabaseFailure::WriteAheadLogCut).await;
        let kept = events_in(&fixture.path).await;
        assert!((EVENTS..EVENTS + 400).contains(&kept), "{kept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_write_ahead_log_is_noticed_without_a_write() {
    let fixture = Fixture::new().await;
    let wal = fs::OpenOptions::new()
        .write(true)
        .open(fixture.beside("-wal"))
        .unwrap();
    wal.set_len(0).unwrap();
    assert_eq!(fixture.failure().await, DatabaseFailure::WriteAheadLogCut);
    fixture.database.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_lock_file_ends_the_use_before_another_process_begins() {
    let fixture = Fixture::new().await;
    fs::remove_file(fixture.beside(".lock")).unwrap();
    fixture.ends_with(DatabaseFailure::LockRemoved).await;
    assert!(events_in(&fixture.path).await >= EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_only_touched_is_no_failure_and_neither_is_a_closed_one() {
    let fixture = Fixture::new().await;
    let touched = Command::new("touch").arg(&fixture.path).status();
    assert!(touched.unwrap().success());
    fixture.append(500).await.unwrap();
    // Enough commits for some checkpoints, the writes of this process itself.
    for n in 501..900 {
        fixture.append(n).await.unwrap();
    }
    let failed = timeout(AT_ONCE, fixture.database.failed());
    assert!(failed.await.is_err());
    fixture.database.close().await.unwrap();
    fs::remove_file(&fixture.path).unwrap();
    let failed = timeout(AT_ONCE, fixture.database.failed());
    assert!(failed.await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_in_use_is_protected_as_well() {
    let fixture = Fixture::new().await;
    let copy = fixture.copy().await;
    fixture.database.close().await.unwrap();
    fs::rename(&copy, &fixture.path).unwrap();
    let database = Database::open(&fixture.path).unwrap();
    let newer = fixture.copy().await;
    fs::copy(&newer, &fixture.path).unwrap();
    let failed = timeout(SOON, database.failed()).await;
    assert_eq!(failed, Ok(DatabaseFailure::Overwritten));
    database.close().await.unwrap();
}
