//! One sweep: every list is looked through, what is missing is fetched and stored in GitHub's order.

mod settling;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use event_flow::record::Recorder;
use futures_util::{StreamExt, stream};
use github::{GithubClient, RestAnswer, Validators};
use model::{Clock, IdSource, Timestamp};
use ports::{EventLog, EventLogError};
use serde::Deserialize;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    delivery::SweptDelivery,
    error::GapError,
    held::holds,
    look::{HookHistory, LookedPage},
    metrics::{GapMetrics, SweepEnd},
    pending::{AddedRepair, MissingDelivery, PendingRepairs},
    status::{GapStatus, SweepTally},
};
use crate::{
    limits::{
        DELIVERIES_KEPT, LOOKUPS_AT_ONCE, MAX_BYTES_PER_SWEEP, MAX_FETCHES_PER_SWEEP, MAX_HOOKS,
        MAX_PAGES_PER_SWEEP, SWEEP_RESERVE, SWEEP_TIME,
    },
    mirror::Mirror,
    webhook_place::{SweptHook, SweptPlace, WebhookTarget},
};

/// What a sweep is made of.
#[derive(Debug, Clone)]
pub(super) struct SweepParts {
    pub(super) client: GithubClient,
    pub(super) places: Vec<SweptPlace>,
    pub(super) target: WebhookTarget,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) mirror: Arc<Mirror>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) metrics: GapMetrics,
    pub(super) status: Arc<GapStatus>,
}

/// The webhooks of a place, as they were listed last.
#[derive(Debug, Default)]
struct ListedHooks {
    tags: Validators,
    ours: Vec<SweptHook>,
}

#[derive(Deserialize)]
struct WrittenHook {
    id: u64,
    #[serde(default)]
    config: WrittenHookConfig,
}

#[derive(Deserialize, Default)]
struct WrittenHookConfig {
    #[serde(default)]
    url: Option<String>,
}

/// Sweeps. What it remembers between sweeps only saves requests: without it, a sweep looks through all that GitHub has.
#[derive(Debug)]
pub(super) struct GapSweeper {
    parts: SweepParts,
    hooks: BTreeMap<SweptPlace, ListedHooks>,
    histories: BTreeMap<SweptHook, HookHistory>,
    pending: PendingRepairs,
    /// Whether the log failed in the last sweep.
    log_fails: bool,
    /// The number of the sweep, which orders what is known of deliveries.
    number: u64,
    sweep: SweepState,
}

/// What a sweep has done so far.
#[derive(Debug)]
struct SweepState {
    until: Instant,
    tally: SweepTally,
    is_bounded: bool,
    /// Whether what is left of GitHub's limit is left to others.
    is_out_of_budget: bool,
    /// Whether something that could not be read is tried again.
    is_incomplete: bool,
    lines: usize,
    /// Places that failed in this sweep.
    failed: BTreeSet<SweptPlace>,
    /// How far back GitHub lists what it delivered.
    listed_from: Timestamp,
    /// Deliveries in a row that GitHub did not give of a place.
    not_given: BTreeMap<SweptPlace, u32>,
}

impl SweepState {
    fn begin() -> Self {
        Self {
            until: Instant::now() + SWEEP_TIME,
            tally: SweepTally::default(),
            is_bounded: false,
            is_out_of_budget: false,
            is_incomplete: false,
            lines: 0,
            failed: BTreeSet::new(),
            listed_from: Timestamp::default(),
            not_given: BTreeMap::new(),
        }
    }
}

impl GapSweeper {
    pub(super) fn new(parts: SweepParts) -> Self {
        Self {
            parts,
            hooks: BTreeMap::new(),
            histories: BTreeMap::new(),
            pending: PendingRepairs::default(),
            log_fails: false,
            number: 0,
            sweep: SweepState::begin(),
        }
    }

    /// Forgets which deliveries are settled: the log may have lost them.
    pub(super) fn forget_settled(&mut self) {
        self.histories.clear();
        self.pending = PendingRepairs::default();
    }

    /// The time, by the clock of this process.
    pub(super) fn now_here(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Sweeps once.
    pub(super) async fn sweep(&mut self) -> SweepEnd {
        let (began, at) = (Instant::now(), self.parts.clock.now());
        self.sweep = SweepState::begin();
        self.number += 1;
        let swept = self.sweep_all().await;
        if let Err(error) = &swept
            && !self.log_fails
        {
            warn!(%error, "the event log cannot be used, so gaps are not repaired now");
        }
        self.log_fails = swept.is_err();
        let sweep = &self.sweep;
        let fails = swept.is_err() || sweep.is_incomplete || !sweep.failed.is_empty();
        let end = match fails {
            true => SweepEnd::failed,
            false if sweep.is_out_of_budget => SweepEnd::budget,
            false if sweep.is_bounded => SweepEnd::bound,
            false => SweepEnd::whole,
        };
        let (tally, status) = (sweep.tally, &self.parts.status);
        status.swept((at, began), tally, end, self.pending.len());
        self.parts.metrics.sweep(end);
        if tally.found > 0 || tally.unrepairable > 0 || tally.repaired > 0 {
            info!(
                found = tally.found,
                repaired = tally.repaired,
                unrepairable = tally.unrepairable,
                pending = self.pending.len(),
                end = ?end,
                "GitHub's lists of deliveries were swept"
            );
        }
        end
    }

    async fn sweep_all(&mut self) -> Result<(), GapError> {
        let now = self.now().await?;
        self.sweep.listed_from = now.minus(DELIVERIES_KEPT);
        let mut looked = Vec::new();
        for place in self.parts.places.clone() {
            match self.look_at(&place, now).await {
                Ok(webhooks) => looked.extend(webhooks.map(|webhooks| (place, webhooks))),
                Err(error @ (GapError::Log(_) | GapError::Append(_))) => return Err(error),
                Err(error) => self.fails(&place, &error),
            }
        }
        self.repair_all().await?;
        for (place, webhooks) in looked {
            // What it lists may be more than it gives.
            if !self.sweep.failed.contains(&place) {
                self.works(&place, webhooks);
            }
        }
        Ok(())
    }

    /// The time by the log's clock, which stamps what is stored.
    async fn now(&self) -> Result<Timestamp, EventLogError> {
        let of_log = self.parts.log.time().await?;
        Ok(of_log.unwrap_or_else(|| self.parts.clock.now()))
    }

    fn works(&self, place: &SweptPlace, webhooks: usize) {
        if self.parts.status.place_works(place, webhooks) {
            info!(%place, webhooks, "GitHub's list of deliveries can be looked at again");
        }
    }

    fn fails(&mut self, place: &SweptPlace, error: &GapError) {
        let at = self.parts.clock.now();
        if self.parts.status.place_fails(place, error, at) {
            warn!(%place, %error, "gaps of this place cannot be looked for");
        }
        self.sweep.failed.insert(place.clone());
    }

    /// Whether a bound of the sweep is reached.
    fn is_at_bound(&mut self) -> bool {
        let tally = &self.sweep.tally;
        let left = self.parts.client.budget_left();
        let is_bounded = Instant::now() >= self.sweep.until
            || tally.fetched >= MAX_FETCHES_PER_SWEEP
            || tally.bytes >= MAX_BYTES_PER_SWEEP;
        let is_out_of_budget = left.is_some_and(|left| left < SWEEP_RESERVE);
        self.sweep.is_bounded |= is_bounded;
        self.sweep.is_out_of_budget |= is_out_of_budget;
        is_bounded || is_out_of_budget
    }

    /// Looks through the lists of a place's webhooks; returns their number, or `None` if there was no room for it.
    async fn look_at(
        &mut self,
        place: &SweptPlace,
        now: Timestamp,
    ) -> Result<Option<usize>, GapError> {
        if self.is_at_bound() {
            return Ok(None);
        }
        let hooks = self.our_hooks(place).await?;
        for hook in &hooks {
            let mut history = self.histories.remove(hook).unwrap_or_default();
            // What the log has removed by its age is older than that: no retention is shorter. Nothing else says what the log
            // had: a log that was emptied has lost what its first event comes after.
            let listed_from = self.sweep.listed_from;
            if let Some(after) = history.missed_since(listed_from) {
                warn!(
                    %place, %after, until = %listed_from,
                    "GitHub no longer lists what it delivered then: if anything is missing, it is gone"
                );
            }
            // What had no room would have none again.
            let waits = history.lacks_room() && self.pending.is_full();
            let looked = match waits {
                true => Ok(()),
                false => {
                    let bounds = (now, listed_from);
                    self.look_through(hook, &mut history, bounds).await
                }
            };
            self.histories.insert(hook.clone(), history);
            looked?;
        }
        Ok(Some(hooks.len()))
    }

    /// The webhooks of a place that send here.
    async fn our_hooks(&mut self, place: &SweptPlace) -> Result<Vec<SweptHook>, GapError> {
        let Some(list) = place.hooks() else {
            let place = place.clone();
            return Ok(vec![SweptHook { place, id: None }]);
        };
        let known = self.hooks.entry(place.clone()).or_default();
        let list = list.with("per_page", &MAX_HOOKS.to_string());
        let list = list.unless(known.tags.clone());
        let listed = self.parts.client.get_if_modified::<Vec<WrittenHook>>(&list);
        if let RestAnswer::Modified { value, tags } = listed.await? {
            known.tags = tags;
            let target = &self.parts.target;
            let ours = value.into_iter().filter(|hook| {
                let url = hook.config.url.as_deref();
                url.is_some_and(|url| target.matches(url))
            });
            known.ours = ours
                .map(|hook| SweptHook {
                    place: place.clone(),
                    id: Some(hook.id),
                })
                .collect();
            let ours = known.ours.clone();
            let is_kept = |hook: &SweptHook| hook.place != *place || ours.contains(hook);
            self.histories.retain(|hook, _| is_kept(hook));
            self.pending.keep(is_kept);
        }
        match known.ours.is_empty() {
            true => Err(GapError::NoWebhook {
                place: place.to_string(),
            }),
            false => Ok(known.ours.clone()),
        }
    }

    /// Looks through the list of a webhook, the newest first, down to what is settled or to a bound.
    async fn look_through(
        &mut self,
        hook: &SweptHook,
        history: &mut HookHistory,
        (now, floor): (Timestamp, Timestamp),
    ) -> Result<(), GapError> {
        let list = hook.deliveries();
        for _ in 0..MAX_PAGES_PER_SWEEP {
            let client = self.parts.client.clone();
            let page = history.next_page(&client, &list, (now, floor)).await?;
            let LookedPage::Deliveries {
                unknown,
                unreadable,
                listed,
                is_last,
            } = page
            else {
                return Ok(());
            };
            self.parts.metrics.unreadable.inc_by(unreadable as u64);
            self.sweep.tally.listed += listed;
            for delivery in self.missing(unknown).await? {
                self.found(hook, history, delivery);
            }
            if is_last {
                history.finish_look();
                return Ok(());
            }
            if self.is_at_bound() {
                return Ok(());
            }
        }
        self.sweep.is_bounded = true;
        Ok(())
    }

    /// Those deliveries that the log does not have.
    async fn missing(
        &self,
        deliveries: Vec<SweptDelivery>,
    ) -> Result<Vec<SweptDelivery>, EventLogError> {
        let log = &self.parts.log;
        let looked_up = stream::iter(deliveries).map(|delivery| async move {
            let is_held = holds(&**log, &delivery).await?;
            Ok::<_, EventLogError>((!is_held).then_some(delivery))
        });
        let looked_up: Vec<_> = looked_up.buffered(LOOKUPS_AT_ONCE).collect().await;
        let missing = looked_up.into_iter().filter_map(Result::transpose);
        missing.collect()
    }

    fn found(&mut self, hook: &SweptHook, history: &mut HookHistory, delivery: SweptDelivery) {
        let missing = MissingDelivery::new(hook.clone(), delivery);
        match self.pending.add(missing) {
            AddedRepair::Known => return,
            AddedRepair::Added => {}
            AddedRepair::Displaced(it) if it.hook == *hook => history.forget(&it.delivery),
            AddedRepair::Displaced(it) => {
                if let Some(other) = self.histories.get_mut(&it.hook) {
                    other.forget(&it.delivery);
                }
            }
        }
        self.sweep.tally.found += 1;
        self.parts.metrics.found.inc();
    }
}
