//! Many concurrent callers: every acknowledged event is stored. Prints its rate without asserting
//! one, because machines differ. For representative figures run `cargo test --release -p
//! store-sqlite --test speed -- --nocapture`.

use std::time::Instant;

use contract::StoredLog;
use model::Sequence;
use ports::EventLog;
use store_sqlite::Database;

const CALLERS: u64 = 256;
const APPENDS: u64 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_share_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("speed.db")).unwrap();
    let started = Instant::now();
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let log = StoredLog::new(database.log_store());
            tokio::spawn(async move {
                for n in 0..APPENDS {
                    let mut event = contract::event(caller * 1000 + n);
                    event.json = vec![b'x'; 4096].into();
                    log.append(vec![event]).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let appends = CALLERS * APPENDS;
    let rate = f64::from(u32::try_from(appends).unwrap()) / started.elapsed().as_secs_f64();
    println!("{rate:.0} durable appends/s from {CALLERS} callers");
    let log = StoredLog::new(database.log_store());
    let started = Instant::now();
    let (mut events, mut after) = (0, Sequence::START);
    // Page by page, because one has little more than a mebibyte.
    loop {
        let page = log.read_after(after, 10_000).await.unwrap();
        (events, after) = (events + page.events.len(), page.through);
        if page.at_head {
            break;
        }
    }
    let millis = started.elapsed().as_millis();
    println!("{events} events of 4 KiB read in {millis} ms");
    assert_eq!(u64::try_from(events).unwrap(), appends);
    database.close().await.unwrap();
}
