//! Every combination of the fields of a filter, against events that differ from what it asks for in one field each.

use model::{
    EventId, EventOrigin, EventType, FilterMatcher, FilterSet, GithubIds, ResourceId, ResourceType,
    Timestamp,
};

use super::*;

/// The fields that a filter may have, one bit each.
const FIELDS: u32 = 12;
const KIND: u32 = 0;
const IS_PULL_REQUEST: u32 = 11;
/// Not a condition of its own: it widens that on the kind.
const INCLUDES_PULL_REQUESTS: u32 = 12;

fn event() -> EventFacts {
    EventFacts {
        id: EventId::new("e").unwrap(),
        event_type: EventType::UPDATED,
        action: Some("Labeled".into()),
        resource_type: ResourceType::ISSUE,
        resource_id: ResourceId::new("I_1").unwrap(),
        owner: Some("Octo".into()),
        repo: Some("Cat".into()),
        number: Some(7),
        ids: GithubIds {
            resource: Some(4711),
            ..GithubIds::default()
        },
        former: None,
        actor: Some("Mona".into()),
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: vec!["Bug".into(), "p1".into()],
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    }
}

/// The filter with the fields of these bits, all of which fit [`event`].
fn filter(bits: u32) -> Filter {
    let has = |field: u32| bits & (1 << field) != 0;
    let text = |field: u32, text: &str| has(field).then(|| text.to_owned());
    Filter {
        resource_type: has(KIND).then_some(ResourceType::ISSUE),
        event_type: has(1).then_some(EventType::UPDATED),
        action: text(2, "labeled"),
        resource_id: has(3).then(|| ResourceId::new("I_1").unwrap()),
        database_id: has(4).then_some(4711),
        owner: text(5, "octo"),
        repo: text(6, "CAT"),
        number: has(7).then_some(7),
        actor: text(8, "mona"),
        authors: Vec::new(),
        author_association: Vec::new(),
        source: has(9).then_some(EventOrigin::WEBHOOK),
        tags: match has(10) {
            true => vec!["none".into(), "bug".into()],
            false => Vec::new(),
        },
        is_pull_request: has(IS_PULL_REQUEST).then_some(false),
        include_pull_requests: has(INCLUDES_PULL_REQUESTS),
        place: None,
    }
}

/// The event, and those that differ from it, with the fields of a filter that tell each apart.
fn events() -> Vec<(EventFacts, &'static [u32])> {
    let unlike = |change: fn(&mut EventFacts)| {
        let mut event = event();
        change(&mut event);
        event
    };
    vec![
        (event(), &[]),
        (
            unlike(|event| event.resource_type = ResourceType::MILESTONE),
            &[KIND],
        ),
        (unlike(|event| event.event_type = EventType::CLOSED), &[1]),
        (
            unlike(|event| event.action = Some("unlabeled".into())),
            &[2],
        ),
        (unlike(|event| event.action = None), &[2]),
        (
            unlike(|event| event.resource_id = ResourceId::new("I_2").unwrap()),
            &[3],
        ),
        (unlike(|event| event.ids.resource = Some(4712)), &[4]),
        (unlike(|event| event.ids.resource = None), &[4]),
        (unlike(|event| event.owner = Some("octopus".into())), &[5]),
        (unlike(|event| event.repo = None), &[6]),
        (unlike(|event| event.number = Some(8)), &[7]),
        (unlike(|event| event.actor = None), &[8]),
        (unlike(|event| event.source = EventOrigin::SYNC), &[9]),
        (unlike(|event| event.tags = vec!["p1".into()]), &[10]),
        (
            unlike(|event| event.resource_type = ResourceType::PULL_REQUEST),
            &[KIND, IS_PULL_REQUEST],
        ),
    ]
}

/// Whether a filter with these bits tells the event apart by one of the fields.
fn differs(bits: u32, event: &EventFacts, fields: &[u32]) -> bool {
    let widened = bits & (1 << INCLUDES_PULL_REQUESTS) != 0
        && event.resource_type == ResourceType::PULL_REQUEST;
    let counts = |field: &&u32| !(widened && **field == KIND);
    let mut fields = fields.iter().filter(counts);
    fields.any(|field| bits & (1 << field) != 0)
}

/// Alone, in a set, and beside all others in the index, in which the empty filter is one of them.
#[test]
fn each_of_the_combinations_matches_what_fits_all_of_its_fields_and_nothing_else() {
    let index = MatchIndex::<u32>::default();
    let all = 0..1 << (FIELDS + 1);
    for bits in all.clone() {
        let filter = filter(bits);
        let term = MatchTerm {
            key: MatchKey::of(&filter),
            filter: CompiledFilter::of(&filter),
            after: Sequence::START,
        };
        index.add(&bits, [term]);
    }
    for (facts, fields) in events() {
        let digest = EventDigest::of(&facts);
        let mut found = HashSet::new();
        let matched = MatchedEvent {
            sequence: Sequence(1),
            facts: &facts,
            digest: &digest,
            uris: &OnceLock::from(Vec::new()),
        };
        index.visit(matched, |bits| {
            assert!(found.insert(*bits), "{bits:b} twice");
        });
        for bits in all.clone() {
            let fits = !differs(bits, &facts, fields);
            let filter = filter(bits);
            let alone = CompiledFilter::of(&filter).matches(&digest);
            let set = FilterSet::new(vec![filter]).unwrap();
            let in_set = FilterMatcher::of(&set).matches(&facts);
            let in_index = found.contains(&bits);
            let named = [alone, in_set, in_index];
            assert_eq!(named, [fits; 3], "{bits:013b} and {facts:?}");
        }
    }
    assert!(
        filter(0) == Filter::default(),
        "the empty filter is among them"
    );
}
