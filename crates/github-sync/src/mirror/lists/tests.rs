//! States from lists, from events and from the store, side by side.

mod families;
mod histories;

use bytes::Bytes;
use event_flow::follow::Followed;
use model::{
    Epoch, EventFacts, EventId, EventOrigin, EventType, GithubIds, OwnerId, PlaceId, RepositoryId,
    ResourceId, ResourceType, ResourceUri, Sequence, Sequenced, StoredEvent, Timestamp,
};
use ports::{MirroredKind, ResourceState};
use serde_json::json;

use super::super::{
    Mirror,
    saved::{SavedState, record_prefix},
    shown::ShownAs,
};
use crate::{
    listed::{ListedObject, ListedPlace, ListedRepository},
    metrics::SyncMetrics,
    mirror::shown::ShownOutcome,
};

pub(in crate::mirror) fn mirror(max_resources: usize) -> Mirror {
    Mirror::new(max_resources, SyncMetrics::default())
}

pub(in crate::mirror) fn at(second: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_795_000_000_000 + second * 1000)
}

pub(in crate::mirror) fn place(name: &str, owner: u64, id: u64) -> ListedPlace {
    let (owner_name, repo) = name.split_once('/').unwrap();
    ListedPlace {
        owner: owner_name.to_owned(),
        owner_id: OwnerId(owner),
        repository: Some(ListedRepository {
            name: repo.to_owned(),
            id: RepositoryId(id),
        }),
    }
}

fn octo() -> ListedPlace {
    place("Octo/Cat", 10, 1)
}

pub(in crate::mirror) fn object(
    kind: MirroredKind,
    number: u64,
    second: i64,
    text: &str,
) -> ListedObject {
    let json = json!({ "node_id": format!("N_{kind}_{number}"), "title": text });
    ListedObject {
        kind,
        number,
        node_id: ResourceId::new(&format!("N_{kind}_{number}")).unwrap(),
        updated_at: at(second),
        json: json.to_string().into(),
        whole: true,
    }
}

fn issue(second: i64, text: &str) -> ListedObject {
    object(MirroredKind::Issue, 7, second, text)
}

/// An event about the same issue, or another resource.
pub(in crate::mirror) fn event(
    kind: (ResourceType, MirroredKind),
    number: u64,
    (sequence, second, received): (u64, i64, i64),
    text: &str,
) -> Sequenced<StoredEvent> {
    let node_id = format!("N_{}_{number}", kind.1);
    let facts = EventFacts {
        id: EventId::new(&format!("e{sequence}")).unwrap(),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: kind.0,
        resource_id: ResourceId::new(&node_id).unwrap(),
        owner: Some("Octo".to_owned()),
        repo: Some("Cat".to_owned()),
        number: Some(number),
        ids: GithubIds {
            owner: Some(OwnerId(10)),
            repository: Some(RepositoryId(1)),
            resource: Some(number),
        },
        former: None,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: at(second),
        received_at: at(received),
    };
    let data = json!({ "node_id": node_id, "title": text, "updated_at": at(second) });
    let json = json!({ "id": facts.id, "data": data, "metadata": { "event": "issues" } });
    Sequenced {
        sequence: Sequence(sequence),
        item: StoredEvent {
            facts: facts.into(),
            json: json.to_string().into(),
            trace: None,
        },
    }
}

fn issue_event(times: (u64, i64, i64), text: &str) -> Followed {
    let kind = (ResourceType::ISSUE, MirroredKind::Issue);
    Followed::Events(vec![event(kind, 7, times, text)])
}

fn label_event() -> Followed {
    let kind = (ResourceType::LABEL, MirroredKind::Label);
    Followed::Events(vec![event(kind, 5, (3, 2, 2), "bug")])
}

fn get(mirror: &Mirror, uri: &str) -> Option<ResourceState> {
    mirror.get(&ResourceUri::parse(uri).unwrap())
}

fn title(state: &ResourceState) -> String {
    let object: serde_json::Value = serde_json::from_slice(&state.json).unwrap();
    object["title"].as_str().unwrap().to_owned()
}

const URI: &str = "github://issues/octo/cat/7";

#[test]
fn a_listed_state_is_read_under_its_place_with_its_ids() {
    let mirror = mirror(10);
    let shown = mirror.show(&octo(), &issue(1, "a"), at(5), ShownAs::baseline);
    assert_eq!(shown, ShownOutcome::New);
    let state = get(&mirror, URI).unwrap();
    assert_eq!(
        (title(&state), state.sequence),
        ("a".to_owned(), Sequence(0))
    );
    assert_eq!(state.ids.repository, Some(RepositoryId(1)));
    assert_eq!(state.event_id.as_str(), "sync-N_issues_7-1795000001000");
    let found = mirror
        .find(&ResourceId::new("N_issues_7").unwrap())
        .unwrap();
    assert_eq!((found.owner.as_str(), found.repo.as_str()), ("Octo", "Cat"));
    // What has no number is not found as if its id were one.
    mirror.show(
        &octo(),
        &object(MirroredKind::Label, 99, 1, "bug"),
        at(5),
        ShownAs::baseline,
    );
    assert_eq!(mirror.find(&ResourceId::new("N_labels_99").unwrap()), None);
    // Its new name is known from the place.
    let moved = place("Octo/Lion", 10, 1);
    mirror.show(&moved, &issue(1, "a"), at(6), ShownAs::compared);
    let state = get(&mirror, "github://issues/octo/lion/7").unwrap();
    assert_eq!(state.uri.to_string(), "github://issues/octo/lion/7");
}

#[test]
fn of_one_second_the_state_that_was_made_later_wins() {
    let before = |outcome: ShownOutcome| match outcome {
        ShownOutcome::Newer { known } => known,
        other => panic!("{other:?}"),
    };
    for (received, listed_wins) in [(4, true), (6, false)] {
        for event_first in [true, false] {
            let mirror = mirror(10);
            let list = || mirror.show(&octo(), &issue(1, "list"), at(5), ShownAs::compared);
            let event = issue_event((1, 1, received), "event");
            if event_first {
                mirror.apply(event);
                let outcome = list();
                match listed_wins {
                    true => assert!(!before(outcome).deleted),
                    false => assert_eq!(outcome, ShownOutcome::Outdated),
                }
            } else {
                assert_eq!(list(), ShownOutcome::New);
                mirror.apply(event);
            }
            let expected = if listed_wins { "list" } else { "event" };
            assert_eq!(title(&get(&mirror, URI).unwrap()), expected);
        }
    }
}

#[test]
fn the_same_content_changes_nothing_however_it_is_spelt() {
    let mirror = mirror(10);
    mirror.apply(issue_event((1, 1, 2), "a"));
    let text = format!(
        "{{ \"updated_at\": {}, \"title\": \"a\", \"node_id\": \"N_issues_7\" }}",
        json!(at(1))
    );
    let listed = ListedObject {
        json: Bytes::from(text),
        ..issue(1, "")
    };
    let shown = mirror.show(&octo(), &listed, at(50), ShownAs::compared);
    assert_eq!(shown, ShownOutcome::Same);
    assert_eq!(get(&mirror, URI).unwrap().event_id.as_str(), "e1");
    // From then on it is known as of that time.
    mirror.apply(issue_event((2, 1, 40), "an older delivery of that second"));
    assert_eq!(title(&get(&mirror, URI).unwrap()), "a");
}

#[test]
fn what_is_gone_from_a_list_is_deleted_until_a_later_list_has_it() {
    let mirror = mirror(10);
    let gone = |second| mirror.show_gone(&octo(), MirroredKind::Issue, 7, at(second));
    let show = |second| mirror.show(&octo(), &issue(1, "a"), at(second), ShownAs::compared);
    assert_eq!(gone(2), ShownOutcome::Outdated);
    show(3);
    assert_eq!(mirror.known_numbers(&octo(), MirroredKind::Issue), [7]);
    let ShownOutcome::Newer { known } = gone(5) else {
        panic!("it was there")
    };
    assert_eq!((known.deleted, known.updated_at), (false, at(1)));
    assert_eq!(gone(6), ShownOutcome::Same);
    assert!(get(&mirror, URI).unwrap().deleted);
    assert!(
        mirror
            .known_numbers(&octo(), MirroredKind::Issue)
            .is_empty()
    );
    // A list from before does not bring it back.
    assert_eq!(show(4), ShownOutcome::Outdated);
    assert!(matches!(show(7), ShownOutcome::Newer { known } if known.deleted));
    assert!(!get(&mirror, URI).unwrap().deleted);
    assert_eq!(
        gone(6),
        ShownOutcome::Newer {
            known: known_alive()
        }
    );
}

/// The state of [`issue`] as another replaces it.
fn known_alive() -> super::super::shown::KnownBefore {
    super::super::shown::KnownBefore {
        json: issue(1, "a").json,
        deleted: false,
        updated_at: at(1),
        whole: true,
    }
}

#[test]
fn states_are_saved_once_and_restored_as_they_were() {
    let mirror = mirror(10);
    mirror.apply(label_event());
    mirror.show(&octo(), &issue(1, "a"), at(5), ShownAs::baseline);
    let unsaved = mirror.unsaved(&octo(), 10);
    let ids: Vec<_> = unsaved
        .iter()
        .map(|state| state.record_id().to_string())
        .collect();
    assert_eq!(ids, ["r1.issues.7", "r1.labels.5"]);
    let prefix = record_prefix(PlaceId::Repository(RepositoryId(1)));
    assert!(ids.iter().all(|id| id.starts_with(prefix.as_str())));
    assert_eq!(mirror.unsaved(&octo(), 1).len(), 1);
    // One that changes meanwhile is still unsaved.
    mirror.show(&octo(), &issue(2, "b"), at(6), ShownAs::compared);
    mirror.saved(&unsaved);
    let rest = mirror.unsaved(&octo(), 10);
    assert_eq!(rest.len(), 1);
    mirror.saved(&rest);
    assert!(mirror.unsaved(&octo(), 10).is_empty());

    let stored = [&unsaved[1], &unsaved[0], &rest[0]].map(|state| state.encode().unwrap());
    let restored = super::super::lists::tests::mirror(10);
    let states = stored
        .iter()
        .map(|stored| SavedState::decode(stored).unwrap());
    restored.restore(states.collect());
    assert!(restored.unsaved(&octo(), 10).is_empty());
    assert_eq!(get(&restored, URI), get(&mirror, URI));
    assert_eq!(restored.known_numbers(&octo(), MirroredKind::Label), [5]);
    // The log shows a saved event again: it is not saved twice, and has its position.
    restored.apply(label_event());
    assert!(restored.unsaved(&octo(), 10).is_empty());
}

#[test]
fn a_saved_position_counts_in_its_own_log_alone() {
    let started = |epoch| Followed::Started {
        epoch: Epoch(epoch),
        position: Sequence(0),
        head: Sequence(9),
        tag: None,
    };
    let mirror = mirror(10);
    mirror.apply(started(1));
    mirror.apply(issue_event((3, 1, 2), "a"));
    let saved = mirror.unsaved(&octo(), 10);
    for (epoch, expected) in [(Some(1), 3), (Some(2), 0), (None, 0)] {
        let restored = super::super::lists::tests::mirror(10);
        epoch
            .into_iter()
            .for_each(|epoch| restored.apply(started(epoch)));
        restored.restore(saved.clone());
        assert_eq!(get(&restored, URI).unwrap().sequence, Sequence(expected));
    }
}

#[test]
fn a_list_of_which_states_were_evicted_is_not_whole() {
    let mirror = mirror(2);
    let issues = (MirroredKind::Issue, MirroredKind::Label);
    for number in 1..=3 {
        let object = object(issues.0, number, 1, "a");
        mirror.show(&octo(), &object, at(5), ShownAs::baseline);
    }
    assert!(mirror.is_missing(&octo(), issues.0));
    assert!(!mirror.is_missing(&octo(), issues.1));
    mirror.forget_missing(&octo(), issues.0);
    assert!(!mirror.is_missing(&octo(), issues.0));
}

#[test]
fn what_is_too_large_for_the_store_is_known_to_be_missing_after_a_restart() {
    let mirror = mirror(10);
    let large = "x".repeat(crate::limits::MAX_SAVED_OBJECT_BYTES);
    mirror.show(&octo(), &issue(1, &large), at(5), ShownAs::baseline);
    assert!(!mirror.is_missing(&octo(), MirroredKind::Issue));
    let saved = mirror.unsaved(&octo(), 10);
    let stored = saved[0].encode().unwrap();
    assert!(stored.len() < 1000);
    let restored = super::super::lists::tests::mirror(10);
    restored.restore(vec![SavedState::decode(&stored).unwrap()]);
    assert!(restored.is_missing(&octo(), MirroredKind::Issue));
    assert_eq!(get(&restored, URI), None);
}

#[test]
fn what_another_build_stored_is_an_error() {
    assert!(SavedState::decode(b"{}").is_err());
    assert!(SavedState::decode(br#"{"format":2}"#).is_err());
}

#[test]
fn the_progress_of_a_place_is_shown_until_it_is_forgotten() {
    let mirror = mirror(10);
    mirror.note_progress("Octo/Cat", MirroredKind::Issue, Some(at(1)), None);
    let progress = mirror.list_progress();
    assert_eq!((progress.len(), progress[0].as_of), (1, Some(at(1))));
    mirror.forget_progress("octo/cat");
    assert!(mirror.list_progress().is_empty());
}
