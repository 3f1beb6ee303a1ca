use contract::{StoredLog, events};
use ports::EventLog;

use super::*;

/// The largest number of pages that the file may have: a disk that is full, and is enlarged.
async fn limit_pages(log: &SqliteLogStore, pages: i64) {
    let limit = move |connection: &Connection| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        connection.query_row(&sql, [], |_| Ok(()))
    };
    log.write("limit", 0, limit).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_append_that_found_no_room_a_write_of_its_size_tells_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("db")).unwrap();
    let store = database.log_store();
    let log = StoredLog::new(store.clone());
    log.append(events(0, 1)).await.unwrap();
    log.check_append().await.unwrap();
    limit_pages(&store, 1).await; // SQLite takes the present size for a smaller one.
    let large = || events(1, 2001);
    log.append(large()).await.expect_err("there is no room");
    log.check_append().await.expect_err("there is still none");
    log.head().await.expect("reading needs none");
    limit_pages(&store, 1_000_000).await;
    let before = log.head().await.unwrap();
    log.check_append().await.unwrap();
    assert_eq!(
        log.head().await.unwrap(),
        before,
        "the trial leaves nothing to read"
    );
    log.append(large()).await.unwrap();
    log.check_append().await.unwrap();
    database.close().await.unwrap();
    log.check_append()
        .await
        .expect_err("the database is closed");
}
