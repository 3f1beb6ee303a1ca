use std::time::Duration;

use model::{PrincipalId, RecordId, SystemClock};
use ports::{Collection, NewRecord, RecordKey, RecordLimits, Records, StoreFailure};

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const THINGS: Collection = Collection::new("things");

/// The largest number of pages that the file may have: a disk that is full, and is enlarged.
async fn limit_pages(store: &SqliteSessionStore, pages: i64) {
    let limit = move |connection: &Connection, _| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        connection.query_row(&sql, [], |_| Ok(()))
    };
    store.write_now(0, limit).await.unwrap();
}

fn record(id: &str, bytes: usize) -> NewRecord {
    NewRecord {
        key: RecordKey {
            collection: THINGS,
            id: RecordId::new(id).unwrap(),
        },
        owner: PrincipalId::anonymous(),
        state: vec![b'x'; bytes].into(),
        ttl: HOUR,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_write_that_found_no_room_the_checks_tell_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("db")).unwrap();
    let store = database.session_store(Arc::new(SystemClock));
    let small = record("small", 10);
    let created = Records::create(&store, &small, RecordLimits::default());
    created.await.unwrap();
    limit_pages(&store, 1).await; // SQLite takes the present size for a smaller one.
    Records::check(&store, THINGS)
        .await
        .expect("nothing was refused");
    let large = record("large", RecordLimits::MAX_STATE_BYTES);
    let refused = Records::create(&store, &large, RecordLimits::default()).await;
    assert!(
        matches!(
            refused,
            Err(ports::RecordsError::Failed(StoreFailure::Overloaded { .. }))
        ),
        "{refused:?}"
    );
    for _ in 0..2 {
        let refused = Records::check(&store, THINGS).await;
        assert!(
            matches!(refused, Err(StoreFailure::Overloaded { .. })),
            "{refused:?}"
        );
        let others = Records::check(&store, Collection::new("others")).await;
        others.expect_err("one file");
    }
    Records::touch(&store, &small.key, HOUR)
        .await
        .expect("a small write has room");
    Records::check(&store, THINGS)
        .await
        .expect_err("a large one has none");
    limit_pages(&store, 1_000_000).await;
    Records::check(&store, THINGS).await.unwrap();
    let created = Records::create(&store, &large, RecordLimits::default()).await;
    created.unwrap();
    Records::check(&store, THINGS).await.unwrap();
}
