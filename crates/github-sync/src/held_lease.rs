//! A lease that is held while something runs.

use std::time::Duration;

use model::LeaseName;
use ports::{LeaseToken, Leases};
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::limits::{SYNC_LEASE, SYNC_LEASE_STEP};

/// Extends a lease until that is refused, or until it has run out without an answer.
pub(crate) async fn until_lost(leases: &dyn Leases, name: &LeaseName, token: &LeaseToken) {
    let mut since_extended = Duration::ZERO;
    while since_extended + SYNC_LEASE_STEP < SYNC_LEASE {
        sleep(SYNC_LEASE_STEP).await;
        let extended = timeout(SYNC_LEASE_STEP / 2, leases.extend(name, token, SYNC_LEASE)).await;
        since_extended += SYNC_LEASE_STEP;
        match extended {
            Ok(Ok(true)) => since_extended = Duration::ZERO,
            Ok(Ok(false)) => return,
            Ok(Err(error)) => debug!(%name, %error, "a lease is not extended"),
            Err(elapsed) => debug!(%name, %elapsed, "a lease is not extended"),
        }
    }
}
