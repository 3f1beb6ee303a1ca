//! The index finds exactly the streams that want an event.

use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;

use access::NameDirectory;
use event_flow::matching::MatchIndex;
use model::{
    EventFacts, EventType, Filter, FilterSet, LogPosition, ResourceType, Sequence, Sequenced,
    StoredEvent,
};

use super::{
    fixture,
    interest::{FollowedSubscription, InterestLog, StreamInterest},
    ring::RingEntry,
    timeline::LogTimeline,
};

const URIS: [&str; 3] = [
    "github://events",
    "github://events/octo/cat",
    "github://issues/OCTO/dog/7",
];

proptest! {
    #[test]
    fn who_wants_an_event_is_found_and_nobody_twice(
        filters in proptest::collection::vec((0_usize..4, 0_usize..4), 0..30),
        repo in 0_usize..3,
    ) {
        let repos = ["cat", "DOG", "bird"];
        let index = MatchIndex::<usize>::default();
        let interests: Vec<_> = filters
            .iter()
            .map(|(repo, uri)| {
                let repo = repos.get(*repo).map(|repo| (*repo, 0));
                let uri = URIS.get(*uri).map(|uri| (*uri, 0));
                fixture::interest(1, repo.as_slice(), uri.as_slice())
            })
            .collect();
        for (slot, interest) in interests.iter().enumerate() {
            index.add(&slot, interest.terms());
        }
        let entry = RingEntry::new(fixture::event(1, ["cat", "dog", "bird"][repo], 0), 0);
        let mut found = Vec::new();
        let comparisons = index.visit(entry.matched(), |slot| found.push(*slot));
        let cost: usize = interests.iter().map(StreamInterest::cost).sum();
        prop_assert!(comparisons <= cost, "{comparisons} of {cost}");
        let different: BTreeSet<_> = found.iter().copied().collect();
        prop_assert_eq!(different.len(), found.len(), "nobody twice");
        for (slot, interest) in interests.iter().enumerate() {
            prop_assert_eq!(interest.wants(&entry), different.contains(&slot), "{}", slot);
        }
        for (slot, interest) in interests.iter().enumerate() {
            index.remove(&slot, &interest.terms());
        }
        prop_assert!(index.is_empty(), "nothing is left behind");
    }
}

#[test]
fn of_ten_thousand_streams_three_are_looked_at() {
    let index = MatchIndex::<usize>::default();
    for slot in 0..10_000 {
        let repo = format!("repo-{}", slot / 3);
        index.add(&slot, fixture::interest(1, &[(&repo, 0)], &[]).terms());
    }
    let entry = RingEntry::new(fixture::event(1, "repo-7", 0), 0);
    let mut found = Vec::new();
    let comparisons = index.visit(entry.matched(), |slot| found.push(*slot));
    assert_eq!(comparisons, 1 + 3, "one filter, which three have");
    found.sort_unstable();
    assert_eq!(found, [21, 22, 23]);
}

/// A subscription as its client wrote it: the events of its filters after a position.
#[derive(Debug, Clone)]
struct WrittenSubscription {
    filters: Vec<Filter>,
    after: u64,
}

/// What the words of a filter say, without an index and without digests.
fn says(filter: &Filter, event: &EventFacts) -> bool {
    let same = |asked: &Option<String>, is: &Option<String>| {
        asked
            .as_ref()
            .is_none_or(|asked| is.as_ref().is_some_and(|is| is.eq_ignore_ascii_case(asked)))
    };
    let is_kind = filter.resource_type.as_ref().is_none_or(|kind| {
        *kind == event.resource_type
            || (filter.include_pull_requests
                && *kind == ResourceType::ISSUE
                && event.resource_type == ResourceType::PULL_REQUEST)
    });
    let has_tag = |tag: &String| event.tags.iter().any(|is| is.eq_ignore_ascii_case(tag));
    is_kind
        && filter
            .event_type
            .as_ref()
            .is_none_or(|asked| *asked == event.event_type)
        && same(&filter.owner, &event.owner)
        && same(&filter.repo, &event.repo)
        && same(&filter.actor, &event.actor)
        && same(&filter.action, &event.action)
        && filter
            .number
            .is_none_or(|asked| Some(asked) == event.number)
        && filter
            .database_id
            .is_none_or(|asked| Some(asked) == event.ids.resource)
        && (filter.tags.is_empty() || filter.tags.iter().any(has_tag))
}

impl WrittenSubscription {
    fn wants(&self, event: &Sequenced<StoredEvent>) -> bool {
        let facts = &event.item.facts;
        let mut filters = self.filters.iter();
        event.sequence.0 > self.after
            && (self.filters.is_empty() || filters.any(|filter| says(filter, facts)))
    }
}

/// One of few words, or none.
fn word(words: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    proptest::option::of(proptest::sample::select(words).prop_map(ToOwned::to_owned))
}

const OWNERS: &[&str] = &["octo", "ACME"];
const REPOS: &[&str] = &["cat", "Dog"];
const PEOPLE: &[&str] = &["mona", "hubot"];
const ACTIONS: &[&str] = &["labeled", "edited"];
const LABELS: &[&str] = &["bug", "P1", "docs"];

fn kind() -> impl Strategy<Value = ResourceType> {
    proptest::sample::select(&[
        ResourceType::ISSUE,
        ResourceType::PULL_REQUEST,
        ResourceType::MILESTONE,
    ])
}

prop_compose! {
    fn written_filter()(
        kind in proptest::option::of(kind()),
        event_type in proptest::option::of(proptest::sample::select(&[EventType::UPDATED, EventType::CLOSED])),
        [owner, repo] in (word(OWNERS), word(REPOS)).prop_map(|(owner, repo)| [owner, repo]),
        (actor, action) in (word(PEOPLE), word(ACTIONS)),
        number in proptest::option::of(1_u64..3),
        database_id in proptest::option::weighted(0.2, 4_u64..6),
        tags in proptest::collection::vec(proptest::sample::select(LABELS), 0..3),
        include_pull_requests in any::<bool>(),
    ) -> Filter {
        Filter {
            resource_type: kind,
            event_type,
            owner,
            repo,
            actor,
            action,
            number,
            database_id,
            tags: tags.into_iter().map(str::to_lowercase).collect(),
            include_pull_requests,
            ..Filter::default()
        }
    }
}

prop_compose! {
    fn written_event()(
        kind in kind(),
        closed in any::<bool>(),
        (owner, repo) in (word(OWNERS), word(REPOS)),
        (actor, action) in (word(PEOPLE), word(ACTIONS)),
        number in proptest::option::of(1_u64..3),
        id in proptest::option::of(4_u64..6),
        tags in proptest::collection::vec(proptest::sample::select(LABELS), 0..3),
        sequence in 1_u64..6,
    ) -> Sequenced<StoredEvent> {
        let mut event = fixture::event(sequence, "cat", 0);
        let facts = Arc::make_mut(&mut event.item.facts);
        facts.resource_type = kind;
        facts.event_type = if closed { EventType::CLOSED } else { EventType::UPDATED };
        (facts.owner, facts.repo, facts.actor, facts.action) = (owner, repo, actor, action);
        (facts.number, facts.ids.resource) = (number, id);
        facts.tags = tags.into_iter().map(ToOwned::to_owned).collect();
        event
    }
}

fn written_subscriptions() -> impl Strategy<Value = Vec<WrittenSubscription>> {
    let written = (proptest::collection::vec(written_filter(), 0..4), 0_u64..6);
    let written = written.prop_map(|(filters, after)| WrittenSubscription { filters, after });
    proptest::collection::vec(written, 0..20)
}

proptest! {
    #[test]
    fn the_index_of_subscriptions_finds_what_comparing_each_with_the_event_finds(
        subscriptions in written_subscriptions(),
        // Streams that follow several of them.
        together in 1_usize..4,
        events in proptest::collection::vec(written_event(), 1..8),
    ) {
        let (timeline, names) = (LogTimeline::new(fixture::EPOCH, 0), NameDirectory::default());
        let log = InterestLog { timeline: &timeline, names: &names };
        let position = |sequence| LogPosition {
            epoch: fixture::EPOCH,
            sequence: Sequence(sequence),
            tag: None,
        };
        let index = MatchIndex::<usize>::default();
        let groups: Vec<_> = subscriptions.chunks(together).collect();
        for (slot, group) in groups.iter().enumerate() {
            let sets: Vec<_> = group
                .iter()
                .map(|one| (FilterSet::new(one.filters.clone()).unwrap(), one.after))
                .collect();
            let followed = sets.iter().map(|(filters, after)| FollowedSubscription {
                filters,
                named_at: position(*after),
                after: position(*after),
            });
            index.add(&slot, StreamInterest::of_subscriptions(followed, 1, log).terms());
        }
        for event in events {
            let entry = RingEntry::new(event.clone(), 0);
            let mut found = BTreeSet::new();
            index.visit(entry.matched(), |slot| {
                assert!(found.insert(*slot), "nobody twice");
            });
            let naive = groups.iter().enumerate();
            let naive = naive.filter(|(_, group)| group.iter().any(|one| one.wants(&event)));
            let naive: BTreeSet<_> = naive.map(|(slot, _)| slot).collect();
            prop_assert_eq!(found, naive, "{:?}", event.item.facts);
        }
    }
}
