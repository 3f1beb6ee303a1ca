//! What is told of gap repair: in `/health`, and to the probe that shows a place that fails.

use std::collections::{BTreeMap, VecDeque};

use model::{Classified, ErrorClass, Timestamp, error_chain};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    error::GapError,
    metrics::{GapOutcome, SweepEnd},
};
use crate::{limits::RECENT_GAPS, webhook_place::SweptPlace};

/// Who sweeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum SweepTurn {
    /// Not known yet.
    #[default]
    Starting,
    /// This replica, under a lease with this fence, if leases are shared.
    Here { fence: Option<u64> },
    /// Another replica.
    Elsewhere,
    /// The store of leases does not answer.
    Unknown,
}

/// A gap that was settled.
#[derive(Debug, Clone)]
pub(super) struct SettledGap {
    pub(super) at: Timestamp,
    pub(super) place: SweptPlace,
    pub(super) delivery: String,
    pub(super) event: String,
    pub(super) delivered_at: Timestamp,
    pub(super) status_code: u16,
    pub(super) outcome: GapOutcome,
}

/// The numbers of a sweep.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SweepTally {
    pub(super) listed: usize,
    pub(super) found: usize,
    pub(super) repaired: usize,
    pub(super) unrepairable: usize,
    pub(super) without_event: usize,
    pub(super) fetched: usize,
    pub(super) bytes: usize,
}

#[derive(Debug, Clone)]
struct PlaceFailure {
    since: Timestamp,
    class: ErrorClass,
    reason: String,
}

#[derive(Debug)]
struct LastSweep {
    at: Timestamp,
    took_millis: u64,
    tally: SweepTally,
    end: SweepEnd,
}

#[derive(Debug, Default)]
struct GapView {
    turn: SweepTurn,
    places: BTreeMap<SweptPlace, PlaceView>,
    last: Option<LastSweep>,
    whole: Option<(Timestamp, Instant)>,
    since: Option<Instant>,
    pending: usize,
    recent: VecDeque<SettledGap>,
}

#[derive(Debug, Default)]
struct PlaceView {
    webhooks: usize,
    failure: Option<PlaceFailure>,
}

/// The state, which the sweep writes and the admin listener reads.
#[derive(Debug, Default)]
pub(crate) struct GapStatus(Mutex<GapView>);

impl GapStatus {
    /// Who sweeps now. Returns whether that is news.
    pub(super) fn turn(&self, turn: SweepTurn) -> bool {
        let mut view = self.0.lock();
        let is_news = view.turn != turn;
        view.turn = turn;
        if matches!(turn, SweepTurn::Here { .. } | SweepTurn::Unknown) {
            // Nobody is known to sweep while the leases are away, so the last sweep grows older.
            view.since.get_or_insert_with(Instant::now);
        } else {
            // What this replica knew of places is another one's to say now.
            view.places.clear();
            view.since = None;
            view.whole = None;
        }
        is_news
    }

    /// A place can be looked at. Returns whether that is news.
    pub(super) fn place_works(&self, place: &SweptPlace, webhooks: usize) -> bool {
        let mut view = self.0.lock();
        let place = view.places.entry(place.clone()).or_default();
        place.webhooks = webhooks;
        place.failure.take().is_some()
    }

    /// A place cannot be looked at. Returns whether that is news: it worked before, or failed in another way.
    pub(super) fn place_fails(&self, place: &SweptPlace, error: &GapError, at: Timestamp) -> bool {
        let mut view = self.0.lock();
        let place = view.places.entry(place.clone()).or_default();
        let class = error.class();
        let known = place.failure.take();
        let is_news = known.as_ref().is_none_or(|known| known.class != class);
        place.failure = Some(PlaceFailure {
            since: known.map_or(at, |known| known.since),
            class,
            reason: error_chain(error),
        });
        is_news
    }

    pub(crate) fn failing_places(&self) -> usize {
        let view = self.0.lock();
        let failing = view.places.values().filter(|place| place.failure.is_some());
        failing.count()
    }

    /// The places of which the last sweep left nothing missing.
    pub(super) fn settled_places(&self) -> Vec<SweptPlace> {
        let view = self.0.lock();
        let is_over = view.last.as_ref().is_some_and(|last| {
            matches!(last.end, SweepEnd::whole | SweepEnd::failed) && view.pending == 0
        });
        let working = view
            .places
            .iter()
            .filter(|(_, place)| is_over && place.failure.is_none());
        working.map(|(place, _)| place.clone()).collect()
    }

    pub(super) fn settled(&self, gap: SettledGap) {
        let mut view = self.0.lock();
        if view.recent.len() >= RECENT_GAPS {
            view.recent.pop_back();
        }
        view.recent.push_front(gap);
    }

    pub(super) fn swept(
        &self,
        (at, began): (Timestamp, Instant),
        tally: SweepTally,
        end: SweepEnd,
        pending: usize,
    ) {
        let mut view = self.0.lock();
        view.pending = pending;
        view.last = Some(LastSweep {
            at,
            took_millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            tally,
            end,
        });
        if end == SweepEnd::whole {
            view.whole = Some((at, Instant::now()));
        }
    }

    /// Seconds since the last whole sweep, or since this replica began to sweep; 0 while another one does.
    pub(crate) fn whole_sweep_age(&self) -> usize {
        let view = self.0.lock();
        let from = view.whole.map(|(_, at)| at).or(view.since);
        let seconds = from.map_or(0, |from| from.elapsed().as_secs());
        usize::try_from(seconds).unwrap_or(usize::MAX)
    }

    /// That nobody is known to sweep, or the first place that fails, and how many do.
    pub(crate) fn failure(&self) -> Option<(ErrorClass, String)> {
        let view = self.0.lock();
        if view.turn == SweepTurn::Unknown {
            let reason =
                "nobody is known to look for lost webhooks: the store of leases does not answer";
            return Some((ErrorClass::Transient, reason.to_owned()));
        }
        let mut failing = view.places.iter();
        let (place, failure) =
            failing.find_map(|(place, view)| Some((place, view.failure.as_ref()?)))?;
        let others = failing.filter(|(_, view)| view.failure.is_some()).count();
        let more = match others {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        let (since, reason) = (failure.since, &failure.reason);
        Some((
            failure.class,
            format!("{place} since {since}: {reason}{more}"),
        ))
    }

    /// The part of `/health`.
    pub(crate) fn view(&self) -> Value {
        let view = self.0.lock();
        let (sweeper, fence) = match view.turn {
            SweepTurn::Starting => ("starting", None),
            SweepTurn::Here { fence } => ("this replica", fence),
            SweepTurn::Elsewhere => ("another replica", None),
            SweepTurn::Unknown => ("unknown: the store of leases does not answer", None),
        };
        let places = view.places.iter().map(|(place, known)| {
            let failure = known.failure.as_ref();
            json!({
                "place": place.to_string(),
                "webhooks": known.webhooks,
                "state": if failure.is_some() { "failing" } else { "ok" },
                "failingSince": failure.map(|failure| failure.since.to_string()),
                "reason": failure.map(|failure| &failure.reason),
            })
        });
        let last = view.last.as_ref().map(|last| {
            let tally = &last.tally;
            json!({
                "at": last.at.to_string(), "tookMillis": last.took_millis,
                "end": match last.end {
                    SweepEnd::whole => "whole",
                    SweepEnd::bound => "ended at a bound",
                    SweepEnd::budget => "left GitHub's limit to others",
                    SweepEnd::failed => "failed",
                },
                "listed": tally.listed, "found": tally.found, "repaired": tally.repaired,
                "unrepairable": tally.unrepairable, "withoutEvent": tally.without_event,
                "fetched": tally.fetched,
            })
        });
        let recent = view.recent.iter().map(|gap| {
            json!({
                "at": gap.at.to_string(), "place": gap.place.to_string(), "delivery": gap.delivery,
                "event": gap.event, "deliveredAt": gap.delivered_at.to_string(),
                "statusCode": gap.status_code, "outcome": format!("{:?}", gap.outcome),
            })
        });
        json!({
            "sweeper": sweeper,
            "fence": fence,
            "lastWholeSweep": view.whole.map(|(at, _)| at.to_string()),
            "lastSweep": last,
            "pending": view.pending,
            "places": places.collect::<Vec<_>>(),
            "recent": recent.collect::<Vec<_>>(),
        })
    }
}
