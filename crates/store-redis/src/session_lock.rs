//! [`ports::SessionLock`]: a lock is one hash, `{prefix}lock:<name>`, with the holder's `token`,
//! `until` when it is held, and the last `fence`. Times are in microseconds of the server's clock.
//!
//! A fencing number is the server's time, or one more than the last number if the time has not
//! advanced. It therefore also rises where a counter would not: after a failover to a replica that
//! missed the last writes, and after the hash is gone. The hash is kept for [`REMEMBERED`] after
//! the lock, so that fencing numbers decrease only if the clock is set back further than that.

use std::time::Duration;

use async_trait::async_trait;
use fred::types::scripts::Script;
use model::{IdSource, LockName, RandomIds};
use ports::{LockError, LockGuardInfo, LockToken, Pauses, SessionLock};
use tokio::time::{Instant, sleep};

use crate::{RedisSessionStore, store::millis};

/// How long a name's last fencing number is kept after the lock ends.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

impl RedisSessionStore {
    async fn on_lock<R: fred::types::FromValue>(
        &self,
        op: &'static str,
        script: &Script,
        (name, token): (&LockName, &LockToken),
        ttl: Duration,
    ) -> Result<R, LockError> {
        let keys = vec![self.index.lock_key(name)];
        let arguments = vec![
            token.as_str().into(),
            millis(ttl).into(),
            millis(REMEMBERED).into(),
        ];
        let call = self.run(op, script, keys, arguments);
        self.bounded(op, call).await
    }
}

#[async_trait]
impl SessionLock for RedisSessionStore {
    async fn acquire(
        &self,
        name: &LockName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<LockGuardInfo>, LockError> {
        let (op, script) = ("acquire a lock", &self.lock_scripts.acquire);
        let token = LockToken::new(RandomIds.uuid());
        let (began, mut pauses) = (Instant::now(), Pauses::within(wait));
        loop {
            let fence: u64 = self.on_lock(op, script, (name, &token), ttl).await?;
            if fence > 0 {
                return Ok(Some(LockGuardInfo { token, fence }));
            }
            let Some(pause) = pauses.next(began.elapsed(), RandomIds.random_u64()) else {
                return Ok(None);
            };
            sleep(pause).await;
        }
    }

    async fn extend(
        &self,
        name: &LockName,
        token: &LockToken,
        ttl: Duration,
    ) -> Result<bool, LockError> {
        let (op, script) = ("extend a lock", &self.lock_scripts.extend);
        let extended: i64 = self.on_lock(op, script, (name, token), ttl).await?;
        Ok(extended == 1)
    }

    async fn release(&self, name: &LockName, token: &LockToken) -> Result<bool, LockError> {
        let (op, script) = ("release a lock", &self.lock_scripts.release);
        let released: i64 = self
            .on_lock(op, script, (name, token), Duration::ZERO)
            .await?;
        Ok(released == 1)
    }
}
