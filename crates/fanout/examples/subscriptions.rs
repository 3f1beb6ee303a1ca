//! The time that it takes to find which of 10,000 subscriptions want an event:
//! `cargo run --release -p fanout --example subscriptions`.

use std::{hint::black_box, time::Instant};

use access::NameDirectory;
use event_flow::matching::{MatchIndex, MatchedEvent};
use fanout::{
    interest::{FollowedSubscription, InterestLog, StreamInterest},
    timeline::LogTimeline,
};
use model::{
    Epoch, EventDigest, EventFacts, EventId, EventOrigin, EventType, Filter, FilterSet, GithubIds,
    LogPosition, ResourceId, ResourceType, Sequence, Timestamp,
};

const SUBSCRIPTIONS: usize = 10_000;
const ROUNDS: u32 = 20_000;
const EPOCH: Epoch = Epoch(1);

/// An index of the interests that these sets of filters make.
fn index(sets: impl Iterator<Item = FilterSet>) -> MatchIndex<usize> {
    let (timeline, names) = (LogTimeline::new(EPOCH, 0), NameDirectory::default());
    let log = InterestLog {
        timeline: &timeline,
        names: &names,
    };
    let index = MatchIndex::default();
    let start = LogPosition {
        epoch: EPOCH,
        sequence: Sequence::START,
        tag: None,
    };
    for (id, filters) in sets.enumerate() {
        let followed = FollowedSubscription {
            filters: &filters,
            named_at: start,
            after: start,
        };
        let interest = StreamInterest::of_subscriptions([followed], 0, log);
        index.add(&id, interest.terms());
    }
    index
}

fn filter(owner: Option<&str>, repo: Option<&str>) -> Filter {
    Filter {
        owner: owner.map(ToOwned::to_owned),
        repo: repo.map(ToOwned::to_owned),
        ..Filter::default()
    }
}

fn set(filters: Vec<Filter>) -> FilterSet {
    FilterSet::new(filters).expect("few filters")
}

fn main() {
    let facts = EventFacts {
        id: EventId::new("e").expect("an id"),
        event_type: EventType::UPDATED,
        action: Some("labeled".to_owned()),
        resource_type: ResourceType::ISSUE,
        resource_id: ResourceId::new("I_1").expect("an id"),
        owner: Some("acme".to_owned()),
        repo: Some("repo-7".to_owned()),
        number: Some(7),
        ids: GithubIds::default(),
        former: None,
        actor: Some("mona".to_owned()),
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: vec!["bug".to_owned(), "p1".to_owned()],
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    };
    let repo = |n: usize| format!("repo-{n}");
    let cases: [(&str, MatchIndex<usize>); 7] = [
        (
            "each of another repository: one wants the event",
            index((0..SUBSCRIPTIONS).map(|n| set(vec![filter(Some("acme"), Some(&repo(n)))]))),
        ),
        (
            "of 1,000 repositories, with a kind and a label: ten want it",
            index((0..SUBSCRIPTIONS).map(|n| {
                set(vec![Filter {
                    resource_type: Some(ResourceType::ISSUE),
                    tags: vec!["bug".to_owned()],
                    ..filter(Some("acme"), Some(&repo(n % 1000)))
                }])
            })),
        ),
        (
            "16 filters each, of 16,000 repositories: ten want it",
            index((0..SUBSCRIPTIONS).map(|n| {
                let filters = (0..16).map(|m| {
                    let at = (n % 1000) + 1000 * m;
                    filter(Some("acme"), Some(&repo(at)))
                });
                set(filters.collect())
            })),
        ),
        (
            "each of every event: all want it",
            index((0..SUBSCRIPTIONS).map(|_| set(Vec::new()))),
        ),
        (
            "all of one repository, each of another issue: one wants it",
            index((0..SUBSCRIPTIONS).map(|n| {
                set(vec![Filter {
                    number: Some(n as u64),
                    ..filter(Some("acme"), Some("repo-7"))
                }])
            })),
        ),
        (
            "all of one owner, each with a label of its own: none wants it",
            index((0..SUBSCRIPTIONS).map(|n| {
                set(vec![Filter {
                    tags: vec![format!("label-{n}")],
                    ..filter(Some("acme"), None)
                }])
            })),
        ),
        (
            "all of one owner, each with four labels of its own: none wants it, and each is compared",
            index((0..SUBSCRIPTIONS).map(|n| {
                set(vec![Filter {
                    tags: (0..4).map(|m| format!("label-{n}-{m}")).collect(),
                    ..filter(Some("acme"), None)
                }])
            })),
        ),
    ];
    for (name, index) in cases {
        measure(name, &index, &facts);
    }
}

fn measure(what: &str, index: &MatchIndex<usize>, facts: &EventFacts) {
    let (mut wanted, mut comparisons) = (0, 0);
    let began = Instant::now();
    for n in 0..ROUNDS {
        // With what an event costs once: its digest.
        let digest = EventDigest::of(black_box(facts));
        let event = MatchedEvent {
            sequence: Sequence(u64::from(n) + 1),
            facts,
            digest: &digest,
            uris: &std::sync::OnceLock::from(Vec::new()),
        };
        wanted = 0;
        comparisons = index.visit(event, |id| {
            black_box(id);
            wanted += 1;
        });
    }
    let nanos = began.elapsed().as_nanos() / u128::from(ROUNDS);
    let micros = format!("{}.{:02}", nanos / 1000, nanos % 1000 / 10);
    println!("{what}: {micros} µs, {wanted} found with {comparisons} comparisons");
}
