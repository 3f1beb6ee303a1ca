//! What a file knows of the events that were removed from it.

use contract::StoredLog;
use contract::{event, events};
use ports::EventLog;
use rusqlite::Connection;
use store_sqlite::Database;

#[tokio::test]
async fn a_file_that_an_older_build_trimmed_goes_by_the_first_event_that_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forgewire.db");
    let received = |n: u64| event(n).facts.received_at;
    let database = Database::open(&path).unwrap();
    StoredLog::new(database.log_store())
        .append(events(0, 10))
        .await
        .unwrap();
    StoredLog::new(database.log_store())
        .trim(received(4))
        .await
        .unwrap();
    database.close().await.unwrap();
    // An older build moves the position, and does not keep the time.
    let file = Connection::open(&path).unwrap();
    let stale = "UPDATE meta SET value = 2 WHERE key = 'newest_trimmed_through'; \
                 UPDATE meta SET value = 0 WHERE key = 'newest_trimmed'";
    file.execute_batch(stale).unwrap();
    drop(file);
    let database = Database::open(&path).unwrap();
    let log = StoredLog::new(database.log_store());
    for (from, truncated) in [(0, true), (3, true), (4, false), (9, false)] {
        let found = log.seek(received(from)).await.unwrap();
        assert_eq!(found.truncated, truncated, "from event {from}");
    }
    // The next removal of this build makes it exact again.
    log.trim(received(6)).await.unwrap();
    assert!(log.seek(received(5)).await.unwrap().truncated);
    assert!(!log.seek(received(6)).await.unwrap().truncated);
    database.close().await.unwrap();
}
