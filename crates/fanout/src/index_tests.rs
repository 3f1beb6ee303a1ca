//! The index finds exactly the streams that want an event.

use std::collections::BTreeSet;

use proptest::prelude::*;

use event_flow::matching::MatchIndex;

use super::{fixture, interest::StreamInterest, ring::RingEntry};

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
