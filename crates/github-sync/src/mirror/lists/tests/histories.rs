//! Random histories of events, lists and restored states: in whatever order they come, the newest is kept.

use proptest::prelude::*;

use super::*;

/// A state of one of a few issues, as an event or a list shows it. They are made in the order of their positions in the
/// history.
#[derive(Debug, Clone)]
struct Shown {
    number: u64,
    second: i64,
    by_event: bool,
}

/// A step: the state at this position of the history arrives, from GitHub or from the store.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    position: usize,
    restored: bool,
}

fn arrive(mirror: &Mirror, history: &[Shown], arrival: Arrival) {
    if arrival.restored {
        let other = super::mirror(100);
        let shown = Arrival {
            restored: false,
            ..arrival
        };
        arrive(&other, history, shown);
        let saved = other.unsaved(&octo(), 10);
        let stored = saved.iter().map(|state| state.encode().unwrap());
        mirror.restore(
            stored
                .map(|state| SavedState::decode(&state).unwrap())
                .collect(),
        );
        return;
    }
    let shown = &history[arrival.position];
    let made = i64::try_from(arrival.position).unwrap();
    let text = arrival.position.to_string();
    if shown.by_event {
        let kind = (ResourceType::ISSUE, MirroredKind::Issue);
        let times = (arrival.position as u64 + 1, shown.second, made);
        let event = event(kind, shown.number, times, &text);
        mirror.apply(Followed::Events(vec![event]));
    } else {
        let object = object(MirroredKind::Issue, shown.number, shown.second, &text);
        mirror.show(&octo(), &object, at(made), ShownAs::compared);
    }
}

fn titles(mirror: &Mirror) -> Vec<Option<String>> {
    let uris = (0..3).map(|number| format!("github://issues/octo/cat/{number}"));
    uris.map(|uri| get(mirror, &uri).as_ref().map(title))
        .collect()
}

fn history() -> impl Strategy<Value = (Vec<Shown>, Vec<Arrival>)> {
    let one = (0..3_u64, 0..4_i64, any::<bool>()).prop_map(|(number, second, by_event)| Shown {
        number,
        second,
        by_event,
    });
    let shown = prop::collection::vec(one, 1..12);
    shown.prop_flat_map(|history| {
        let restored = prop::collection::vec(0..history.len(), 0..6);
        let positions = 0..history.len();
        let arrivals = restored.prop_flat_map(move |restored| {
            let arrival = |restored| move |position| Arrival { position, restored };
            let fresh = positions.clone().map(arrival(false));
            let all: Vec<Arrival> = fresh
                .chain(restored.into_iter().map(arrival(true)))
                .collect();
            Just(all).prop_shuffle()
        });
        (Just(history), arrivals)
    })
}

proptest! {
    #[test]
    fn the_newest_state_is_kept_and_saved_whatever_the_order((history, arrivals) in history()) {
        let mirror = super::mirror(100);
        for arrival in &arrivals {
            arrive(&mirror, &history, *arrival);
        }
        let positions = 0..history.len();
        let newest = |number| {
            let of_issue = positions.clone().filter(|at| history[*at].number == number);
            of_issue.max_by_key(|at| (history[*at].second, *at))
        };
        let expected: Vec<_> = (0..3).map(|number| newest(number).map(|at| at.to_string())).collect();
        prop_assert_eq!(&titles(&mirror), &expected);
        // What the store has by now is all that is known.
        let stored = super::mirror(100);
        for arrival in arrivals.iter().filter(|arrival| arrival.restored) {
            arrive(&stored, &history, *arrival);
        }
        let unsaved = mirror.unsaved(&octo(), 10);
        mirror.saved(&unsaved);
        prop_assert!(mirror.unsaved(&octo(), 10).is_empty());
        stored.restore(unsaved);
        prop_assert_eq!(titles(&stored), expected);
    }
}
