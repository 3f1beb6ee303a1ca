//! [`ports::Leases`]: a lock is one hash, `{prefix}lock:<name>`, with the holder's `token`,
//! `until` when it is held, and the last `fence`. Times are in microseconds of the server's clock.
//!
//! A fencing number is the server's time, or one more than the last number if the time has not
//! advanced. It therefore also rises where a counter would not: after a failover to a replica that
//! missed the last writes, and after the hash is gone. The hash is kept for [`REMEMBERED`] after
//! the lock, so that fencing numbers decrease only if the clock is set back further than that.

use std::time::Duration;

use async_trait::async_trait;
use fred::types::scripts::Script;
use model::{IdSource, LeaseName, RandomIds};
use ports::{Lease, LeaseToken, Leases, Pauses, StoreFailure};
use tokio::time::{Instant, sleep};

use crate::{RedisSessionStore, store::millis};

/// How long a name's last fencing number is kept after the lock ends.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

impl RedisSessionStore {
    async fn on_lock<R: fred::types::FromValue>(
        &self,
        op: &'static str,
        script: &Script,
        (name, token): (&LeaseName, &LeaseToken),
        ttl: Duration,
    ) -> Result<R, StoreFailure> {
        let keys = [self.keys.lease_key(name)];
        let arguments = vec![
            token.as_str().into(),
            millis(ttl).into(),
            millis(REMEMBERED).into(),
        ];
        let call = self.run_on_shared(op, script, &keys, arguments);
        self.bounded(op, call).await
    }
}

#[async_trait]
impl Leases for RedisSessionStore {
    async fn acquire(
        &self,
        name: &LeaseName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<Lease>, StoreFailure> {
        let (op, script) = ("acquire a lock", &self.lease_scripts.acquire);
        let token = LeaseToken::new(RandomIds.uuid());
        let (began, mut pauses) = (Instant::now(), Pauses::within(wait));
        loop {
            let fence: u64 = self.on_lock(op, script, (name, &token), ttl).await?;
            if fence > 0 {
                return Ok(Some(Lease { token, fence }));
            }
            let Some(pause) = pauses.next(began.elapsed(), RandomIds.random_u64()) else {
                return Ok(None);
            };
            sleep(pause).await;
        }
    }

    async fn extend(
        &self,
        name: &LeaseName,
        token: &LeaseToken,
        ttl: Duration,
    ) -> Result<bool, StoreFailure> {
        let (op, script) = ("extend a lock", &self.lease_scripts.extend);
        let extended: i64 = self.on_lock(op, script, (name, token), ttl).await?;
        Ok(extended == 1)
    }

    async fn release(&self, name: &LeaseName, token: &LeaseToken) -> Result<bool, StoreFailure> {
        let (op, script) = ("release a lock", &self.lease_scripts.release);
        let released: i64 = self
            .on_lock(op, script, (name, token), Duration::ZERO)
            .await?;
        Ok(released == 1)
    }
}
