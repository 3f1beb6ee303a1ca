//! When it is swept, and by which replica: one at a time, under a lease.
//!
//! The lease saves requests to GitHub and nothing else. Two replicas that sweep at once, because one was paused for longer
//! than the lease, store each event once: the log knows its id. So no write carries the fence; `/health` shows it.

use std::{sync::Arc, time::Duration};

use model::{LeaseName, Timestamp};
use ports::{LeaseToken, Leases};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    metrics::SweepEnd,
    status::{GapStatus, SweepTurn},
    sweep::GapSweeper,
};
use crate::{
    held_lease::until_lost,
    limits::{SWEEP_CONTINUES, SYNC_LEASE, SYNC_LEASE_STEP},
    mirror::{Mirror, MirrorPosition},
    sweep_marks::SweepMarkRecord,
};

/// The name of the lease.
const LEASE: &str = "github-sync:sweep";

/// Sweeps at intervals.
#[derive(Debug)]
pub(super) struct SweepTurns {
    pub(super) sweeper: GapSweeper,
    pub(super) interval: Duration,
    /// `None` if no other process can have the same log.
    pub(super) leases: Option<Arc<dyn Leases>>,
    pub(super) mirror: Arc<Mirror>,
    pub(super) status: Arc<GapStatus>,
    /// Where the comparison learns what was swept.
    pub(super) marks: Option<SweepMarkRecord>,
}

impl SweepTurns {
    /// Sweeps until `stop`: once the log is read for the first time, at intervals, and when the log was put back or
    /// replaced. The lease is released at the end, so that another replica begins at once.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut caught_up = self.mirror.caught_up();
        let read = stop.run_until_cancelled(caught_up.wait_for(|caught_up| *caught_up));
        if !matches!(read.await, Some(Ok(_))) {
            return;
        }
        let Some(leases) = self.leases.clone() else {
            self.status.turn(SweepTurn::Here { fence: None });
            stop.run_until_cancelled(self.sweep_at_intervals()).await;
            return;
        };
        let name = LeaseName::new(LEASE).expect("a constant of visible ASCII");
        while !stop.is_cancelled() {
            let acquired = timeout(
                SYNC_LEASE_STEP,
                leases.acquire(&name, SYNC_LEASE, Duration::ZERO),
            );
            match stop.run_until_cancelled(acquired).await {
                Some(Ok(Ok(Some(lease)))) => {
                    let fence = Some(lease.fence);
                    info!(fence, "this replica sweeps GitHub's lists of deliveries");
                    self.status.turn(SweepTurn::Here { fence });
                    self.sweep_under(&leases, (&name, &lease.token), &stop)
                        .await;
                }
                Some(Ok(Ok(None))) => {
                    self.status.turn(SweepTurn::Elsewhere);
                }
                Some(Ok(Err(error))) => self.lease_fails(&error),
                Some(Err(elapsed)) => self.lease_fails(&elapsed),
                None => return,
            }
            stop.run_until_cancelled(sleep(SYNC_LEASE_STEP)).await;
        }
    }

    fn lease_fails(&self, error: &dyn std::fmt::Display) {
        if self.status.turn(SweepTurn::Unknown) {
            warn!(%error, "lost webhooks are not looked for now: the lease of the sweep cannot be taken");
        } else {
            debug!(%error, "the lease of the sweep cannot be taken");
        }
    }

    async fn sweep_under(
        &mut self,
        leases: &Arc<dyn Leases>,
        (name, token): (&LeaseName, &LeaseToken),
        stop: &CancellationToken,
    ) {
        let held = async {
            tokio::select! {
                biased;
                () = until_lost(&**leases, name, token) => true,
                never = self.sweep_at_intervals() => match never {},
            }
        };
        match stop.run_until_cancelled(held).await {
            Some(_) => {
                warn!(
                    "this replica has stopped to look for lost webhooks: the lease of the sweep is lost"
                );
                self.status.turn(SweepTurn::Unknown);
            }
            None => {
                // What is not released ends by itself.
                let released = timeout(SWEEP_CONTINUES, leases.release(name, token)).await;
                debug!(?released, "the lease of the sweep is given back");
            }
        }
    }

    /// Tells the comparison of which places nothing is missing as of `began`.
    async fn mark(&self, began: Timestamp) {
        let Some(record) = &self.marks else {
            return;
        };
        let places = self.status.settled_places();
        if places.is_empty() {
            return;
        }
        let marked = async {
            let mut marks = record.load().await?;
            marks.note(&places, began);
            record.store(&marks).await
        };
        match timeout(SYNC_LEASE_STEP, marked).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "what was swept is not noted"),
            Err(elapsed) => debug!(%elapsed, "what was swept is not noted"),
        }
    }

    async fn sweep_at_intervals(&mut self) -> std::convert::Infallible {
        let mut followed = self.mirror.followed();
        let mut generation = followed.borrow_and_update().generation;
        // Another replica may have swept since.
        self.sweeper.forget_settled();
        loop {
            let began = self.sweeper.now_here();
            let end = self.sweeper.sweep().await;
            self.mark(began).await;
            let pause = match end {
                SweepEnd::bound => self.interval.min(SWEEP_CONTINUES),
                SweepEnd::whole | SweepEnd::budget | SweepEnd::failed => self.interval,
            };
            tokio::select! {
                biased;
                () = log_changed(&mut followed, generation) => {
                    generation = followed.borrow_and_update().generation;
                    info!("the event log is another one or was put back: GitHub's lists are swept from the start");
                    self.sweeper.forget_settled();
                }
                () = sleep(pause) => {}
            }
        }
    }
}

/// Waits until the follower has noticed that the log is not the one that it was.
async fn log_changed(followed: &mut watch::Receiver<MirrorPosition>, generation: u64) {
    let changed = followed.wait_for(|now| now.generation != generation);
    // The mirror lives as long as its role.
    if changed.await.is_err() {
        std::future::pending::<()>().await;
    }
}
