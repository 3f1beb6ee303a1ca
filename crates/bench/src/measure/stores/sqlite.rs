//! The event log on SQLite. The floor is the bare driver: rows of the same size in transactions of as many as wait, with
//! the same fsync, without a queue, and their bare read.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use ports::EventLog;
use rusqlite::{Connection, params};
use store_layers::StoredLog;
use store_sqlite::Database;
use tokio::runtime::Runtime;

use super::{
    APPENDERS, Interleaved, Load, append_flat_out, fill, folder, millis_of, replay, sample,
};
use crate::{measure::MeasurePlan, table::Row};

/// Issue 13: appends per second, fsynced, and the replay of 10,000 events in milliseconds.
const TARGET: f64 = 20_000.0;
const REPLAY_MILLIS: f64 = 20.0;
/// Bytes of a row's body.
const BODY_BYTES: usize = sample::JSON_BYTES + 250;

pub(super) fn run(plan: &MeasurePlan, runtime: &Runtime, rows: &mut Vec<Row>) -> Result<()> {
    for appenders in APPENDERS {
        rows.push(appends(plan, runtime, appenders)?);
    }
    rows.push(replays(plan, runtime)?);
    Ok(())
}

fn appends(plan: &MeasurePlan, runtime: &Runtime, appenders: usize) -> Result<Row> {
    let mut results = Interleaved::default();
    for _ in 0..plan.runs {
        let folder = folder(&plan.scratch)?;
        let mut floor = bare(&folder.path().join("floor.db"))?;
        let bare = bare_inserts(&mut floor, appenders, plan.stores.lasting)?;
        results.floor.push(bare.per_second());
        let database = Database::open(&folder.path().join("log.db"))?;
        let log: Arc<dyn EventLog> = Arc::new(StoredLog::new(database.log_store()));
        let ours = runtime.block_on(append_flat_out(&log, appenders, plan.stores.lasting))?;
        results.ours.push(ours.per_second());
        runtime.block_on(database.close())?;
    }
    let what = format!("SQLite, fsynced appends of one event, {appenders} at a time");
    Ok(results.appends(what, "bare inserts", Some(TARGET)))
}

fn bare(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         CREATE TABLE events (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL);",
    )?;
    Ok(connection)
}

/// Commits `at_once` rows at a time.
fn bare_inserts(connection: &mut Connection, at_once: usize, lasting: Duration) -> Result<Load> {
    let (begun, run, body, mut count) = (
        Instant::now(),
        sample::next_run(),
        vec![b'x'; BODY_BYTES],
        0,
    );
    while begun.elapsed() < lasting {
        let transaction = connection.transaction()?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO events (id, body) VALUES (?1, ?2)")?;
            for _ in 0..at_once {
                insert.execute(params![sample::id(run, count), body])?;
                count += 1;
            }
        }
        transaction.commit()?;
    }
    Ok(Load {
        count,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

fn replays(plan: &MeasurePlan, runtime: &Runtime) -> Result<Row> {
    let (folder, count) = (folder(&plan.scratch)?, plan.stores.replay_events);
    let path = folder.path().join("log.db");
    let database = Database::open(&path)?;
    let log: Arc<dyn EventLog> = Arc::new(StoredLog::new(database.log_store()));
    runtime.block_on(fill(&log, count))?;
    let bare = Connection::open(&path)?;
    let mut results = Interleaved::default();
    for _ in 0..4 * plan.runs {
        results.floor.push(millis_of(bare_replay(&bare, count)?));
        results
            .ours
            .push(millis_of(runtime.block_on(replay(&log, count))?));
    }
    drop(bare);
    runtime.block_on(database.close())?;
    let what = format!("SQLite, replay of {count} events");
    let target = (
        format!("≤ {REPLAY_MILLIS} ms"),
        results.ours() <= REPLAY_MILLIS,
    );
    Ok(results.millis(what, "bare select", target))
}

fn bare_replay(connection: &Connection, count: u64) -> Result<Duration> {
    let begun = Instant::now();
    let mut select =
        connection.prepare_cached("SELECT sequence, body FROM events ORDER BY sequence")?;
    let mut rows = select.query([])?;
    let (mut read, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        read += 1;
        bytes += row.get::<_, Vec<u8>>(1)?.len();
    }
    ensure!(
        read == count && bytes > 0,
        "the floor read {read} of {count} rows"
    );
    Ok(begun.elapsed())
}
