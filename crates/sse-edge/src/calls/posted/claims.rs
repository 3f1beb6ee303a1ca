//! The posted calls that this edge has claimed: whether the store still has their records. One that was put back to an
//! earlier state has lost the newest, and nobody would answer in the place of this edge.

use std::{collections::BTreeMap, sync::Arc};

use edge_records::{PostedCallName, PostedCallRecords};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{calls::edge_lease::EdgeLease, limits::CALL_DEADLINE};

/// The claims that hold, by their age. A store that goes back loses its last changes, so the newest claim tells of all.
#[derive(Debug, Default)]
pub(crate) struct PostedClaims {
    table: Mutex<ClaimTable>,
    /// Changes when the store was found to have lost claims.
    losses: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct ClaimTable {
    next: u64,
    by_age: BTreeMap<u64, PostedCallName>,
}

/// A claim that holds until this is dropped.
#[derive(Debug)]
pub(super) struct HeldClaim {
    claims: Arc<PostedClaims>,
    number: u64,
}

impl PostedClaims {
    /// Notes a claim that was just stored.
    pub(super) fn hold(self: &Arc<Self>, name: PostedCallName) -> HeldClaim {
        let mut table = self.table.lock();
        let number = table.next;
        table.next += 1;
        table.by_age.insert(number, name);
        HeldClaim {
            claims: Arc::clone(self),
            number,
        }
    }

    /// Tells when the store has lost claims.
    pub(super) fn losses(&self) -> watch::Receiver<()> {
        self.losses.subscribe()
    }

    fn newest(&self) -> Option<PostedCallName> {
        let table = self.table.lock();
        let newest = table.by_age.last_key_value();
        newest.map(|(_, name)| name.clone())
    }

    /// Asks for the newest claim, as often as the lease of the edge is extended: one read for all calls. Runs until the
    /// process stops.
    pub(crate) async fn watch(
        &self,
        (posted, lease): (&PostedCallRecords, &EdgeLease),
        closed: CancellationToken,
    ) {
        loop {
            tokio::select! {
                biased;
                () = closed.cancelled() => return,
                () = sleep(lease.lasts() / 3) => {}
            }
            let (Some(name), Some(edge)) = (self.newest(), lease.held_name()) else {
                continue;
            };
            let look = posted.has_claim(&name, &edge);
            match timeout(CALL_DEADLINE, look).await {
                Ok(Ok(true)) => {}
                // It may have ended meanwhile.
                Ok(Ok(false)) if self.newest().as_ref() == Some(&name) => {
                    warn!("the store has lost records of posted calls; they are stored again");
                    self.losses.send_replace(());
                }
                Ok(Ok(false)) => {}
                Ok(Err(error)) => debug!(%error, "posted calls cannot be looked for now"),
                Err(_) => debug!("posted calls cannot be looked for now"),
            }
        }
    }
}

impl Drop for HeldClaim {
    fn drop(&mut self) {
        self.claims.table.lock().by_age.remove(&self.number);
    }
}
