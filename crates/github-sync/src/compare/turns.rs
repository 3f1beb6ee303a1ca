//! When a place is compared, and by which replica.
//!
//! Each comparison has a lease of its own, and whoever takes it when a place is due compares it. So the work is shared by
//! whoever is there: a new replica takes its share at the next turn, and what a dead one held is due again when its lease has
//! run out.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream};
use model::LeaseName;
use parking_lot::Mutex;
use ports::Leases;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    asked::AskedComparisons,
    comparer::Comparer,
    error::CompareError,
    metrics::CompareEnd,
    pass::Pass,
    place_records::{PlaceLabel, PlaceState},
    stored_news::StoredElsewhere,
};
use crate::{
    held_lease::until_lost,
    limits::{
        COMPARE_CONTINUES, COMPARE_STEP, PLACES_COMPARED_AT_ONCE, PLACES_PER_READ, RESTORE_TIME,
        SYNC_LEASE, SYNC_LEASE_STEP,
    },
    mirror::Mirror,
};

/// Compares places at intervals.
#[derive(Debug)]
pub(super) struct CompareTurns {
    pub(super) comparer: Arc<Comparer>,
    pub(super) interval: Duration,
    /// Time limit of one comparison.
    pub(super) time_limit: Duration,
    /// `None` if no other process has the same store.
    pub(super) leases: Option<Arc<dyn Leases>>,
    pub(super) asked: Arc<AskedComparisons>,
    pub(super) stored_elsewhere: Arc<StoredElsewhere>,
    pub(super) mirror: Arc<Mirror>,
    /// What this replica knows of the places.
    pub(super) known: Mutex<HashMap<PlaceLabel, PlaceTurn>>,
}

/// What this replica knows of a place.
#[derive(Debug, Default)]
pub(super) struct PlaceTurn {
    /// When it is due; at once, if that is not known.
    due: Option<Instant>,
    /// The generation of stored states that the mirror has.
    generation: Option<u64>,
}

impl CompareTurns {
    /// Compares until `stop`, once the stored mirror was read (`restored` is called then, or when that takes too long) and the
    /// mirror has caught up with the log.
    pub(super) async fn run(self, stop: CancellationToken, restored: impl FnOnce() + Send) {
        let restore = timeout(RESTORE_TIME, self.restore());
        match stop.run_until_cancelled(restore).await {
            None => return,
            Some(Ok(())) => {}
            Some(Err(_)) => warn!(
                "the stored mirror is not read in time: the role is ready with what events show, and goes on to read"
            ),
        }
        restored();
        let mut caught_up = self.mirror.caught_up();
        let read = stop.run_until_cancelled(caught_up.wait_for(|caught_up| *caught_up));
        if !matches!(read.await, Some(Ok(_))) {
            return;
        }
        let both = async { tokio::join!(self.turns(), self.looks()) };
        stop.run_until_cancelled(both).await;
    }

    /// Takes in what another replica has stored, as soon as that one says so.
    async fn looks(&self) -> std::convert::Infallible {
        loop {
            let places = self.stored_elsewhere.next().await;
            let labels = self.comparer.labels.lock().clone();
            let known = places.into_iter().filter(|place| labels.contains(place));
            let known: Vec<_> = known.collect();
            for labels in known.chunks(PLACES_PER_READ) {
                if let Err(error) = self.look_at(labels).await {
                    debug!(%error, "the stored mirror cannot be read");
                }
            }
        }
    }

    /// Reads what is stored of all places.
    async fn restore(&self) {
        self.look().await;
        let restored = self.mirror.resources();
        self.comparer.status.restored(restored);
        info!(restored, "the stored mirror was read");
    }

    async fn turns(&self) -> std::convert::Infallible {
        let mut looked = Instant::now();
        loop {
            let is_shared = self.leases.is_some() && looked.elapsed() >= COMPARE_STEP;
            if is_shared || !self.knows_all() {
                looked = Instant::now();
                self.look().await;
            }
            let due = self.due();
            let has_due = !due.is_empty();
            let turns: Vec<_> = due.iter().map(|label| self.turn(label).boxed()).collect();
            let turns = stream::iter(turns).buffer_unordered(PLACES_COMPARED_AT_ONCE);
            turns.collect::<()>().await;
            let pause = match has_due {
                true => COMPARE_CONTINUES,
                false => COMPARE_STEP,
            };
            tokio::select! {
                biased;
                () = self.asked.wait() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Takes in what others have stored since the last look.
    async fn look(&self) {
        let labels = self.comparer.labels.lock().clone();
        for labels in labels.chunks(PLACES_PER_READ) {
            let looked = self.look_at(labels).await;
            let now = self.comparer.clock.now();
            let is_news = self.comparer.status.stores(looked.as_ref().err(), now);
            match looked {
                Err(error) if is_news => warn!(%error, "the stored mirror cannot be read"),
                Err(error) => debug!(%error, "the stored mirror cannot be read"),
                Ok(()) if is_news => info!("the stored mirror can be read again"),
                Ok(()) => {}
            }
        }
    }

    async fn look_at(&self, labels: &[PlaceLabel]) -> Result<(), CompareError> {
        let states = self.comparer.places.load_many(labels).await?;
        let mut failure = None;
        for (label, state) in labels.iter().zip(states) {
            let taken = match state {
                Some(state) => self.take_in(label, &state).await,
                // Nobody has compared it yet.
                None => {
                    let mut known = self.known.lock();
                    known
                        .entry(label.clone())
                        .or_default()
                        .generation
                        .get_or_insert(0);
                    Ok(())
                }
            };
            // One place hinders no other.
            failure = taken.err().or(failure);
        }
        failure.map_or(Ok(()), Err)
    }

    /// Whether what is stored of all places was read.
    fn knows_all(&self) -> bool {
        let known = self.known.lock();
        let is_known = |label| {
            known
                .get(label)
                .is_some_and(|known| known.generation.is_some())
        };
        self.comparer.labels.lock().iter().all(is_known)
    }

    async fn take_in(&self, label: &PlaceLabel, state: &PlaceState) -> Result<(), CompareError> {
        let generation = self
            .known
            .lock()
            .get(label)
            .and_then(|known| known.generation);
        let generation = self.comparer.take_in(label, state, generation).await?;
        self.comparer.status.stored(label, state);
        self.note(label, state, generation);
        Ok(())
    }

    fn note(&self, label: &PlaceLabel, state: &PlaceState, generation: u64) {
        let mut known = self.known.lock();
        let known = known.entry(label.clone()).or_default();
        known.generation = Some(generation);
        let since = state
            .finished_at
            .map(|at| self.comparer.clock.now().since(at));
        known.due = match (since, self.interval.is_zero()) {
            (None, _) => None,
            // Compared once and, without an interval, not again unless it is asked for.
            (Some(_), true) => Some(Instant::now() + Duration::from_secs(24 * 3600)),
            (Some(since), false) => Some(Instant::now() + self.interval.saturating_sub(since)),
        };
    }

    /// The places whose turn it is. Each replica begins with another one.
    fn due(&self) -> Vec<PlaceLabel> {
        let labels = self.comparer.labels.lock().clone();
        let known = self.known.lock();
        let now = Instant::now();
        let is_due = |label: &PlaceLabel| {
            // Not before what is stored of it was read: what is not known would be taken for new.
            let Some(known) = known.get(label).filter(|known| known.generation.is_some()) else {
                return false;
            };
            self.asked.has(label) || known.due.is_none_or(|due| due <= now)
        };
        let mut due: Vec<_> = labels.into_iter().filter(is_due).collect();
        let places = due.len().max(1) as u64;
        let first = self.comparer.ids.random_u64() % places;
        due.rotate_left(usize::try_from(first).unwrap_or(0));
        due
    }

    /// Compares a place, unless another replica does.
    async fn turn(&self, label: &PlaceLabel) {
        let Some(leases) = &self.leases else {
            self.compare(label).await;
            return;
        };
        let name = format!("github-sync:compare:{label}");
        let Ok(name) = LeaseName::new(&name) else {
            return;
        };
        let acquired = leases.acquire(&name, SYNC_LEASE, Duration::ZERO);
        match timeout(SYNC_LEASE_STEP, acquired).await {
            Ok(Ok(Some(lease))) => {
                tokio::select! {
                    biased;
                    () = until_lost(&**leases, &name, &lease.token) => {
                        warn!(place = %label, "the lease of a comparison is lost: another replica goes on");
                    }
                    () = self.compare_unless_done(label) => {
                        // What is not released ends by itself.
                        let released = timeout(COMPARE_CONTINUES, leases.release(&name, &lease.token)).await;
                        debug!(?released, place = %label, "the lease of a comparison is given back");
                    }
                }
                self.comparer.status.compares(label, false);
            }
            Ok(Ok(None)) => debug!(place = %label, "another replica compares it"),
            Ok(Err(error)) => {
                debug!(place = %label, %error, "the lease of a comparison cannot be taken");
            }
            Err(elapsed) => {
                debug!(place = %label, %elapsed, "the lease of a comparison cannot be taken");
            }
        }
    }

    /// Another replica may have compared it since this one looked.
    async fn compare_unless_done(&self, label: &PlaceLabel) {
        let looked = self.look_at(std::slice::from_ref(label)).await;
        if let Err(error) = looked {
            debug!(place = %label, %error, "the stored mirror cannot be read");
            return;
        }
        let is_due = {
            let known = self.known.lock();
            let due = known.get(label).and_then(|known| known.due);
            due.is_none_or(|due| due <= Instant::now())
        };
        if is_due || self.asked.has(label) {
            self.compare(label).await;
        }
    }

    async fn compare(&self, label: &PlaceLabel) {
        // What is asked for from now on is another comparison.
        let was_asked = self.asked.take(label);
        let comparer = &self.comparer;
        comparer.status.compares(label, true);
        let (at, began) = (comparer.clock.now(), Instant::now());
        let known = self
            .known
            .lock()
            .get(label)
            .and_then(|known| known.generation);
        let (end, error) = match Pass::begin(comparer, label, known).await {
            Err(error) => (CompareEnd::failed, Some(error)),
            Ok(mut pass) => {
                let ran = timeout(self.time_limit, pass.run()).await;
                let tally = pass.tally;
                let end = match &ran {
                    Err(_) => CompareEnd::time_limit,
                    Ok(Err(CompareError::BudgetLow)) => CompareEnd::budget,
                    Ok(Err(_)) => CompareEnd::failed,
                    Ok(Ok(())) if tally.waiting > 0 => CompareEnd::waiting,
                    Ok(Ok(())) => CompareEnd::whole,
                };
                self.note_end(label, (pass.state(), pass.saved_generation()), end);
                let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                let error = ran.ok().and_then(Result::err);
                if was_asked && error.is_some() {
                    // Whoever asked gets a whole one.
                    self.asked.ask([label.clone()]);
                }
                let is_news =
                    comparer
                        .status
                        .compared(label, (at, took), (end, tally), error.as_ref());
                match &error {
                    Some(error) if is_news => {
                        warn!(place = %label, %error, "a place is not compared with GitHub now");
                    }
                    None if is_news => {
                        info!(place = %label, "a place is compared with GitHub again");
                    }
                    _ => {}
                }
                if tally.newer > 0 || tally.events > 0 {
                    info!(
                        place = %label, requests = tally.requests, listed = tally.listed, newer = tally.newer,
                        events = tally.events, waiting = tally.waiting, took_millis = took, ?end,
                        "a place was compared with GitHub"
                    );
                }
                (end, error)
            }
        };
        comparer.metrics.end(end);
        comparer.status.compares(label, false);
        if let Some(error) = error {
            debug!(place = %label, %error, "a comparison has failed");
        }
    }

    fn note_end(
        &self,
        label: &PlaceLabel,
        (state, generation): (&PlaceState, u64),
        end: CompareEnd,
    ) {
        let comparer = &self.comparer;
        comparer.status.stored(label, state);
        comparer.show_lists(label, state);
        comparer.add_repositories(label, state);
        self.note(label, state, generation);
        let pause = match end {
            CompareEnd::whole => return,
            CompareEnd::time_limit => COMPARE_CONTINUES,
            CompareEnd::waiting | CompareEnd::budget | CompareEnd::failed => self
                .interval
                .clamp(COMPARE_CONTINUES, Duration::from_secs(60)),
        };
        let mut known = self.known.lock();
        if let Some(known) = known.get_mut(label) {
            known.due = Some(Instant::now() + pause);
        }
    }
}
