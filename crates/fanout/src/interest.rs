//! The events that a stream wants.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use model::{CompiledFilter, Filter, FilterSet, ResourceUri, Sequence, Session};

use event_flow::matching::{self, MatchKey, MatchTerm};

use super::{
    ring::RingEntry,
    timeline::{LogTimeline, SetBackRange},
};
use access::{Principal, Visibility};

/// A filter in the form in which it is compared, with its key in the index, and the position from which it
/// applies.
type WantedFilter = MatchTerm;

/// The events that concern a stream, and the position from which each of its filters applies.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct StreamInterest {
    /// The filters of the events that are sent whole, each once. A slice, because every stream has one: a
    /// vector that is collected has room for four.
    filters: Box<[WantedFilter]>,
    /// Resources whose changes are notified: by canonical URI, each in the client's spelling.
    uris: HashMap<String, (String, Sequence)>,
    /// The session's revision from which this was built; a newer one replaces it.
    pub revision: u64,
    /// Number of the newest subscription of the session that is included.
    pub newest_subscription: u64,
    /// The client wants no events for now. Its subscriptions stay unchanged, so that events of the
    /// muted time are not sent when it unmutes them.
    is_quiet: bool,
    /// The limits of what the reader may see; they apply to everything that it asks for.
    visible: Visibility,
}

impl StreamInterest {
    /// Whole events that match `filters`.
    pub fn events(filters: &FilterSet) -> Self {
        Self {
            filters: compiled([(filters, Sequence::START)]),
            ..Self::default()
        }
    }

    /// Changes of these resources; URIs that are not ours are left out.
    pub fn resources(uris: impl IntoIterator<Item = String>) -> Self {
        let mut interest = Self::default();
        uris.into_iter()
            .for_each(|uri| interest.add_uri(&uri, Sequence::START));
        interest
    }

    /// The interest of a session.
    pub fn of_session(session: &Session, revision: u64, timeline: &LogTimeline) -> Self {
        Self::up_to_subscription(session, session.newest_subscription, revision, timeline)
    }

    /// The interest of a session without the subscriptions numbered above `newest_subscription`.
    pub fn up_to_subscription(
        session: &Session,
        newest_subscription: u64,
        revision: u64,
        timeline: &LogTimeline,
    ) -> Self {
        let mut interest = Self {
            revision,
            newest_subscription,
            is_quiet: is_quiet(session.log_level.as_deref()),
            ..Self::default()
        };
        let subscriptions = session.subscriptions.iter();
        let subscriptions = subscriptions.filter(|s| s.number <= newest_subscription);
        interest.filters = compiled(subscriptions.map(|s| (&s.filters, timeline.resolve(s.since))));
        let number = |uri| {
            session
                .resource_numbers
                .get(uri)
                .copied()
                .unwrap_or_default()
        };
        for (uri, since) in &session.resource_uris {
            if number(uri) <= newest_subscription {
                interest.add_uri(uri, timeline.resolve(*since));
            }
        }
        interest
    }

    /// The same, restricted to what `principal` may see.
    pub(crate) fn seen_by(self, principal: &Principal) -> Self {
        Self {
            visible: principal.sees.clone(),
            ..self
        }
    }

    /// The same after the log was put back: what began in the lost part begins before it. `None` if
    /// nothing changes.
    pub(crate) fn moved_by(&self, range: &SetBackRange) -> Option<Self> {
        let mut moved = self.clone();
        let filters = moved.filters.iter_mut().map(|wanted| &mut wanted.after);
        let uris = moved.uris.values_mut().map(|(_, since)| since);
        let mut has_moved = false;
        for since in filters.chain(uris) {
            let to = range.moved(*since);
            has_moved |= to != *since;
            *since = to;
        }
        has_moved.then_some(moved)
    }

    /// The same on an edge that has reached this position. A subscription that another edge stored further on
    /// begins here: if the log is put back before this edge gets there, other events have the numbers in
    /// between, and this edge cannot know.
    #[must_use]
    pub fn begun_by(mut self, reached: Sequence) -> Self {
        let filters = self.filters.iter_mut().map(|wanted| &mut wanted.after);
        let uris = self.uris.values_mut().map(|(_, since)| since);
        for since in filters.chain(uris) {
            *since = reached.min(*since);
        }
        self
    }

    /// Of several spellings of one resource the first is kept, so that a change is one notification.
    fn add_uri(&mut self, spelt: &str, since: Sequence) {
        if let Ok(uri) = ResourceUri::parse(spelt) {
            let wanted = self.uris.entry(uri.to_string());
            let (_, earliest) = wanted.or_insert_with(|| (spelt.to_owned(), since));
            *earliest = since.min(*earliest);
        }
    }

    /// The JSON of an event for this reader, if it may not see all of it.
    pub(crate) fn cut_for(&self, entry: &RingEntry) -> Option<Bytes> {
        entry.cut_for(&self.visible)
    }

    /// Comparisons that the interest may need for one event ([`CompiledFilter::cost`]).
    #[must_use]
    pub fn cost(&self) -> usize {
        let filters = self.filters.iter().map(|wanted| wanted.filter.cost());
        filters.sum::<usize>() + self.uris.len()
    }

    /// Whether the event is sent whole.
    pub(crate) fn wants_event(&self, entry: &RingEntry) -> bool {
        let wants = |wanted: &WantedFilter| {
            entry.sequence > wanted.after && wanted.filter.matches(entry.digest())
        };
        !self.is_quiet && self.filters.iter().any(wants) && self.visible.allows(&entry.event.facts)
    }

    /// The resources that this event changes and the stream asked for, in the client's spelling.
    pub(crate) fn wanted_uris<'e>(&'e self, entry: &'e RingEntry) -> impl Iterator<Item = &'e str> {
        let touched = if self.uris.is_empty() || !self.visible.allows(&entry.event.facts) {
            &[][..]
        } else {
            entry.uris()
        };
        touched
            .iter()
            .filter_map(|uri| self.uris.get(uri))
            .filter(|(_, since)| entry.sequence > *since)
            .map(|(spelt, _)| spelt.as_str())
    }

    /// The terms under which the stream is indexed ([`MatchIndex`](matching::MatchIndex)).
    pub(crate) fn terms(&self) -> HashSet<MatchTerm> {
        let filters = self.filters.iter().filter(|_| !self.is_quiet).cloned();
        let uris = self.uris.iter().map(|(uri, (_, since))| MatchTerm {
            key: MatchKey::Uri(uri.clone()),
            filter: CompiledFilter::all(),
            after: *since,
        });
        matching::terms(filters.chain(uris))
    }

    /// Whether the event causes any frame.
    pub(crate) fn wants(&self, entry: &RingEntry) -> bool {
        self.wants_event(entry) || self.wanted_uris(entry).next().is_some()
    }

    /// The part of this interest for which an event is still to be sent to a reader that has had it
    /// with each of `had`.
    pub(crate) fn without(&self, entry: &RingEntry, had: &[&Self]) -> Self {
        let mut rest = Self {
            revision: self.revision,
            newest_subscription: self.newest_subscription,
            visible: self.visible.clone(),
            ..Self::default()
        };
        if self.wants_event(entry) && !had.iter().any(|had| had.wants_event(entry)) {
            rest.filters = compiled([(&FilterSet::all(), Sequence::START)]);
        }
        let had_uri = |spelt: &str| {
            had.iter()
                .any(|had| had.wanted_uris(entry).any(|h| h == spelt))
        };
        for spelt in self.wanted_uris(entry).filter(|spelt| !had_uri(spelt)) {
            rest.add_uri(spelt, Sequence::START);
        }
        rest
    }

    /// The earliest start among the subscriptions that are not in `old`; `None` if nothing was
    /// added.
    pub(crate) fn earliest_added(&self, old: &Self) -> Option<Sequence> {
        let known: HashMap<_, _> = old
            .filters
            .iter()
            .map(|wanted| (&wanted.filter, wanted.after))
            .collect();
        let has = |known: Option<&Sequence>, since: Sequence| known.is_some_and(|k| *k <= since);
        let filters = self.filters.iter();
        let filters = filters.filter(|wanted| !has(known.get(&wanted.filter), wanted.after));
        let uris = self.uris.iter().filter_map(|(uri, (spelt, since))| {
            let known = old.uris.get(uri);
            let is_same = known.is_some_and(|known| known.0 == *spelt);
            let is_known = is_same && has(known.map(|(_, since)| since), *since);
            (!is_known).then_some(*since)
        });
        filters.map(|wanted| wanted.after).chain(uris).min()
    }

    /// The resources of this interest, in the client's spelling.
    pub(crate) fn requested_uris(&self) -> impl Iterator<Item = &str> {
        self.uris.values().map(|(spelt, _)| spelt.as_str())
    }

    /// The earliest start position of this interest; `None` if it is empty.
    pub fn earliest(&self) -> Option<Sequence> {
        let filters = self.filters.iter().filter(|_| !self.is_quiet);
        filters
            .map(|wanted| wanted.after)
            .chain(self.uris.values().map(|(_, since)| *since))
            .min()
    }
}

/// The filters of several sets in the form in which they are compared. A filter in several sets is one, from
/// the earliest position on.
fn compiled<'f>(sets: impl IntoIterator<Item = (&'f FilterSet, Sequence)>) -> Box<[WantedFilter]> {
    let mut wanted: Vec<WantedFilter> = Vec::new();
    let mut places: HashMap<CompiledFilter, usize> = HashMap::new();
    let everything = [Filter::default()];
    for (set, since) in sets {
        let filters = match set.filters() {
            [] => &everything[..],
            some => some,
        };
        for filter in filters {
            let compiled = CompiledFilter::of(filter);
            let place = *places.entry(compiled.clone()).or_insert(wanted.len());
            match wanted.get_mut(place) {
                Some(known) => known.after = known.after.min(since),
                None => wanted.push(WantedFilter {
                    key: MatchKey::of(filter),
                    filter: compiled,
                    after: since,
                }),
            }
        }
    }
    wanted.into()
}

/// Event notifications are log messages of level `info` (MCP 2025-11-25, Utilities, "Logging").
fn is_quiet(log_level: Option<&str>) -> bool {
    !matches!(log_level, None | Some("debug" | "info"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::PrincipalId;

    use super::*;
    use crate::fixture;
    use access::Permissions;

    /// What a stream with filter `octo/cat`, and with changes of all resources, gets of an event in
    /// `octo/<repo>`.
    fn gets(reader: &Principal, repo: &str) -> (bool, Vec<String>) {
        let asked = fixture::interest(1, &[("cat", 0)], &[("github://events", 0)]);
        let interest = asked.seen_by(reader);
        let entry = Arc::new(RingEntry::new(fixture::event(1, repo, 0), 0));
        let uris = interest.wanted_uris(&entry).map(ToOwned::to_owned);
        let got: (bool, Vec<_>) = (interest.wants_event(&entry), uris.collect());
        assert_eq!(interest.wants(&entry), got.0 || !got.1.is_empty());
        let rest = interest.without(&entry, &[]);
        assert_eq!(rest.wants(&entry), interest.wants(&entry));
        got
    }

    #[test]
    fn what_the_reader_may_not_see_does_not_happen_for_it() {
        let reader = |sees| Principal::new(PrincipalId::anonymous(), Permissions::default(), sees);
        let list = vec!["github://events".to_owned()];
        let everything = reader(Visibility::all());
        assert_eq!(gets(&everything, "cat"), (true, list.clone()));
        assert_eq!(gets(&everything, "dog"), (false, list.clone()));
        let one = reader(Visibility::only([], ["octo/cat"]).unwrap());
        assert_eq!(gets(&one, "cat"), (true, list));
        assert_eq!(gets(&one, "dog"), (false, vec![]));
        let other = reader(Visibility::only(["acme"], []).unwrap());
        assert_eq!(gets(&other, "cat"), (false, vec![]));
    }

    #[test]
    fn silence_is_no_change_of_what_was_asked_for() {
        let loud = fixture::interest(1, &[("cat", 3)], &[("github://events", 3)]);
        let quiet = StreamInterest {
            is_quiet: true,
            revision: 2,
            ..loud.clone()
        };
        let entry = RingEntry::new(fixture::event(7, "cat", 0), 0);
        assert!(loud.wants_event(&entry) && !quiet.wants_event(&entry));
        assert!(quiet.wanted_uris(&entry).next().is_some());
        // Neither change moves the stream back: events of the muted time are not sent later, and
        // none is sent twice.
        assert_eq!(quiet.earliest_added(&loud), None);
        assert_eq!(loud.earliest_added(&quiet), None);
    }
}
