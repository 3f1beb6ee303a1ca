//! Lists against a naive filter, and their pages while states change.

use std::collections::BTreeSet;

use model::{ResourceId, Timestamp};
use ports::{MirrorAddress, MirrorFilter, MirrorListing, MirrorOrder, MirroredKind, ResourceError};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    listed::ListedObject,
    mirror::{
        Mirror,
        lists::tests::{at, mirror, object, place},
        shown::ShownAs,
    },
};

const PEOPLE: [&str; 3] = ["Mona", "lisa", "Hubot"];
const LABELS: [&str; 3] = ["Bug", "UI", "über"];
const WORDS: [&str; 3] = ["Crash", "slow", "\"quoted\""];
const BRANCHES: [&str; 2] = ["main", "Main"];

/// A pull request, or an issue without the members that only pull requests have.
#[derive(Debug, Clone)]
struct ListCase {
    repo: u64,
    number: u64,
    second: i64,
    json: Value,
    gone: bool,
}

fn some_of(all: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(all.to_vec(), 0..=all.len())
}

fn case() -> impl Strategy<Value = ListCase> {
    let texts = (some_of(&WORDS), prop::sample::select(WORDS.to_vec()));
    let people = (some_of(&PEOPLE), prop::sample::select(PEOPLE.to_vec()));
    let state = prop::sample::select(vec![("open", false), ("closed", false), ("closed", true)]);
    let rest = (
        prop::sample::select(BRANCHES.to_vec()),
        prop::option::of(1..3_u64),
    );
    let key = (1..3_u64, 1..12_u64, 0..6_i64, prop::bool::weighted(0.1));
    (key, state, some_of(&LABELS), people, texts, rest).prop_map(
        |((repo, number, second, gone), (state, merged), labels, people, texts, rest)| {
            let json = json!({
                "number": number,
                "state": state,
                "merged_at": merged.then_some("2026-01-01T00:00:00Z"),
                "labels": labels.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
                "assignees": people.0.iter().map(|login| json!({ "login": login })).collect::<Vec<_>>(),
                "user": { "login": people.1 },
                "milestone": rest.1.map(|number| json!({ "number": number })),
                "base": { "ref": rest.0 },
                "title": texts.1,
                "body": texts.0.join(" and\n"),
            });
            ListCase { repo, number, second, json, gone }
        },
    )
}

fn filter() -> impl Strategy<Value = MirrorFilter> {
    let text =
        |all: &[&'static str]| prop::option::weighted(0.3, prop::sample::select(all.to_vec()));
    let words = prop_oneof![2 => Just(Vec::new()), 1 => some_of(&WORDS)];
    let labels = prop_oneof![2 => Just(Vec::new()), 1 => some_of(&LABELS)];
    let texts = (
        text(&["open", "CLOSED", "merged"]),
        text(&["MONA", "lisa", "*", "none", "nobody"]),
        text(&["hubot", "Lisa"]),
        text(&BRANCHES),
    );
    let rest = (
        prop::option::weighted(0.2, 1..3_u64),
        prop::option::weighted(0.3, 0..6_i64),
        any::<bool>(),
    );
    let lower = |texts: Vec<&str>| texts.iter().map(|text| text.to_lowercase()).collect();
    (texts, words, labels, rest).prop_map(move |(texts, words, labels, rest)| MirrorFilter {
        state: texts.0.map(str::to_owned),
        labels: lower(labels),
        assignee: texts.1.map(str::to_owned),
        creator: texts.2.map(str::to_owned),
        milestone: rest.0,
        updated_since: rest.1.map(at),
        words: lower(words),
        branch: texts.3.map(str::to_owned),
        with_deleted: rest.2,
    })
}

/// The filter as its documentation says it, on the whole object.
fn fits(filter: &MirrorFilter, case: &ListCase) -> bool {
    let text = |at: &str| {
        case.json
            .pointer(at)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let names = |list: &str, key: &str| -> Vec<String> {
        let all = case.json[list].as_array().unwrap().iter();
        all.map(|one| one[key].as_str().unwrap().to_lowercase())
            .collect()
    };
    let assignees = names("assignees", "login");
    let state = |asked: &String| match asked.to_lowercase().as_str() {
        "merged" => !case.json["merged_at"].is_null(),
        asked => text("/state") == asked,
    };
    let assigned = |asked: &String| match asked.as_str() {
        "*" => !assignees.is_empty(),
        "none" => assignees.is_empty(),
        login => assignees.contains(&login.to_lowercase()),
    };
    let texts = [text("/title").to_lowercase(), text("/body").to_lowercase()];
    let has_word = |word: &String| texts.iter().any(|text| text.contains(word));
    filter.state.as_ref().is_none_or(state)
        && filter
            .labels
            .iter()
            .all(|label| names("labels", "name").contains(label))
        && filter.assignee.as_ref().is_none_or(assigned)
        && filter
            .creator
            .as_ref()
            .is_none_or(|who| who.eq_ignore_ascii_case(text("/user/login")))
        && filter
            .milestone
            .is_none_or(|number| case.json["milestone"]["number"] == number)
        && filter
            .updated_since
            .is_none_or(|since| updated_at(case) >= since)
        && filter.words.iter().all(has_word)
        && filter
            .branch
            .as_ref()
            .is_none_or(|branch| branch == text("/base/ref"))
        && (filter.with_deleted || !case.gone)
}

fn updated_at(case: &ListCase) -> Timestamp {
    at(if case.gone { 100 } else { case.second })
}

fn show(mirror: &Mirror, case: &ListCase) {
    let repo = place(&format!("Octo/R{}", case.repo), 10, case.repo);
    let kind = MirroredKind::PullRequest;
    let node = format!("N{}_{}", case.repo, case.number);
    let listed = ListedObject {
        node_id: ResourceId::new(&node).unwrap(),
        json: case.json.to_string().into(),
        ..object(kind, case.number, case.second, "")
    };
    mirror.show(&repo, &listed, at(50), ShownAs::baseline);
    if case.gone {
        mirror.show_gone(&repo, kind, case.number, at(100));
    }
}

fn listing(filter: MirrorFilter, repo: Option<&str>) -> MirrorListing {
    MirrorListing {
        kind: MirroredKind::PullRequest,
        owner: "OCTO".to_owned(),
        repo: repo.map(str::to_owned),
        filter,
        order: MirrorOrder::Number,
        descending: false,
        limit: 3,
        after: None,
    }
}

/// Addresses of a whole list, page by page; `between` happens before each page but the first.
fn read_all(
    mirror: &Mirror,
    mut listing: MirrorListing,
    mut between: impl FnMut(),
) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    loop {
        let page = mirror.list(&listing).unwrap();
        assert!(page.states.len() <= listing.limit);
        let addresses = page.states.iter().map(|state| &state.address);
        let addresses = addresses.map(|at| (at.repo.clone().unwrap(), at.number));
        all.extend(addresses);
        assert!(all.len() < 1000, "it ends");
        let Some(next) = page.next else {
            return all;
        };
        listing.after = Some(next);
        between();
    }
}

/// One per address.
fn distinct(cases: Vec<ListCase>) -> Vec<ListCase> {
    let mut known = BTreeSet::new();
    let cases = cases.into_iter();
    cases
        .filter(|case| known.insert((case.repo, case.number)))
        .collect()
}

proptest! {
    #[test]
    fn a_list_is_what_a_naive_filter_gives(
        cases in prop::collection::vec(case(), 0..30).prop_map(distinct),
        filter in filter(), of_repo in any::<bool>(), by_update in any::<bool>(), descending in any::<bool>(),
    ) {
        let mirror = mirror(1000);
        cases.iter().for_each(|case| show(&mirror, case));
        let fitting = cases.iter().filter(|case| fits(&filter, case) && (!of_repo || case.repo == 1));
        let mut expected: Vec<_> = fitting.collect();
        expected.sort_by_key(|case| {
            let updated = by_update.then(|| updated_at(case));
            (updated, case.number, case.repo)
        });
        if descending {
            expected.reverse();
        }
        let expected: Vec<_> =
            expected.iter().map(|case| (format!("R{}", case.repo), case.number)).collect();
        let listing = MirrorListing {
            order: if by_update { MirrorOrder::Updated } else { MirrorOrder::Number },
            descending,
            ..listing(filter, of_repo.then_some("r1"))
        };
        prop_assert_eq!(read_all(&mirror, listing, || ()), expected);
    }

    /// ML-01: what changes while pages are read is in one of them at least, what does not in exactly one.
    #[test]
    fn nothing_is_lost_while_pages_are_read(
        changes in prop::collection::vec((1..13_u64, 0..40_i64), 0..6),
        by_update in any::<bool>(), descending in any::<bool>(), with_words in any::<bool>(),
    ) {
        let mirror = mirror(1000);
        let case = |number, second| ListCase {
            repo: 1,
            number,
            second,
            json: json!({ "title": "word", "body": format!("{second}") }),
            gone: false,
        };
        for number in 1..13 {
            show(&mirror, &case(number, i64::try_from(number).unwrap()));
        }
        let filter = MirrorFilter {
            words: if with_words { vec!["word".to_owned()] } else { Vec::new() },
            ..MirrorFilter::default()
        };
        let listing = MirrorListing {
            order: if by_update { MirrorOrder::Updated } else { MirrorOrder::Number },
            descending,
            ..listing(filter, Some("R1"))
        };
        let mut left = changes.clone().into_iter();
        let read = read_all(&mirror, listing, || {
            if let Some((number, second)) = left.next() {
                show(&mirror, &case(number, second));
            }
        });
        for number in 1..13 {
            let times = read.iter().filter(|(_, read)| *read == number).count();
            let may_be_twice = by_update && changes.iter().any(|(changed, _)| *changed == number);
            prop_assert!(times == 1 || (times > 1 && may_be_twice), "{} {} times", number, times);
        }
    }
}

fn refusal(result: Result<ports::MirrorPage, ResourceError>) -> &'static str {
    match result {
        Err(ResourceError::Refused { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_out_of_bounds_or_another_lists_is_refused() {
    let mirror = mirror(100);
    let pull = |number| ListCase {
        repo: 1,
        number,
        second: 1,
        json: json!({}),
        gone: false,
    };
    (1..10).for_each(|number| show(&mirror, &pull(number)));
    let first = listing(MirrorFilter::default(), Some("R1"));
    let next = mirror.list(&first).unwrap().next.unwrap();
    let after = |next: &str| Some(next.to_owned());
    let second = MirrorListing {
        after: after(&next),
        repo: Some("r1".to_owned()),
        limit: 5,
        ..first.clone()
    };
    assert_eq!(mirror.list(&second).unwrap().states.len(), 5);
    for (field, listing) in [
        (
            "limit",
            MirrorListing {
                limit: 0,
                ..first.clone()
            },
        ),
        (
            "limit",
            MirrorListing {
                limit: 101,
                ..first.clone()
            },
        ),
        (
            "after",
            MirrorListing {
                after: after("bm9uZQ"),
                ..first.clone()
            },
        ),
        (
            "after",
            MirrorListing {
                after: after("%"),
                ..first.clone()
            },
        ),
        (
            "after",
            MirrorListing {
                descending: true,
                ..second.clone()
            },
        ),
        (
            "after",
            MirrorListing {
                repo: None,
                ..second.clone()
            },
        ),
        (
            "after",
            MirrorListing {
                kind: MirroredKind::Issue,
                ..second.clone()
            },
        ),
        (
            "repo",
            MirrorListing {
                kind: MirroredKind::Project,
                ..first.clone()
            },
        ),
    ] {
        assert_eq!(refusal(mirror.list(&listing)), field, "{listing:?}");
    }
}

#[test]
fn a_filter_that_is_too_large_is_refused() {
    let mirror = mirror(100);
    let filters = [
        (
            "words",
            MirrorFilter {
                words: vec!["x".to_owned(); 21],
                ..MirrorFilter::default()
            },
        ),
        (
            "labels",
            MirrorFilter {
                labels: vec![String::new()],
                ..MirrorFilter::default()
            },
        ),
        (
            "filter",
            MirrorFilter {
                state: Some("x".repeat(257)),
                ..MirrorFilter::default()
            },
        ),
    ];
    for (field, filter) in filters {
        assert_eq!(refusal(mirror.list(&listing(filter, None))), field);
    }
}

#[test]
fn a_page_ends_before_its_bytes_exceed_the_bound_and_a_search_at_its_own() {
    let mirror = mirror(100);
    let large = "x".repeat(700 * 1024);
    for number in 1..30 {
        let json = json!({ "title": "t", "body": large });
        show(
            &mirror,
            &ListCase {
                repo: 1,
                number,
                second: 1,
                json,
                gone: false,
            },
        );
    }
    let first = MirrorListing {
        limit: 100,
        ..listing(MirrorFilter::default(), Some("R1"))
    };
    assert_eq!(mirror.list(&first).unwrap().states.len(), 1);
    assert_eq!(read_all(&mirror, first.clone(), || ()).len(), 29);
    let filter = MirrorFilter {
        words: vec!["absent".to_owned()],
        ..MirrorFilter::default()
    };
    let search = MirrorListing { filter, ..first };
    let page = mirror.list(&search).unwrap();
    assert!(
        page.states.is_empty() && page.next.is_some(),
        "some 24 of them were searched"
    );
    assert!(read_all(&mirror, search, || ()).is_empty());
}

#[test]
fn a_list_is_whole_since_its_last_reading_unless_something_is_missing() {
    let mirror = mirror(3);
    let kind = MirroredKind::PullRequest;
    let as_of = |repo| {
        mirror
            .list(&listing(MirrorFilter::default(), repo))
            .unwrap()
            .as_of
    };
    assert_eq!(as_of(Some("r1")), None);
    // An empty list may be whole, too.
    mirror.note_progress("octo/R1", kind, Some(at(60)), None);
    assert_eq!(as_of(Some("r1")), Some(at(60)));
    let pull = |repo, number| ListCase {
        repo,
        number,
        second: 1,
        json: json!({}),
        gone: false,
    };
    show(&mirror, &pull(1, 1));
    show(&mirror, &pull(2, 1));
    assert_eq!((as_of(Some("r1")), as_of(None)), (Some(at(60)), None));
    mirror.note_progress("octo/r2", kind, Some(at(50)), None);
    assert_eq!(as_of(None), None, "there may be other repositories");
    mirror.note_progress("Octo", MirroredKind::Repository, Some(at(55)), None);
    assert_eq!(as_of(None), Some(at(50)));
    (2..4).for_each(|number| show(&mirror, &pull(2, number)));
    assert_eq!((as_of(Some("r1")), as_of(Some("r2"))), (None, Some(at(50))));
}

#[test]
fn many_states_are_given_in_the_order_of_their_addresses() {
    let mirror = mirror(100);
    let pull = |number| ListCase {
        repo: 1,
        number,
        second: 1,
        json: json!({}),
        gone: false,
    };
    [1, 2]
        .into_iter()
        .for_each(|number| show(&mirror, &pull(number)));
    let renamed = place("Octo/New", 10, 1);
    mirror.show(
        &renamed,
        &object(MirroredKind::Label, 5, 1, "bug"),
        at(60),
        ShownAs::compared,
    );
    let repository = object(MirroredKind::Repository, 1, 1, "r");
    mirror.show(&renamed, &repository, at(60), ShownAs::compared);
    let address = |kind, repo: &str, number| MirrorAddress {
        kind,
        owner: "OCTO".to_owned(),
        repo: Some(repo.to_owned()),
        number,
    };
    let addresses = [
        address(MirroredKind::PullRequest, "r1", 2),
        address(MirroredKind::PullRequest, "r1", 9),
        address(MirroredKind::Label, "new", 5),
        address(MirroredKind::Repository, "New", 0),
        address(MirroredKind::PullRequest, "NEW", 1),
    ];
    let states = mirror.get_many(&addresses).unwrap();
    let present = |state: &ports::MirroredState| {
        let repo = state.address.repo.clone().unwrap().to_lowercase();
        (state.address.kind, repo, state.address.number)
    };
    let found: Vec<_> = states
        .iter()
        .map(|state| state.as_ref().map(present))
        .collect();
    let new = |kind, number| Some((kind, "new".to_owned(), number));
    let expected = [
        new(MirroredKind::PullRequest, 2),
        None,
        new(MirroredKind::Label, 5),
        new(MirroredKind::Repository, 1),
        new(MirroredKind::PullRequest, 1),
    ];
    assert_eq!(found, expected);
    let many = vec![addresses[0].clone(); MirrorListing::MAX_LIMIT + 1];
    assert!(mirror.get_many(&many).is_err());
}

#[test]
fn lists_tell_who_has_a_name_and_another_one_under_it_takes_it() {
    let mirror = mirror(100);
    let names = ["octo/r1", "OCTO"].map(str::to_owned);
    assert_eq!(mirror.holders(&names).unwrap(), [None, None]);
    let pull = ListCase {
        repo: 1,
        number: 1,
        second: 1,
        json: json!({}),
        gone: false,
    };
    show(&mirror, &pull);
    let repository = |id| Some(model::PlaceId::Repository(model::RepositoryId(id)));
    let owner = Some(model::PlaceId::Owner(model::OwnerId(10)));
    assert_eq!(mirror.holders(&names).unwrap(), [repository(1), owner]);
    let taken = place("Octo/R1", 10, 7);
    let label = object(MirroredKind::Label, 5, 1, "bug");
    mirror.show(&taken, &label, at(60), ShownAs::baseline);
    assert_eq!(mirror.holders(&names).unwrap(), [repository(7), owner]);
}
