//! What is told of the comparison: in `/health`, and to the probe that shows a place that fails.

use std::collections::BTreeMap;

use model::{Classified, ErrorClass, Timestamp, error_chain};
use parking_lot::Mutex;
use ports::MirroredKind;
use serde_json::{Value, json};

use super::{
    error::CompareError,
    metrics::CompareEnd,
    place_records::{PlaceLabel, PlaceState},
    tally::PassTally,
};
use crate::listed::is_detail;

/// The last comparison of a place by this replica.
#[derive(Debug, Clone)]
struct LastCompare {
    at: Timestamp,
    took_millis: u64,
    end: CompareEnd,
    tally: PassTally,
}

#[derive(Debug, Clone)]
struct PlaceTrouble {
    since: Timestamp,
    class: ErrorClass,
    reason: String,
}

#[derive(Debug, Clone, Default)]
struct ListView {
    as_of: Option<Timestamp>,
    failure: Option<String>,
}

#[derive(Debug, Default)]
struct PlaceCompareView {
    lists: BTreeMap<MirroredKind, ListView>,
    finished_at: Option<Timestamp>,
    is_compared_here: bool,
    last: Option<LastCompare>,
    /// Comparisons of the place by this replica.
    comparisons: u64,
    trouble: Option<PlaceTrouble>,
}

impl PlaceCompareView {
    /// Why nothing of a repository can be read but itself, if that is so.
    fn refusal(&self) -> Option<&str> {
        let is_own = |kind: &MirroredKind| !is_detail(*kind) && *kind != MirroredKind::Repository;
        let own = self.lists.iter().filter(|(kind, _)| is_own(kind));
        let mut failures = own
            .filter(|(kind, _)| **kind != MirroredKind::Project)
            .map(|(_, list)| list.failure.as_deref());
        let first = failures.next()??;
        failures.all(|failure| failure.is_some()).then_some(first)
    }

    fn is_failing(&self) -> bool {
        self.trouble.is_some() || self.refusal().is_some()
    }

    fn is_whole(&self) -> bool {
        let is_read = |list: &ListView| list.as_of.is_some() || list.failure.is_some();
        self.finished_at.is_some() && self.refusal().is_none() && self.lists.values().all(is_read)
    }
}

#[derive(Debug, Default)]
struct CompareView {
    places: BTreeMap<PlaceLabel, PlaceCompareView>,
    restored: Option<usize>,
    trouble: Option<PlaceTrouble>,
}

/// The state, which the comparison writes and the admin listener reads.
#[derive(Debug, Default)]
pub(crate) struct CompareStatus(Mutex<CompareView>);

impl CompareStatus {
    /// A place is to be compared.
    pub(super) fn expect(&self, label: &PlaceLabel, kinds: &[MirroredKind]) {
        let mut view = self.0.lock();
        let place = view.places.entry(label.clone()).or_default();
        for kind in kinds {
            place.lists.entry(*kind).or_default();
        }
    }

    /// A place is not compared any more.
    pub(super) fn forget(&self, label: &PlaceLabel) {
        self.0.lock().places.remove(label);
    }

    /// So many stored states were read at the start.
    pub(super) fn restored(&self, states: usize) {
        self.0.lock().restored = Some(states);
    }

    /// What is stored of a place.
    pub(super) fn stored(&self, label: &PlaceLabel, state: &PlaceState) {
        let mut view = self.0.lock();
        let place = view.places.entry(label.clone()).or_default();
        place.finished_at = state.finished_at;
        for (kind, view) in &mut place.lists {
            let list = state.lists.get(kind.as_str());
            view.as_of = list.and_then(|list| list.as_of);
            view.failure = list.and_then(|list| list.failure.clone());
        }
    }

    /// This replica begins, or ends, to compare a place.
    pub(super) fn compares(&self, label: &PlaceLabel, is_compared_here: bool) {
        let mut view = self.0.lock();
        let place = view.places.entry(label.clone()).or_default();
        place.is_compared_here = is_compared_here;
    }

    /// A comparison has ended. Returns whether its failure is news.
    pub(super) fn compared(
        &self,
        label: &PlaceLabel,
        (at, took_millis): (Timestamp, u64),
        (end, tally): (CompareEnd, PassTally),
        error: Option<&CompareError>,
    ) -> bool {
        let mut view = self.0.lock();
        let place = view.places.entry(label.clone()).or_default();
        place.comparisons += 1;
        place.last = Some(LastCompare {
            at,
            took_millis,
            end,
            tally,
        });
        note_trouble(&mut place.trouble, error, at)
    }

    /// The stores can be used, or not. Returns whether that is news.
    pub(super) fn stores(&self, error: Option<&CompareError>, at: Timestamp) -> bool {
        note_trouble(&mut self.0.lock().trouble, error, at)
    }

    pub(crate) fn failing_places(&self) -> usize {
        let view = self.0.lock();
        view.places
            .values()
            .filter(|place| place.is_failing())
            .count()
    }

    /// Seconds since the list that was read whole least recently, of those that were; 0 if there is none.
    pub(crate) fn oldest_list_age(&self, now: Timestamp) -> usize {
        let view = self.0.lock();
        let lists = view.places.values().flat_map(|place| place.lists.values());
        let oldest = lists.filter_map(|list| list.as_of).min();
        let age = oldest.map_or(0, |oldest| now.since(oldest).as_secs());
        usize::try_from(age).unwrap_or(usize::MAX)
    }

    /// That the mirror is not whole yet, or the first place that fails, and how many do.
    pub(crate) fn failure(&self) -> Option<(ErrorClass, String)> {
        let view = self.0.lock();
        if let Some(trouble) = &view.trouble {
            return Some((trouble.class, trouble.reason.clone()));
        }
        let mut failing = view
            .places
            .iter()
            .filter_map(|(label, place)| Some((label, place.trouble.as_ref()?)));
        if let Some((label, trouble)) = failing.next() {
            let more = match failing.count() {
                0 => String::new(),
                others => format!(" (and {others} more)"),
            };
            let (since, reason) = (trouble.since, &trouble.reason);
            return Some((
                trouble.class,
                format!("{label} since {since}: {reason}{more}"),
            ));
        }
        let mut refused = view.places.iter();
        let refused = refused.find_map(|(label, place)| Some((label, place.refusal()?)));
        if let Some((label, reason)) = refused {
            let text = format!("{label}: none of its lists can be read: {reason}");
            return Some((ErrorClass::Unauthorized, text));
        }
        let whole = view
            .places
            .values()
            .filter(|place| place.is_whole())
            .count();
        let all = view.places.len();
        (whole < all).then(|| {
            let text = format!(
                "the first comparison with GitHub is under way: {whole} of {all} places are whole"
            );
            (ErrorClass::Transient, text)
        })
    }

    /// The part of `/health`. `lack` says why the mirror lacks states of a list of a place, if it does.
    pub(crate) fn view(&self, lack: impl Fn(&str, MirroredKind) -> Option<String>) -> Value {
        let view = self.0.lock();
        let mut whole = 0;
        let places = view.places.iter().map(|(label, place)| {
            let mut is_lacking = false;
            let lists = place.lists.iter().map(|(kind, list)| {
                let lack = lack(label.as_str(), *kind);
                is_lacking |= lack.is_some();
                let as_of = list.as_of.filter(|_| lack.is_none());
                let as_of = as_of.map(|at| at.to_string());
                let value = json!({ "asOf": as_of, "reason": list.failure.clone().or(lack) });
                (kind.as_str().to_owned(), value)
            });
            let lists = lists.collect::<serde_json::Map<_, _>>();
            let is_whole = place.is_whole() && !is_lacking;
            whole += usize::from(is_whole);
            let trouble = place.trouble.as_ref();
            json!({
                "place": label.as_str(),
                "state": match (place.is_failing(), place.is_whole(), is_lacking) {
                    (true, ..) => "failing",
                    (false, true, false) => "whole",
                    (false, true, true) => "not all of it fits",
                    (false, false, _) => "first comparison",
                },
                "lists": lists,
                "comparedAt": place.finished_at.map(|at| at.to_string()),
                "isComparedHere": place.is_compared_here,
                "comparisonsHere": place.comparisons,
                "lastComparisonHere": place.last.as_ref().map(last_view),
                "failingSince": trouble.map(|trouble| trouble.since.to_string()),
                "reason": trouble.map(|trouble| trouble.reason.as_str()).or(place.refusal()),
            })
        });
        let places: Vec<_> = places.collect();
        json!({
            "wholePlaces": whole,
            "restoredStates": view.restored,
            "reason": view.trouble.as_ref().map(|trouble| &trouble.reason),
            "places": places,
        })
    }
}

fn last_view(last: &LastCompare) -> Value {
    let tally = &last.tally;
    json!({
        "at": last.at.to_string(),
        "tookMillis": last.took_millis,
        "end": match last.end {
            CompareEnd::whole => "whole",
            CompareEnd::waiting => "waiting for webhooks that may still arrive",
            CompareEnd::time_limit => "ended at the time limit",
            CompareEnd::budget => "left GitHub's limit to others",
            CompareEnd::failed => "failed",
        },
        "requests": tally.requests,
        "points": tally.points,
        "unmodified": tally.unmodified,
        "listed": tally.listed,
        "newer": tally.newer,
        "events": tally.events,
        "waiting": tally.waiting,
    })
}

fn note_trouble(
    known: &mut Option<PlaceTrouble>,
    error: Option<&CompareError>,
    at: Timestamp,
) -> bool {
    let before = known.take();
    let Some(error) = error else {
        return before.is_some();
    };
    let class = error.class();
    let is_news = before.as_ref().is_none_or(|before| before.class != class);
    *known = Some(PlaceTrouble {
        since: before.map_or(at, |before| before.since),
        class,
        reason: error_chain(error),
    });
    is_news
}
