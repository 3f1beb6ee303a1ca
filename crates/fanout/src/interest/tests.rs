use std::sync::Arc;

use model::{
    FormerPlace, LogPosition, PrincipalId, RepositoryId, ResourceType, Sequenced, StoredEvent,
};

use proptest::prelude::*;

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

/// An event of repository `id` as `octo/<name>`, or its rename.
fn of_repository(at: u64, id: u64, name: &str, former: Option<&str>) -> Sequenced<StoredEvent> {
    let mut event = fixture::event(at, name, 0);
    let facts = Arc::make_mut(&mut event.item.facts);
    facts.ids.repository = Some(RepositoryId(id));
    if let Some(former) = former {
        facts.resource_type = ResourceType::open("repository");
        facts.former = Some(Box::new(FormerPlace {
            owner: None,
            repo: Some(former.to_owned()),
        }));
    }
    event
}

#[test]
fn a_stream_that_is_behind_a_rename_gets_what_one_gets_that_is_not() {
    let log = [
        of_repository(1, 1, "rocket", None),
        of_repository(2, 1, "missile", Some("rocket")),
        of_repository(3, 1, "missile", None),
        of_repository(4, 2, "rocket", None),
        of_repository(5, 1, "probe", Some("missile")),
        of_repository(6, 1, "probe", None),
        // Late, from before its renames.
        of_repository(7, 1, "rocket", None),
    ];
    let filters = |repo: &str| {
        FilterSet::new(vec![Filter {
            owner: Some("octo".to_owned()),
            repo: Some(repo.to_owned()),
            ..Filter::default()
        }])
        .unwrap()
    };
    let uri = |repo: &str| format!("github://events/octo/{repo}");
    for (repo, wanted) in [
        ("rocket", &[1, 2, 3, 5, 6, 7][..]),
        ("missile", &[2, 3, 5, 6, 7]),
        ("probe", &[5, 6]),
        ("cat", &[]),
    ] {
        let names = NameDirectory::default();
        names.begin_log(fixture::EPOCH);
        let mut live = StreamInterest::events(&filters(repo), names.now());
        live.add_uri(&uri(repo), Sequence::START, names.now());
        let mut got = Vec::new();
        for event in &log {
            let at = LogPosition {
                epoch: fixture::EPOCH,
                sequence: event.sequence,
                tag: None,
            };
            names.observe(at, &event.item.facts);
            live = live.following(&names).unwrap_or(live);
            got.extend(wants(&live, event));
        }
        assert_eq!(got, wanted, "live, {repo}");
        let behind = log.iter().filter_map(|event| wants(&live, event));
        assert_eq!(behind.collect::<Vec<_>>(), wanted, "behind, {repo}");
        let mut resumed = StreamInterest::events(&filters(repo), names.at(Sequence::START));
        resumed.add_uri(&uri(repo), Sequence::START, names.at(Sequence::START));
        resumed.follow_all(names.at(Sequence::START));
        let again = log.iter().filter_map(|event| wants(&resumed, event));
        assert_eq!(again.collect::<Vec<_>>(), wanted, "resumed, {repo}");
    }
}

#[test]
fn a_client_that_asked_for_a_resource_under_both_its_names_hears_of_each_once() {
    let log = [
        of_repository(1, 1, "rocket", None),
        of_repository(2, 1, "missile", Some("rocket")),
        of_repository(3, 1, "missile", None),
        of_repository(4, 2, "rocket", None),
    ];
    let uri = |repo: &str| format!("github://events/octo/{repo}");
    let (old, new) = (uri("rocket"), uri("missile"));
    // Another spelling of a name is no other name.
    let asked = [
        old.clone(),
        new.clone(),
        "github://events/Octo/Rocket".to_owned(),
    ];
    let both = vec![new.clone(), old.clone()];
    let names = NameDirectory::default();
    names.begin_log(fixture::EPOCH);
    let mut live = StreamInterest::resources(asked.clone(), names.now());
    let heard = |interest: &StreamInterest, event: &Sequenced<StoredEvent>| {
        let entry = RingEntry::new(event.clone(), 0);
        let mut uris: Vec<_> = interest.wanted_uris(&entry).map(str::to_owned).collect();
        uris.sort();
        let rest = interest.without(&entry, &[]);
        let mut again: Vec<_> = rest.wanted_uris(&entry).map(str::to_owned).collect();
        again.sort();
        assert_eq!(again, uris);
        uris
    };
    let expected = [vec![old.clone()], both.clone(), both.clone(), vec![]];
    for (event, expected) in log.iter().zip(&expected) {
        let at = LogPosition {
            epoch: fixture::EPOCH,
            sequence: event.sequence,
            tag: None,
        };
        names.observe(at, &event.item.facts);
        live = live.following(&names).unwrap_or(live);
        assert_eq!(heard(&live, event), *expected, "live, {}", event.sequence);
    }
    let resumed = StreamInterest::resources(asked, names.at(Sequence::START));
    let at = Sequence(2);
    let later = StreamInterest::resources([new.clone(), old], names.at(at));
    for (event, expected) in log.iter().zip(&expected) {
        let sequence = event.sequence;
        assert_eq!(heard(&resumed, event), *expected, "resumed, {sequence}");
        if sequence > at {
            assert_eq!(heard(&later, event), *expected, "later, {sequence}");
        }
    }
    assert_eq!(later.requested_uris().collect::<Vec<_>>(), both);
    let one = StreamInterest::resources([new], names.at(at));
    assert_eq!(later.earliest_added(&one), Some(Sequence::START));
    assert_eq!(one.earliest_added(&later), None);
}

/// What happens to one of three repositories of an owner.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// It is created, or has a name from now on that it never had, if that is free; GitHub tells of it, or not.
    Named(usize, usize, bool),
    Deleted(usize),
    Shown(usize),
    /// An event from when it had another name comes late.
    Late(usize),
}

const REPOS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn happening() -> impl Strategy<Value = Happening> {
    let of = || 0..3_usize;
    prop_oneof![
        3 => (of(), 0..REPOS.len(), any::<bool>()).prop_map(|(of, name, told)| Happening::Named(of, name, told)),
        1 => of().prop_map(Happening::Deleted),
        5 => of().prop_map(Happening::Shown),
        1 => of().prop_map(Happening::Late),
    ]
}

/// The log of what happens, with the id of each event and the name under which it is shown, on time or late.
fn log_of(happenings: &[Happening]) -> Vec<(Sequenced<StoredEvent>, u64, usize, bool)> {
    // Of each: its id, its names, and those under which it was shown.
    let mut repositories: [(u64, Vec<usize>, Vec<usize>); 3] = Default::default();
    let (mut count, mut log) = (0, Vec::new());
    for what in happenings {
        let at = log.len() as u64 + 1;
        let is_free = |name: &usize| repositories.iter().all(|of| of.1.last() != Some(name));
        match *what {
            Happening::Named(of, name, told)
                if is_free(&name) && !repositories[of].1.contains(&name) =>
            {
                let (id, names, shown) = &mut repositories[of];
                if names.is_empty() {
                    count += 1;
                    *id = count;
                }
                let former = names.last().map(|former| REPOS[*former]);
                names.push(name);
                if told && let Some(former) = former {
                    shown.extend(names.iter().rev().nth(1).copied());
                    let event = of_repository(at, *id, REPOS[name], Some(former));
                    log.push((event, *id, name, true));
                    shown.push(name);
                }
            }
            Happening::Deleted(of) => repositories[of] = Default::default(),
            Happening::Shown(of) => {
                let (id, names, shown) = &mut repositories[of];
                let Some(name) = names.last() else { continue };
                log.push((of_repository(at, *id, REPOS[*name], None), *id, *name, true));
                shown.push(*name);
            }
            Happening::Late(of) => {
                let (id, names, shown) = &repositories[of];
                let mut former = shown.iter().filter(|name| names.last() != Some(name));
                let Some(name) = former.next() else { continue };
                log.push((
                    of_repository(at, *id, REPOS[*name], None),
                    *id,
                    *name,
                    false,
                ));
            }
            Happening::Named(..) => {}
        }
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn live_and_resumed_streams_get_the_events_of_the_repository_that_they_named(
        happenings in prop::collection::vec(happening(), 1..40),
        opened in 0..20_usize,
        named in 0..REPOS.len(),
    ) {
        let log = log_of(&happenings);
        let opened = opened.min(log.len());
        let filters = FilterSet::new(vec![Filter {
            owner: Some("octo".to_owned()),
            repo: Some(REPOS[named].to_owned()),
            ..Filter::default()
        }])
        .unwrap();
        let names = NameDirectory::default();
        names.begin_log(fixture::EPOCH);
        let observe = |event: &Sequenced<StoredEvent>| {
            let at = LogPosition {
                epoch: fixture::EPOCH,
                sequence: event.sequence,
                tag: None,
            };
            let _ = names.observe(at, &event.item.facts);
        };
        log[..opened].iter().for_each(|(event, ..)| observe(event));
        let mut live = StreamInterest::events(&filters, names.now());
        let mut got = Vec::new();
        for (event, ..) in &log[opened..] {
            observe(event);
            live = live.following(&names).unwrap_or(live);
            got.extend(wanted(&live, event));
        }
        // The one that was shown under the name last when the stream was opened, or else the first afterwards that
        // is shown under it or is told to have had it.
        let mut on_time = log.iter().filter(|(.., is_on_time)| *is_on_time);
        let shown = |(_, id, name, _): &(_, u64, usize, bool)| (*name == named).then_some(*id);
        let before = log[..opened].iter().filter(|(.., is_on_time)| *is_on_time);
        let has_left = |event: &Sequenced<StoredEvent>| {
            event.item.facts.former_names().1 == Some(REPOS[named])
        };
        let had = |of: &(Sequenced<StoredEvent>, u64, usize, bool)| {
            shown(of).or_else(|| has_left(&of.0).then_some(of.1))
        };
        let meant = before.rev().find_map(shown).or_else(|| on_time.find_map(had));
        let since = Sequence(opened as u64);
        let is_former = log[..opened].iter().any(|(event, ..)| has_left(event));
        if let Some(meant) = meant.filter(|_| !is_former) {
            let naive = log[opened..].iter().filter(|(_, id, ..)| *id == meant);
            let first = log[..opened].iter().any(|event| shown(event).is_some());
            let naive: Vec<_> = naive.map(|(event, ..)| event.sequence.0).collect();
            let from = got.first().copied().unwrap_or(u64::MAX);
            // Before any event has shown who has the name, the stream wants what comes under it.
            let is_due = |at: &u64| first || (*at >= from && log[*at as usize - 1].3);
            let naive: Vec<_> = naive.into_iter().filter(is_due).collect();
            let of_meant = |at: &u64| log[*at as usize - 1].1 == meant && is_due(at);
            let same_id: Vec<_> = got.iter().copied().filter(of_meant).collect();
            prop_assert_eq!(&same_id, &naive, "of {} after {}", REPOS[named], since);
            let renames = got.iter().filter(|at| log[**at as usize - 1].1 != meant);
            let renames: Vec<_> = renames.map(|at| &log[*at as usize - 1]).collect();
            prop_assert!(renames.is_empty(), "{:?}", renames);
        }
        let after = |interest: &StreamInterest| -> Vec<u64> {
            log[opened..].iter().filter_map(|(event, ..)| wanted(interest, event)).collect()
        };
        prop_assert_eq!(after(&live), got.clone(), "behind");
        let resumed = StreamInterest::events(&filters, names.at(since));
        prop_assert_eq!(after(&resumed), got, "resumed");
    }
}

fn wanted(interest: &StreamInterest, event: &Sequenced<StoredEvent>) -> Option<u64> {
    let entry = RingEntry::new(event.clone(), 0);
    interest.wants_event(&entry).then_some(event.sequence.0)
}

/// The position of an event if it is wanted; then its repository's list has changed, by its one spelling.
fn wants(interest: &StreamInterest, event: &Sequenced<StoredEvent>) -> Option<u64> {
    let entry = RingEntry::new(event.clone(), 0);
    let uris = interest.wanted_uris(&entry).count();
    let is_wanted = interest.wants_event(&entry);
    // A late event is of a list of the former name, which may be another's by now.
    assert!(uris <= 1 && (uris == 1) == is_wanted || event.sequence == Sequence(7));
    is_wanted.then_some(event.sequence.0)
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
