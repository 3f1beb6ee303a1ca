use model::{EventId, EventOrigin, EventType, ResourceId, ResourceType, Timestamp};

use super::*;

fn facts(labels: usize) -> EventFacts {
    EventFacts {
        id: EventId::new("e").unwrap(),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: ResourceType::ISSUE,
        resource_id: ResourceId::new("I_1").unwrap(),
        owner: Some("Octo".into()),
        repo: Some("Cat".into()),
        number: Some(7),
        ids: model::GithubIds {
            resource: Some(4711),
            ..model::GithubIds::default()
        },
        former: None,
        actor: Some("mona".into()),
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: (0..labels).map(|n| format!("label {n}")).collect(),
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    }
}

/// Adds `item` with this filter, from the beginning on; returns the cost of the filter.
fn add(index: &MatchIndex<usize>, item: usize, filter: &Filter) -> usize {
    let compiled = CompiledFilter::of(filter);
    let cost = compiled.cost();
    let term = MatchTerm {
        key: MatchKey::of(filter),
        filter: compiled,
        after: Sequence::START,
    };
    index.add(&item, [term]);
    cost
}

fn remove(index: &MatchIndex<usize>, item: usize, filter: &Filter) {
    let term = MatchTerm {
        key: MatchKey::of(filter),
        filter: CompiledFilter::of(filter),
        after: Sequence::START,
    };
    index.remove(&item, &[term]);
}

fn found(index: &MatchIndex<usize>, facts: &EventFacts) -> (Vec<usize>, usize) {
    let mut found = Vec::new();
    let digest = EventDigest::of(facts);
    let event = MatchedEvent {
        sequence: Sequence(5),
        facts,
        digest: &digest,
        uris: &OnceLock::from(Vec::new()),
    };
    let comparisons = index.visit(event, |item| found.push(*item));
    (found, comparisons)
}

#[test]
fn each_key_finds_its_filters() {
    let index = MatchIndex::default();
    let text = |text: &str| Some(text.to_owned());
    let filters = [
        Filter::default(),
        Filter {
            owner: text("OCTO"),
            ..Filter::default()
        },
        Filter {
            repo: text("cat"),
            ..Filter::default()
        },
        Filter {
            owner: text("octo"),
            repo: text("CAT"),
            ..Filter::default()
        },
        Filter {
            actor: text("Mona"),
            ..Filter::default()
        },
        Filter {
            resource_id: Some(ResourceId::new("I_1").unwrap()),
            ..Filter::default()
        },
        Filter {
            number: Some(7),
            ..Filter::default()
        },
        Filter {
            database_id: Some(4711),
            ..Filter::default()
        },
    ];
    for (item, filter) in filters.iter().enumerate() {
        add(&index, item, filter);
        // As 100 more, another one of the same kind that does not match.
        let other = Filter {
            event_type: Some(EventType::CLOSED),
            ..filter.clone()
        };
        add(&index, 100 + item, &other);
    }
    let (mut items, _) = found(&index, &facts(1));
    items.sort_unstable();
    assert_eq!(items, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn equal_filters_are_compared_once_however_many_hold_them() {
    let index = MatchIndex::default();
    let filter = |case: bool| Filter {
        owner: Some(if case { "octo" } else { "OCTO" }.into()),
        tags: ["a", "b", "c", "d"].map(Into::into).into(),
        ..Filter::default()
    };
    for item in 0..1000 {
        add(&index, item, &filter(item % 2 == 0));
    }
    let (items, comparisons) = found(&index, &facts(100));
    assert_eq!((items.len(), comparisons), (0, 5), "owner and four tags");
}

/// Subscriptions of one owner or repository that each want another issue, account, label or action.
#[test]
fn filters_that_differ_in_a_selective_field_are_not_compared() {
    let by_field: [fn(usize) -> Filter; 4] = [
        |n| Filter {
            number: Some(n as u64),
            ..Filter::default()
        },
        |n| Filter {
            repo: Some("cat".into()),
            actor: Some(format!("actor-{n}")),
            ..Filter::default()
        },
        |n| Filter {
            tags: [0, 1, 2].map(|tag| format!("label {}", 3 * n + tag)).into(),
            ..Filter::default()
        },
        |n| Filter {
            action: Some(format!("action-{n}")),
            ..Filter::default()
        },
    ];
    for (field, filter) in by_field.into_iter().enumerate() {
        let index = MatchIndex::default();
        for n in 0..10_000 {
            let owner = Some("octo".to_owned());
            add(&index, n, &Filter { owner, ..filter(n) });
        }
        let mut facts = facts(2);
        facts.actor = Some("Actor-7".to_owned());
        facts.action = Some("Action-7".to_owned());
        let (items, comparisons) = found(&index, &facts);
        let expected = if field == 2 { 0 } else { 7 };
        assert_eq!(items, [expected], "field {field}");
        assert!(comparisons <= 6, "{comparisons} for field {field}");
        for n in 0..10_000 {
            let owner = Some("octo".to_owned());
            remove(&index, n, &Filter { owner, ..filter(n) });
        }
        assert!(index.is_empty(), "field {field}");
    }
}

#[test]
fn a_filter_with_several_tags_of_an_event_is_found_once() {
    let index = MatchIndex::default();
    let mut cost = 0;
    for tags in [1, 2, 3, 4] {
        let filter = Filter {
            owner: Some("octo".into()),
            tags: (0..tags).map(|n| format!("Label {n}")).collect(),
            ..Filter::default()
        };
        cost += add(&index, tags, &filter);
    }
    for labels in 1..=4 {
        let mut facts = facts(labels);
        // GitHub compares labels without case.
        facts.tags.push("LABEL 0".to_owned());
        let (mut items, comparisons) = found(&index, &facts);
        items.sort_unstable();
        assert_eq!(items, [1, 2, 3, 4], "{labels} labels");
        assert!(comparisons <= cost, "{comparisons} of {cost}");
    }
}

/// 64 subscriptions of 64 filters with 32 tags each against an event with 100 labels: 13 million pairs of
/// texts.
#[test]
fn the_worst_filters_cost_what_their_cost_says() {
    let index = MatchIndex::default();
    let mut cost = 0;
    for n in 0..64 * 64 {
        let tags = (0..31).map(|tag| format!("no such label {tag}"));
        let filter = Filter {
            owner: Some("octo".into()),
            tags: tags.chain([format!("nor this {n}")]).collect(),
            ..Filter::default()
        };
        cost += add(&index, n, &filter);
    }
    let (items, comparisons) = found(&index, &facts(100));
    assert_eq!(items.len(), 0);
    assert!(comparisons <= cost, "{comparisons} of {cost}");
    assert_eq!(cost, 64 * 64 * (1 + 1 + 32));
}

#[test]
fn while_an_event_is_matched_others_come_and_go() {
    let index = MatchIndex::default();
    for item in 0..10 {
        add(&index, item, &Filter::default());
    }
    let (facts, mut visited) = (facts(0), 0);
    let digest = EventDigest::of(&facts);
    let event = MatchedEvent {
        sequence: Sequence(1),
        facts: &facts,
        digest: &digest,
        uris: &OnceLock::from(Vec::new()),
    };
    index.visit(event, |item| {
        // This would deadlock on a lock held here.
        add(&index, item + 10, &Filter::default());
        let term = MatchTerm {
            key: MatchKey::Everything,
            filter: CompiledFilter::all(),
            after: Sequence::START,
        };
        index.remove(item, &[term]);
        visited += 1;
    });
    assert_eq!(visited, 10, "the index as it was when the event came");
    assert_eq!(found(&index, &facts).0.len(), 10);
}

#[test]
fn what_begins_later_is_not_wanted_yet_and_everything_makes_it_superfluous() {
    let term = |key, after| MatchTerm {
        key,
        filter: CompiledFilter::all(),
        after: Sequence(after),
    };
    let owner = || MatchKey::Owner("octo".into());
    let index = MatchIndex::default();
    index.add(&1, [term(owner(), 4)]);
    index.add(&2, [term(owner(), 5)]);
    assert_eq!(found(&index, &facts(0)).0, [1], "event 5");
    let all = terms([
        term(MatchKey::Everything, 3),
        term(MatchKey::Everything, 9),
        term(owner(), 2),
        term(owner(), 3),
    ]);
    let expected = [term(MatchKey::Everything, 3), term(owner(), 2)];
    assert_eq!(all, HashSet::from(expected));
}
