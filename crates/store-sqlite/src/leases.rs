//! Locks, in one table, with one counter of fencing numbers for all names.

use std::time::Duration;

use async_trait::async_trait;
use model::{IdSource, LeaseName, RandomIds, Timestamp};
use ports::{Lease, LeaseToken, Leases, Pauses, StoreFailure};
use rusqlite::{Connection, params};
use tokio::time::{Instant, timeout};

use crate::{SqliteSessionStore, numbers::next_number};

/// The shortest time to live: a lock that expired at once would have no holder.
const SHORTEST_TTL: Duration = Duration::from_millis(1);
/// Number of expired locks that each `acquire` deletes: more than one, so that they never
/// accumulate.
const SWEEP_ROWS: u32 = 16;

/// Acquires a name if it is free; returns the fencing number.
fn take(
    connection: &Connection,
    (name, token): (&str, &str),
    now: Timestamp,
    ttl: Duration,
) -> rusqlite::Result<Option<i64>> {
    let sql = "INSERT INTO locks (name, token, expires_at) VALUES (?1, ?2, ?3) \
               ON CONFLICT (name) DO UPDATE \
               SET token = excluded.token, expires_at = excluded.expires_at \
               WHERE expires_at <= ?4";
    let expires_at = now.plus(ttl.max(SHORTEST_TTL)).unix_millis();
    let columns = params![name, token, expires_at, now.unix_millis()];
    if connection.prepare_cached(sql)?.execute(columns)? == 0 {
        return Ok(None);
    }
    let sql = "DELETE FROM locks WHERE name IN \
               (SELECT name FROM locks WHERE expires_at <= ?1 LIMIT ?2)";
    let columns = params![now.unix_millis(), SWEEP_ROWS];
    connection.prepare_cached(sql)?.execute(columns)?;
    let sql = "UPDATE meta SET value = max(value + 1, ?1) WHERE key = 'last_fence' RETURNING value";
    let mut statement = connection.prepare_cached(sql)?;
    let floor = next_number(0, now).cast_signed();
    statement.query_row([floor], |row| row.get(0)).map(Some)
}

#[async_trait]
impl Leases for SqliteSessionStore {
    async fn acquire(
        &self,
        name: &LeaseName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<Lease>, StoreFailure> {
        let token = LeaseToken::new(RandomIds.uuid());
        let (began, mut pauses) = (Instant::now(), Pauses::within(wait));
        loop {
            // Start listening before the check, so that a release in between is not missed.
            let released = self.database.0.released.notified();
            let (lock, mine) = (name.clone(), token.clone());
            let take = move |connection: &Connection, now| {
                take(connection, (lock.as_str(), mine.as_str()), now, ttl)
            };
            let fence = self.write_now(0, take).await;
            let fence = fence.map_err(|error| error.failing("acquire a lock"))?;
            if let Some(fence) = fence {
                let fence = fence.cast_unsigned();
                return Ok(Some(Lease { token, fence }));
            }
            let Some(pause) = pauses.next(began.elapsed(), RandomIds.random_u64()) else {
                return Ok(None);
            };
            // Check again whether notified or not: a lock may have expired as well.
            let _ = timeout(pause, released).await;
        }
    }

    async fn extend(
        &self,
        name: &LeaseName,
        token: &LeaseToken,
        ttl: Duration,
    ) -> Result<bool, StoreFailure> {
        let (name, token) = (name.clone(), token.clone());
        let extend = move |connection: &Connection, now: Timestamp| {
            let sql = "UPDATE locks SET expires_at = ?3 \
                       WHERE name = ?1 AND token = ?2 AND expires_at > ?4";
            let expires_at = now.plus(ttl.max(SHORTEST_TTL)).unix_millis();
            let columns = params![name.as_str(), token.as_str(), expires_at, now.unix_millis()];
            Ok(connection.prepare_cached(sql)?.execute(columns)? > 0)
        };
        let extended = self.write_now(0, extend).await;
        extended.map_err(|error| error.failing("extend a lock"))
    }

    async fn release(&self, name: &LeaseName, token: &LeaseToken) -> Result<bool, StoreFailure> {
        let (name, token) = (name.clone(), token.clone());
        let release = move |connection: &Connection, now: Timestamp| {
            let sql = "DELETE FROM locks WHERE name = ?1 AND token = ?2 AND expires_at > ?3";
            let columns = params![name.as_str(), token.as_str(), now.unix_millis()];
            Ok(connection.prepare_cached(sql)?.execute(columns)? > 0)
        };
        let released = self.write_now(0, release).await;
        let released = released.map_err(|error| error.failing("release a lock"))?;
        if released {
            self.database.0.released.notify_waiters();
        }
        Ok(released)
    }
}
