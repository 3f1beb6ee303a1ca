//! Missing deliveries are fetched and stored, or given up by name.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{StreamExt, stream};
use github::{GithubClient, GithubError};
use model::TraceContext;
use parking_lot::Mutex;
use ports::EventLog;
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
    limits::{FETCH_TRIES, FETCHES_AT_ONCE, MAX_FETCHES_PER_SWEEP, SWEEP_LINES},
};

impl GapSweeper {
    /// Repairs what is missing, the oldest first, over all webhooks whose lists were looked through.
    pub(super) async fn repair_all(&mut self) -> Result<(), GapError> {
        let (histories, failed) = (&self.histories, &self.sweep.failed);
        let mut missing = self.pending.first(MAX_FETCHES_PER_SWEEP, |hook| {
            let history = histories.get(hook);
            history.is_some_and(HookHistory::awaits_repairs) && !failed.contains(&hook.place)
        });
        // One that GitHub fails to give again and again does not hold up the others.
        missing.sort_by_key(|(_, missing)| missing.tries >= FETCH_TRIES);
        let oldest = missing.iter().map(|(_, it)| it.delivery.delivered_at).min();
        let Some(oldest) = oldest.filter(|_| !self.is_at_bound()) else {
            return Ok(());
        };
        self.sweep.is_bounded |= missing.len() >= MAX_FETCHES_PER_SWEEP;
        let mut later = LaterStates::since(&*self.parts.log, oldest).await?;
        let (client, log) = (self.parts.client.clone(), Arc::clone(&self.parts.log));
        // Places of which nothing more is fetched.
        let stopped = Mutex::new(BTreeSet::new());
        let (client, log, stopped) = (&client, &*log, &stopped);
        let mut fetched = stream::iter(missing)
            .map(|(key, missing)| async move {
                if stopped.lock().contains(&missing.hook.place) {
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
            if self.sweep.failed.contains(place) {
                continue;
            }
            self.settle((key, &missing), fetched, &mut later).await?;
            if self.sweep.failed.contains(place) {
                stopped.lock().insert(place.clone());
            }
            if self.is_at_bound() {
                break;
            }
        }
        Ok(())
    }

    /// Settles a missing delivery by what GitHub gave of it.
    async fn settle(
        &mut self,
        (key, missing): (RepairKey, &MissingDelivery),
        fetched: Result<FetchedDelivery, GapError>,
        later: &mut LaterStates,
    ) -> Result<(), GapError> {
        if !matches!(fetched, Ok(FetchedDelivery::Arrived)) {
            self.sweep.tally.fetched += 1;
        }
        let outcome = match fetched {
            Ok(FetchedDelivery::Arrived) => GapOutcome::arrived,
            Ok(FetchedDelivery::Details(details)) => {
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
            // The webhook was there at the beginning of the sweep; what is gone in several of them is the delivery, and not
            // the access to it.
            Err(GapError::Github(
                error @ (GithubError::NotFound { .. } | GithubError::Gone { .. }),
            )) => {
                if self.is_tried_again(key) {
                    return Ok(());
                }
                self.warn_unrepairable(missing, &error);
                GapOutcome::gone
            }
            Err(GapError::Github(
                error @ (GithubError::Malformed { .. } | GithubError::TooLarge { .. }),
            )) => {
                if self.is_tried_again(key) {
                    return Ok(());
                }
                self.warn_unrepairable(missing, &error);
                GapOutcome::unreadable
            }
            Err(error @ GapError::Github(_)) => {
                if matches!(error, GapError::Github(GithubError::Unavailable { .. })) {
                    self.pending.tried(key);
                }
                self.fails(&missing.hook.place, &error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.pending.remove(key);
        self.settled(missing, outcome);
        Ok(())
    }

    /// Whether the next sweep tries once more what GitHub did not give.
    fn is_tried_again(&mut self, key: RepairKey) -> bool {
        let is_tried_again = self.pending.tried(key) < FETCH_TRIES;
        self.sweep.is_incomplete |= is_tried_again;
        is_tried_again
    }

    /// Stores the event of a delivery, as an ingest does.
    async fn store(
        &mut self,
        missing: &MissingDelivery,
        details: &DeliveryDetails,
        later: &mut LaterStates,
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
    let call = missing.hook.delivery(missing.delivery.id);
    Ok(FetchedDelivery::Details(client.get(&call).await?))
}
