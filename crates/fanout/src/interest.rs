//! The events that a stream wants.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use mcp::channel::ChannelNotification;
use model::{
    CompiledFilter, CursorScope, EventDigest, Filter, FilterSet, LogPosition, PlaceId, ResourceUri,
    Sequence, Session,
};

use event_flow::matching::{self, MatchKey, MatchTerm};

use super::{
    limits::MAX_SUPERSEDED_FILTERS,
    ring::RingEntry,
    timeline::{LogTimeline, SetBackRange},
};
use access::{FollowedRename, NameDirectory, NamesAt, Principal, Visibility};

/// A filter in the form in which it is compared, with its key in the index, and the position from which it
/// applies.
type WantedFilter = MatchTerm;

/// A resource whose changes are notified.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WantedUri {
    /// The client's spelling.
    spelt: String,
    /// The position from which on.
    since: Sequence,
    /// What its name means, where that is known, from a position on: events of another id under this name are of
    /// something else.
    place: Option<(PlaceId, Sequence)>,
}

impl WantedUri {
    /// Whether an event that changes the resource of this name changes what the name means.
    fn means(&self, entry: &RingEntry) -> bool {
        let ids = entry.event.facts.ids;
        match self.place.filter(|(_, since)| entry.sequence >= *since) {
            None => true,
            Some((PlaceId::Owner(id), _)) => ids.owner.is_none_or(|of_event| of_event == id),
            Some((PlaceId::Repository(id), _)) => {
                ids.repository.is_none_or(|of_event| of_event == id)
            }
        }
    }
}

/// A subscription that lives beyond its stream, as the stream wants it.
#[derive(Debug, Clone, Copy)]
pub struct FollowedSubscription<'f> {
    /// The events that it wants.
    pub filters: &'f FilterSet,
    /// Where its names mean what they mean: the end of the log when it was made.
    pub named_at: LogPosition,
    /// The stream has its events after this position.
    pub after: LogPosition,
}

/// The log to which positions and names refer.
#[derive(Debug, Clone, Copy)]
pub struct InterestLog<'l> {
    /// When it was put back.
    pub timeline: &'l LogTimeline,
    /// Which name is which id.
    pub names: &'l NameDirectory,
}

/// The events that concern a stream, and the position from which each of its filters applies.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct StreamInterest {
    /// The filters of the events that are sent whole, each once. A slice, because every stream has one: a
    /// vector that is collected has room for four.
    filters: Box<[WantedFilter]>,
    /// What filters were before a rename, for earlier events that the stream has still to examine: each with the
    /// position of the rename. The newest ones.
    superseded: Box<[(WantedFilter, Sequence)]>,
    /// Resources whose changes are notified, by canonical URI: one that was renamed under each of its names, and
    /// several where the client asked for it under several names.
    uris: HashMap<String, Vec<WantedUri>>,
    /// The session's revision from which this was built; a newer one replaces it.
    pub revision: u64,
    /// Number of the newest subscription of the session that is included.
    pub newest_subscription: u64,
    /// The client wants no events for now. Its subscriptions stay unchanged, so that events of the
    /// muted time are not sent when it unmutes them.
    is_quiet: bool,
    /// Whole events are notifications of a channel, which a client shows to its model, with cursors of this scope.
    channel: Option<CursorScope>,
    /// The limits of what the reader may see; they apply to everything that it asks for.
    visible: Visibility,
    /// The revision of the directory of names up to which renames are followed.
    names_revision: u64,
    /// The filters as they were given, and where their names mean what they mean, if whoever resumes the stream has to
    /// know.
    named: Option<(FilterSet, Sequence)>,
}

impl StreamInterest {
    /// Whole events that match `filters`, whose names mean what they meant then.
    pub fn events(filters: &FilterSet, names: NamesAt<'_>) -> Self {
        let mut interest = Self {
            names_revision: names.revision(),
            ..Self::default()
        };
        interest.filters = compiled([(&*names.bind(filters), Sequence::START)]);
        interest.follow_all(names);
        interest
    }

    /// The same, of filters whose names mean what they meant at this position also for a client that comes back.
    #[must_use]
    pub fn named_at(self, filters: &FilterSet, position: Sequence) -> Self {
        let has_names = |filter: &Filter| filter.owner.is_some();
        let is_named = filters.filters().iter().any(has_names);
        Self {
            named: is_named.then(|| (filters.clone(), position)),
            ..self
        }
    }

    /// What the ids of its stream say of where its names mean what they mean: nothing before they mean something else
    /// by themselves.
    pub(crate) fn names_for_ids(&self, names: &NameDirectory) -> Sequence {
        let Some((filters, named_at)) = &self.named else {
            return Sequence::START;
        };
        match names.at(*named_at).bind(filters) == names.now().bind(filters) {
            true => Sequence::START,
            false => named_at.next(),
        }
    }

    /// Changes of these resources, whose names mean what they meant then; URIs that are not ours are left out.
    pub fn resources(uris: impl IntoIterator<Item = String>, names: NamesAt<'_>) -> Self {
        let mut interest = Self {
            names_revision: names.revision(),
            ..Self::default()
        };
        uris.into_iter()
            .for_each(|uri| interest.add_uri(&uri, Sequence::START, names));
        interest.follow_all(names);
        interest
    }

    /// The interest of a session.
    pub fn of_session(session: &Session, revision: u64, log: InterestLog<'_>) -> Self {
        Self::up_to_subscription(session, session.newest_subscription, revision, log)
    }

    /// The interest of a session without the subscriptions numbered above `newest_subscription`.
    pub fn up_to_subscription(
        session: &Session,
        newest_subscription: u64,
        revision: u64,
        log: InterestLog<'_>,
    ) -> Self {
        let InterestLog { timeline, names } = log;
        let mut interest = Self {
            revision,
            newest_subscription,
            is_quiet: is_quiet(session.log_level.as_deref()),
            names_revision: names.revision(),
            ..Self::default()
        };
        let subscriptions = session.subscriptions.iter();
        let subscriptions = subscriptions.filter(|s| s.number <= newest_subscription);
        let bound = subscriptions.map(|subscription| {
            let since = timeline.resolve(subscription.since);
            (names.at(since).bind(&subscription.filters), since)
        });
        let bound: Vec<_> = bound.collect();
        interest.filters = compiled(bound.iter().map(|(filters, since)| (&**filters, *since)));
        let number = |uri| {
            session
                .resource_numbers
                .get(uri)
                .copied()
                .unwrap_or_default()
        };
        for (uri, since) in &session.resource_uris {
            if number(uri) <= newest_subscription {
                let since = timeline.resolve(*since);
                interest.add_uri(uri, since, names.at(since));
            }
        }
        // What began later means what its name meant by then.
        let filters = interest.filters.iter().map(|wanted| wanted.after);
        let uris = interest.uris.values().flatten();
        let uris = uris.map(|wanted| wanted.since);
        if let Some(earliest) = filters.chain(uris).min() {
            interest.follow_all(names.at(earliest));
        }
        interest
    }

    /// Whole events that one of several subscriptions wants, each after a position of its own.
    pub fn of_subscriptions<'f>(
        subscriptions: impl IntoIterator<Item = FollowedSubscription<'f>>,
        revision: u64,
        log: InterestLog<'_>,
    ) -> Self {
        let InterestLog { timeline, names } = log;
        let mut interest = Self {
            revision,
            names_revision: names.revision(),
            ..Self::default()
        };
        let bound = subscriptions.into_iter().map(|subscription| {
            let named_at = timeline.resolve(subscription.named_at);
            let after = timeline.resolve(subscription.after);
            let bound = names.at(named_at).bind(subscription.filters);
            (bound, named_at, after)
        });
        let bound: Vec<_> = bound.collect();
        let sets = bound.iter();
        interest.filters = compiled(sets.map(|(filters, _, after)| (&**filters, *after)));
        if let Some(earliest) = bound.iter().map(|(_, named_at, _)| *named_at).min() {
            interest.follow_all(names.at(earliest));
        }
        interest
    }

    /// The same, with what the event ids of its stream say of the subscriptions that it knows.
    #[must_use]
    pub fn knowing(self, newest_subscription: u64) -> Self {
        Self {
            newest_subscription,
            ..self
        }
    }

    /// The same with notifications of a channel in place of log messages, if there is one. The level of log messages
    /// is none of theirs. They name positions by cursors of this scope, which tools take.
    #[must_use]
    pub fn as_channel(self, channel: Option<CursorScope>) -> Self {
        Self {
            channel,
            is_quiet: self.is_quiet && channel.is_none(),
            ..self
        }
    }

    /// The scope of the cursors in notifications of a channel; `None` if whole events are log messages.
    pub(crate) fn channel(&self) -> Option<CursorScope> {
        self.channel
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
        let before = moved.superseded.iter_mut();
        let filters = filters.chain(before.flat_map(|(wanted, until)| [&mut wanted.after, until]));
        let uris = moved.uris.values_mut().flatten();
        let uris = uris.map(|wanted| &mut wanted.since);
        let mut has_moved = false;
        let named = moved.named.iter_mut().map(|(_, named_at)| named_at);
        for since in filters.chain(uris).chain(named) {
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
        let uris = self.uris.values_mut().flatten();
        let uris = uris.map(|wanted| &mut wanted.since);
        for since in filters.chain(uris) {
            *since = reached.min(*since);
        }
        self
    }

    /// Of several spellings of one name the first is kept, so that a change is one notification. Each name of one
    /// resource that the client asked for is kept: it may know the resource by each of them.
    fn add_uri(&mut self, spelt: &str, since: Sequence, names: NamesAt<'_>) {
        let Ok(uri) = ResourceUri::parse(spelt) else {
            return;
        };
        let known = names.uris(&uri);
        let place = known.as_ref().map(|(place, _)| (*place, Sequence::START));
        self.want(&uri, (spelt, since, place));
        for also in known.into_iter().flat_map(|(_, uris)| uris) {
            self.want(&also, (spelt, since, place));
        }
    }

    fn want(
        &mut self,
        uri: &ResourceUri,
        (spelt, since, place): (&str, Sequence, Option<(PlaceId, Sequence)>),
    ) {
        let wanted = self.uris.entry(uri.to_string()).or_default();
        let asked = ResourceUri::canonical(spelt);
        let is_same = |known: &&mut WantedUri| ResourceUri::canonical(&known.spelt) == asked;
        match wanted.iter_mut().find(is_same) {
            Some(known) => known.since = since.min(known.since),
            None => wanted.push(WantedUri {
                spelt: spelt.to_owned(),
                since,
                place,
            }),
        }
    }

    /// The same after renames that it did not follow yet: filters and resources go on with what they named.
    /// `None` if there are none.
    pub(crate) fn following(&self, names: &NameDirectory) -> Option<Self> {
        if self.is_following(names) {
            return None;
        }
        let revision = names.revision();
        let mut followed = self.clone();
        followed.names_revision = revision;
        for rename in names.renames_since(self.names_revision) {
            followed.follow(&rename);
        }
        Some(followed)
    }

    /// Follows the renames since the moment at which names mean what they mean here.
    fn follow_all(&mut self, names: NamesAt<'_>) {
        names
            .renames()
            .iter()
            .for_each(|rename| self.follow(rename));
    }

    /// Whether it follows every rename so far.
    pub(crate) fn is_following(&self, names: &NameDirectory) -> bool {
        names.revision() == self.names_revision
    }

    /// From the rename on, what it named means an id. Earlier events are compared as they were when they came.
    fn follow(&mut self, rename: &FollowedRename) {
        let before = rename.at().previous();
        let mut superseded = std::mem::take(&mut self.superseded).into_vec();
        // A filter that meant it is bound to its id already.
        for wanted in self.filters.iter_mut().filter(|_| !rename.is_taken()) {
            let Some(renamed) = wanted.filter.renamed(rename.digest()) else {
                continue;
            };
            superseded.push((wanted.clone(), rename.at()));
            wanted.filter = renamed;
            wanted.after = wanted.after.max(before);
        }
        let beyond = superseded.len().saturating_sub(MAX_SUPERSEDED_FILTERS);
        self.superseded = superseded.split_off(beyond).into();
        let mut moved = Vec::new();
        for (uri, wanted) in &mut self.uris {
            let parsed = ResourceUri::parse(uri).ok();
            let Some(parsed) = parsed.filter(|uri| rename.was_named_by(uri)) else {
                continue;
            };
            // Only what the name means has been renamed: the name may have another holder by now.
            let concerned = wanted.iter_mut().filter(|wanted| {
                let is_of = wanted.place.map(|(place, _)| rename.is_of(place));
                is_of.unwrap_or(!rename.is_taken())
            });
            for wanted in concerned {
                if wanted.place.is_none_or(|(place, _)| place != rename.id()) {
                    wanted.place = Some((rename.id(), rename.at()));
                }
                let new = rename.moved(&parsed);
                moved.extend(new.map(|new| (new, wanted.clone())));
            }
        }
        for (uri, wanted) in moved {
            let since = wanted.since.max(before);
            self.want(&uri, (&wanted.spelt, since, wanted.place));
        }
    }

    /// The JSON of an event for this reader, if it may not see all of it.
    pub(crate) fn cut_for(&self, entry: &RingEntry) -> Option<Bytes> {
        entry.cut_for(&self.visible)
    }

    /// The event as a notification of a channel, as this reader may see it.
    pub(crate) fn channel_for(&self, entry: &RingEntry) -> ChannelNotification {
        entry.channel_for(&self.visible)
    }

    /// Whether the event is in a list of events that the stream asked for.
    pub(crate) fn wants_in_list(&self, entry: &RingEntry) -> bool {
        self.wanted_uris(entry)
            .any(|uri| matches!(ResourceUri::parse(uri), Ok(ResourceUri::Events { .. })))
    }

    /// Comparisons that the interest may need for one event ([`CompiledFilter::cost`]).
    #[must_use]
    pub fn cost(&self) -> usize {
        let filters = self.filters.iter().map(|wanted| {
            // One whose names have an id is found by both.
            let keys = 1 + usize::from(wanted.filter.place().is_some());
            keys * wanted.filter.cost()
        });
        filters.sum::<usize>() + self.uris.values().map(Vec::len).sum::<usize>()
    }

    /// Whether the event is sent whole.
    pub(crate) fn wants_event(&self, entry: &RingEntry) -> bool {
        self.wants_at(entry.sequence, entry.digest()) && self.visible.allows(&entry.event.facts)
    }

    /// Whether a filter wants the event at this position, whoever may see it.
    pub(crate) fn wants_at(&self, position: Sequence, event: &EventDigest) -> bool {
        let wants = |wanted: &WantedFilter| position > wanted.after && wanted.filter.matches(event);
        let was_wanted =
            |(wanted, until): &(WantedFilter, Sequence)| position < *until && wants(wanted);
        !self.is_quiet && (self.filters.iter().any(wants) || self.superseded.iter().any(was_wanted))
    }

    /// The resources that this event changes and the stream asked for, in the client's spelling.
    pub(crate) fn wanted_uris<'e>(&'e self, entry: &'e RingEntry) -> impl Iterator<Item = &'e str> {
        let touched = if self.uris.is_empty() || !self.visible.allows(&entry.event.facts) {
            &[][..]
        } else {
            entry.uris()
        };
        let facts = &entry.event.facts;
        let wanted = move |uri: &String| {
            let wanted = self.uris.get(uri).into_iter().flatten();
            let wanted = wanted.filter(|wanted| entry.sequence > wanted.since);
            let wanted = wanted.filter(|wanted| wanted.means(entry));
            wanted.map(|wanted| &*wanted.spelt)
        };
        touched.iter().enumerate().flat_map(move |(place, uri)| {
            // A rename changes the lists of both addresses, which one subscription may stand for.
            let before = &touched[..if facts.former.is_some() { place } else { 0 }];
            let is_told = move |spelt: &str| {
                let mut told = before.iter().flat_map(wanted);
                told.any(|told| told == spelt)
            };
            wanted(uri).filter(move |spelt| !is_told(spelt))
        })
    }

    /// The terms under which the stream is indexed ([`MatchIndex`](matching::MatchIndex)).
    #[must_use]
    pub fn terms(&self) -> HashSet<MatchTerm> {
        let filters = self.filters.iter().filter(|_| !self.is_quiet).cloned();
        let by_id = filters.clone().filter_map(|term| {
            let key = MatchKey::Place(term.filter.place()?);
            let is_by_name = matches!(term.key, MatchKey::Owner(_) | MatchKey::Repository(_));
            is_by_name.then_some(MatchTerm { key, ..term })
        });
        let uris = self.uris.iter().filter_map(|(uri, wanted)| {
            Some(MatchTerm {
                key: MatchKey::Uri(uri.clone()),
                filter: CompiledFilter::all(),
                after: wanted.iter().map(|wanted| wanted.since).min()?,
            })
        });
        matching::terms(filters.chain(by_id).chain(uris))
    }

    /// As [`Self::terms`], with those of filters from before a rename: for events of the past.
    pub(crate) fn terms_of_all_times(&self) -> HashSet<MatchTerm> {
        let mut terms = self.terms();
        terms.extend(self.superseded.iter().map(|(wanted, _)| wanted.clone()));
        terms
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
            channel: self.channel,
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
        // Under the names that the event has, which may be later ones than the client's.
        let left: Vec<_> = self
            .wanted_uris(entry)
            .filter(|spelt| !had_uri(spelt))
            .collect();
        let wanted = entry
            .uris()
            .iter()
            .filter_map(|uri| Some((uri, self.uris.get(uri)?)));
        for (uri, wanted) in wanted {
            let wanted = wanted
                .iter()
                .filter(|wanted| left.contains(&&*wanted.spelt));
            let wanted: Vec<_> = wanted
                .map(|wanted| WantedUri {
                    since: Sequence::START,
                    ..wanted.clone()
                })
                .collect();
            if !wanted.is_empty() {
                rest.uris.insert(uri.clone(), wanted);
            }
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
        let uris = self.uris.iter();
        let uris = uris.flat_map(|(uri, wanted)| wanted.iter().map(move |wanted| (uri, wanted)));
        let uris = uris.filter_map(|(uri, wanted)| {
            let mut known = old.uris.get(uri).into_iter().flatten();
            let known = known.find(|known| known.spelt == wanted.spelt);
            let is_known = has(known.map(|known| &known.since), wanted.since);
            (!is_known).then_some(wanted.since)
        });
        filters.map(|wanted| wanted.after).chain(uris).min()
    }

    /// The resources of this interest, in the client's spelling.
    pub(crate) fn requested_uris(&self) -> impl Iterator<Item = &str> {
        // One that was renamed stands here under several names.
        let wanted = self.uris.values().flatten();
        let spelt: BTreeSet<_> = wanted.map(|wanted| &*wanted.spelt).collect();
        spelt.into_iter()
    }

    /// The earliest start position of this interest; `None` if it is empty.
    pub fn earliest(&self) -> Option<Sequence> {
        let filters = self.filters.iter().filter(|_| !self.is_quiet);
        filters
            .map(|wanted| wanted.after)
            .chain(self.uris.values().flatten().map(|wanted| wanted.since))
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
mod tests;
