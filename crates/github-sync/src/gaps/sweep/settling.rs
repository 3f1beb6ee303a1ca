//! Missing deliveries are fetched and stored, or given up by name.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use github::{GithubClient, GithubError};
use model::{Timestamp, TraceContext};
use parking_lot::Mutex;
use ports::{EventLog, EventLogError};
use tracing::{debug, info, warn};

use super::GapSweeper;
use crate::{
    gaps::{
        delivery::DeliveryDetails,
        error::GapError,
        held::holds,
        later_states::LaterStates,
        look::HookHistory,
        metrics::GapOutcome,
        pending::{MissingDelivery, RepairKey},
        repair::{self, NotRepaired, RepairContext},
        status::SettledGap,
    },
    limits::{
        FAILURES_PER_SWEEP, FETCH_TRIES, FETCHES_AT_ONCE, MAX_FETCHES_PER_SWEEP,
        NOT_GIVEN_IN_A_ROW, SWEEP_LINES,
    },
    webhook_place::SweptHook,
};

impl GapSweeper {
    /// Repairs what is missing, the oldest first, over all webhooks whose lists were looked through; at last what GitHub did
    /// not give in an earlier sweep.
    pub(super) async fn repair_all(&mut self) -> Result<(), GapError> {
        let fresh = self.repairable(MAX_FETCHES_PER_SWEEP, |it| it.fetches() == 0);
        self.sweep.is_bounded |= fresh.len() >= MAX_FETCHES_PER_SWEEP;
        let left = MAX_FETCHES_PER_SWEEP - fresh.len();
        self.repair_fresh(fresh).await?;
        if self.sweep.is_bounded {
            return Ok(());
        }
        let number = self.number;
        let is_earlier = |it: &MissingDelivery| it.not_given.is_some_and(|(_, last)| last < number);
        let mut again = self.repairable(left, is_earlier);
        again.sort_by_key(|(_, missing)| missing.fetches());
        self.repair_again(again).await
    }

    fn repairable(
        &self,
        most: usize,
        is_of_these: impl Fn(&MissingDelivery) -> bool,
    ) -> Vec<(RepairKey, MissingDelivery)> {
        let (histories, failed) = (&self.histories, &self.sweep.failed);
        self.pending.first(most, |missing| {
            let history = histories.get(&missing.hook);
            history.is_some_and(HookHistory::is_looked_through)
                && !failed.contains(&missing.hook.place)
                && is_of_these(missing)
        })
    }

    /// Several at once. What was fetched is stored, whatever became of others.
    async fn repair_fresh(
        &mut self,
        missing: Vec<(RepairKey, MissingDelivery)>,
    ) -> Result<(), GapError> {
        if missing.is_empty() || self.is_at_bound() {
            return Ok(());
        }
        let mut later = ComparedStates::of(&missing);
        let (client, log) = (self.parts.client.clone(), Arc::clone(&self.parts.log));
        // Places of which nothing more is fetched; and whether nothing is, of any.
        let stopped = Mutex::new((BTreeSet::new(), false));
        let (client, log, stopped) = (&client, &*log, &stopped);
        let mut fetched = stream::iter(missing)
            .map(|(key, missing)| async move {
                let is_stopped = {
                    let stopped = stopped.lock();
                    stopped.1 || stopped.0.contains(&missing.hook.place)
                };
                if is_stopped {
                    return None;
                }
                let fetched = fetch(client, log, &missing).await;
                Some((key, missing, fetched))
            })
            .buffered(FETCHES_AT_ONCE);
        while let Some(fetched) = fetched.next().await {
            let Some((key, missing, fetched)) = fetched else {
                continue;
            };
            let place = &missing.hook.place;
            let has_failed = self.sweep.failed.contains(place);
            if has_failed && matches!(fetched, Err(GapError::Github(_))) {
                // That says nothing of this delivery.
                continue;
            }
            self.settle((key, &missing), fetched, &mut later).await?;
            if self.sweep.failed.contains(place) {
                stopped.lock().0.insert(place.clone());
            }
            if self.is_at_bound() {
                stopped.lock().1 = true;
            }
        }
        Ok(())
    }

    /// One after the other, with one attempt each where GitHub failed before: others are not to pay for them.
    async fn repair_again(
        &mut self,
        missing: Vec<(RepairKey, MissingDelivery)>,
    ) -> Result<(), GapError> {
        let mut later = ComparedStates::of(&missing);
        let (client, log) = (self.parts.client.clone(), Arc::clone(&self.parts.log));
        let mut failures = 0;
        for (key, missing) in missing {
            if self.is_at_bound() {
                break;
            }
            if self.sweep.failed.contains(&missing.hook.place) {
                continue;
            }
            if missing.failures > 0 && failures >= FAILURES_PER_SWEEP {
                self.sweep.is_incomplete |= missing.failures < FETCH_TRIES;
                continue;
            }
            let fetched = fetch(&client, &*log, &missing).await;
            let is_failure = matches!(
                fetched,
                Err(GapError::Github(GithubError::Unavailable { .. }))
            );
            failures += usize::from(is_failure);
            self.settle((key, &missing), fetched, &mut later).await?;
        }
        Ok(())
    }

    /// Settles a missing delivery by what GitHub gave of it.
    async fn settle(
        &mut self,
        (key, missing): (RepairKey, &MissingDelivery),
        fetched: Result<FetchedDelivery, GapError>,
        later: &mut ComparedStates,
    ) -> Result<(), GapError> {
        if !matches!(fetched, Ok(FetchedDelivery::Arrived)) {
            self.sweep.tally.fetched += 1;
        }
        let outcome = match fetched {
            Ok(FetchedDelivery::Arrived) => GapOutcome::arrived,
            Ok(FetchedDelivery::Details(details)) => {
                self.is_given(&missing.hook);
                self.sweep.tally.bytes += details.payload().map_or(0, str::len);
                match self.store(missing, &details, later).await? {
                    Ok(outcome) => outcome,
                    Err(NotRepaired::NoEvent(reason)) => {
                        debug!(delivery = %missing.delivery.guid, %reason, "no event comes of a missing delivery");
                        GapOutcome::no_event
                    }
                    Err(error @ NotRepaired::NoPayload) => {
                        self.warn_unrepairable(missing, &error);
                        GapOutcome::gone
                    }
                    Err(error @ NotRepaired::Unreadable(_)) => {
                        if self.is_tried_again(key) {
                            return Ok(());
                        }
                        self.warn_unrepairable(missing, &error);
                        GapOutcome::unreadable
                    }
                }
            }
            Err(GapError::Github(error)) => match self.ends((key, missing), error) {
                Some(outcome) => outcome,
                None => return Ok(()),
            },
            Err(error) => return Err(error),
        };
        self.pending.remove(key);
        self.settled(missing, outcome);
        Ok(())
    }

    /// What becomes of a delivery that GitHub did not give; `None` if it waits on.
    fn ends(
        &mut self,
        (key, missing): (RepairKey, &MissingDelivery),
        error: GithubError,
    ) -> Option<GapOutcome> {
        let outcome = match &error {
            // GitHub forgets it, so trying on leads nowhere.
            GithubError::Forbidden { .. }
            | GithubError::Refused { .. }
            | GithubError::Unavailable { .. }
                if self.is_out_of_time(missing) =>
            {
                GapOutcome::gone
            }
            // The webhook was there at the beginning of the sweep; what is gone in several of them is the delivery, and not
            // the access to it.
            GithubError::NotFound { .. } | GithubError::Gone { .. } => {
                if self.is_tried_again(key) {
                    return None;
                }
                GapOutcome::gone
            }
            GithubError::Malformed { .. } | GithubError::TooLarge { .. } => {
                if self.is_tried_again(key) {
                    return None;
                }
                GapOutcome::unreadable
            }
            GithubError::Forbidden { .. } | GithubError::Refused { .. } => {
                if self.is_tried_again(key) {
                    self.is_not_given(missing, error);
                    return None;
                }
                if !self.is_about_itself(missing, &error) {
                    self.fails(&missing.hook.place, &error.into());
                    return None;
                }
                GapOutcome::gone
            }
            GithubError::Unavailable { .. } => {
                self.github_fails_with(key, missing, &error);
                self.is_not_given(missing, error);
                return None;
            }
            other => {
                // What opened the breaker is not to be the first one again when it closes.
                if matches!(other, GithubError::BreakerOpen { .. }) {
                    self.pending.failed(key, self.number);
                }
                self.fails(&missing.hook.place, &error.into());
                return None;
            }
        };
        self.warn_unrepairable(missing, &error);
        Some(outcome)
    }

    /// Whether the next sweep tries once more what GitHub did not give.
    fn is_tried_again(&mut self, key: RepairKey) -> bool {
        let is_tried_again = self.pending.tried(key, self.number) < FETCH_TRIES;
        self.sweep.is_incomplete |= is_tried_again;
        is_tried_again
    }

    /// Whether a refusal is about this delivery, and not about all: others of its webhook were given since it was refused, or
    /// none waits, and it is not for the credentials.
    fn is_about_itself(&self, missing: &MissingDelivery, error: &GithubError) -> bool {
        self.others_are_given(missing)
            || (matches!(error, GithubError::Refused { .. })
                && self.pending.has_one_of(&missing.hook))
    }

    /// Whether GitHub did not give it for several sweeps and no longer lists it.
    fn is_out_of_time(&self, missing: &MissingDelivery) -> bool {
        missing.fetches() >= FETCH_TRIES && missing.delivery.delivered_at < self.sweep.listed_from
    }

    /// Whether GitHub gave another delivery of the webhook since it did not give this one.
    fn others_are_given(&self, missing: &MissingDelivery) -> bool {
        let since = missing.not_given.map_or(self.number, |(since, _)| since);
        let history = self.histories.get(&missing.hook);
        history.is_some_and(|history| history.has_given_since(since))
    }

    /// GitHub fails with one delivery. It is tried on, after all others, and is no reason not to trust a sweep.
    fn github_fails_with(
        &mut self,
        key: RepairKey,
        missing: &MissingDelivery,
        error: &GithubError,
    ) {
        let failures = self.pending.failed(key, self.number);
        self.sweep.is_incomplete |= failures < FETCH_TRIES;
        if failures == FETCH_TRIES && self.has_line() {
            let (place, delivery) = (&missing.hook.place, &missing.delivery);
            warn!(
                %place, delivery = %delivery.guid, event = &*delivery.event, reason = %error,
                "GitHub fails to give a missing delivery again and again; it is tried on, after all others"
            );
        }
    }

    fn is_given(&mut self, hook: &SweptHook) {
        self.sweep.not_given.remove(&hook.place);
        if let Some(history) = self.histories.get_mut(hook) {
            history.gives(self.number);
        }
    }

    /// Of a place that gives none of several deliveries, no more are fetched in this sweep.
    fn is_not_given(&mut self, missing: &MissingDelivery, error: GithubError) {
        if missing.fetches() > 0 && self.others_are_given(missing) {
            return;
        }
        let place = &missing.hook.place;
        let in_a_row = self.sweep.not_given.entry(place.clone()).or_default();
        *in_a_row += 1;
        if *in_a_row >= NOT_GIVEN_IN_A_ROW {
            self.fails(place, &error.into());
        }
    }

    /// Stores the event of a delivery, as an ingest does.
    async fn store(
        &mut self,
        missing: &MissingDelivery,
        details: &DeliveryDetails,
        later: &mut ComparedStates,
    ) -> Result<Result<GapOutcome, NotRepaired>, GapError> {
        let trace = TraceContext::start(&*self.parts.ids);
        let context = RepairContext {
            hook: &missing.hook,
            mirror: &self.parts.mirror,
            recorder: &self.parts.recorder,
            now: self.now().await?,
            trace,
        };
        let repaired = match repair::event_of(&missing.delivery, details, &context) {
            Ok(repaired) => repaired,
            Err(reason) => return Ok(Err(reason)),
        };
        let later = later.read(&*self.parts.log).await?;
        let is_late = later.has_later(&repaired.place);
        let event = match is_late {
            true => repaired.event.marked_late(),
            false => repaired.event,
        };
        let appended = self.parts.recorder.append(vec![event]).await?;
        later.note(&repaired.place);
        let Some(hint) = appended.hint else {
            return Ok(Ok(GapOutcome::arrived));
        };
        self.parts.recorder.hint(hint, trace).await;
        if self.has_line() {
            let delivery = &missing.delivery;
            info!(
                place = %missing.hook.place, delivery = %delivery.guid, event = &*delivery.event,
                status = delivery.status_code, delivered_at = %delivery.delivered_at, late = is_late,
                trace_id = %trace.trace, "a missing delivery was fetched from GitHub and stored"
            );
        }
        Ok(Ok(GapOutcome::repaired))
    }

    fn warn_unrepairable(&mut self, missing: &MissingDelivery, error: &dyn std::fmt::Display) {
        if self.has_line() {
            let (place, delivery) = (&missing.hook.place, &missing.delivery);
            warn!(
                %place, delivery = %delivery.guid, event = &*delivery.event, reason = %error,
                "a missing delivery cannot be repaired"
            );
        }
    }

    /// Whether the log takes one more line about a single delivery.
    fn has_line(&mut self) -> bool {
        self.sweep.lines += 1;
        self.sweep.lines <= SWEEP_LINES
    }

    fn settled(&mut self, missing: &MissingDelivery, outcome: GapOutcome) {
        self.parts.metrics.gap(outcome);
        let tally = &mut self.sweep.tally;
        match outcome {
            GapOutcome::repaired => tally.repaired += 1,
            GapOutcome::gone | GapOutcome::unreadable => tally.unrepairable += 1,
            GapOutcome::no_event => tally.without_event += 1,
            GapOutcome::arrived => {}
        }
        let is_shown = matches!(
            outcome,
            GapOutcome::repaired | GapOutcome::gone | GapOutcome::unreadable
        );
        if is_shown {
            let delivery = &missing.delivery;
            self.parts.status.settled(SettledGap {
                at: self.parts.clock.now(),
                place: missing.hook.place.clone(),
                delivery: delivery.guid.to_string(),
                event: delivery.event.to_string(),
                delivered_at: delivery.delivered_at,
                status_code: delivery.status_code,
                outcome,
            });
        }
    }
}

/// The states that the log has had since the oldest of some missing deliveries, read when the first of them is there.
struct ComparedStates {
    oldest: Timestamp,
    read: Option<LaterStates>,
}

impl ComparedStates {
    fn of(missing: &[(RepairKey, MissingDelivery)]) -> Self {
        let times = missing.iter().map(|(_, it)| it.delivery.delivered_at);
        Self {
            oldest: times.min().unwrap_or_default(),
            read: None,
        }
    }

    async fn read(&mut self, log: &dyn EventLog) -> Result<&mut LaterStates, EventLogError> {
        if self.read.is_none() {
            self.read = Some(LaterStates::since(log, self.oldest).await?);
        }
        Ok(self.read.get_or_insert_default())
    }
}

/// What was fetched of a missing delivery.
enum FetchedDelivery {
    /// Nothing: it is in the log by now.
    Arrived,
    Details(DeliveryDetails),
}

async fn fetch(
    client: &GithubClient,
    log: &dyn EventLog,
    missing: &MissingDelivery,
) -> Result<FetchedDelivery, GapError> {
    if holds(log, &missing.delivery).await? {
        return Ok(FetchedDelivery::Arrived);
    }
    let mut call = missing.hook.delivery(missing.delivery.id);
    if missing.failures > 0 {
        // One attempt: with more, the circuit breaker would open for others too.
        call = call.patience(Duration::ZERO);
    }
    Ok(FetchedDelivery::Details(client.get(&call).await?))
}
