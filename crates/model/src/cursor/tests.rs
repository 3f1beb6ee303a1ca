use std::collections::HashSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

const EPOCH: Epoch = Epoch(0x0123_4567_89ab_cdef);
/// The first character that differs between two positions of a readable text.
const SEALED_FROM: usize = 6;

fn key(text: &str) -> SharedKey {
    SharedKey::of_text(text)
}

/// Edges with these keys, and edges without any.
fn keys(texts: &[&str], takes_older: bool) -> CursorKeys {
    let keys: Vec<_> = texts.iter().map(|text| key(text)).collect();
    CursorKeys::new(&keys, EPOCH, takes_older)
}

fn both() -> [CursorKeys; 2] {
    [keys(&["one"], true), keys(&[], true)]
}

fn scope(name: &str) -> CursorScope {
    CursorScope::events(&PrincipalId::new(name).unwrap())
}

fn at(sequence: u64) -> Cursor {
    Cursor {
        is_sealed: true,
        epoch: EPOCH,
        sequence: Sequence(sequence),
        scope: scope("a"),
        tag: None,
        told: None,
        inbox: Sequence::START,
        newest_subscription: 0,
    }
}

fn mark(first: EntryTag) -> GapMark {
    GapMark::of_lost(first, crate::Timestamp::default())
}

fn small() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), any::<u64>()]
}

fn any_cursor() -> impl Strategy<Value = Cursor> {
    let tag = prop::option::of(any::<u32>());
    let told = tag.clone();
    (any::<u64>(), any::<u64>(), tag, told, small(), small()).prop_map(
        |(epoch, sequence, tag, told, inbox, newest_subscription)| Cursor {
            epoch: Epoch(epoch),
            tag: tag.and_then(EntryTag::from_number),
            told: told.and_then(EntryTag::from_number).map(mark),
            inbox: Sequence(inbox),
            newest_subscription,
            ..at(sequence)
        },
    )
}

fn alice() -> PrincipalId {
    PrincipalId::new("alice").unwrap()
}

fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

fn replaced(text: &str, position: usize, by: &str) -> String {
    let mut text = text.to_owned();
    let position = position % text.len();
    text.replace_range(position..=position, by);
    text
}

proptest! {
    #[test]
    fn a_cursor_survives_its_text_and_belongs_to_its_reader(cursor in any_cursor(), salt: u32) {
        for keys in both() {
            let sealed = keys.seal_salted(&cursor, salt).to_string();
            for (text, is_sealed) in [(sealed, true), (cursor.unsealed_text(), false)] {
                // Earlier versions knew no marks.
                let told = cursor.told.filter(|_| is_sealed);
                let cursor = Cursor { is_sealed, told, ..cursor };
                prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
                prop_assert_eq!(keys.open(&text, scope("a")), Ok(cursor));
                prop_assert_eq!(keys.open(&format!(" {text}\n"), scope("a")), Ok(cursor));
                prop_assert_eq!(keys.open(&text, scope("b")), Err(CursorError::Foreign));
                let read = keys.open_stream(&text, &alice(), &session("one"));
                prop_assert_eq!(read, Err(CursorError::Malformed));
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,90}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        for keys in both() {
            for text in [&text, &URL_SAFE_NO_PAD.encode(&bytes)] {
                let _ = keys.open(text, scope("a"));
                let _ = keys.open_stream(text, &alice(), &session("s"));
            }
        }
    }

    #[test]
    fn a_changed_character_is_noticed(
        cursor in any_cursor(),
        position in 0_usize..88,
        by in "[A-Za-z0-9_-]",
    ) {
        for keys in both() {
            let before = keys.seal(&cursor).to_string();
            let text = replaced(&before, position, &by);
            if text == before {
                continue;
            }
            match keys.open(&text, scope("a")) {
                Err(CursorError::Malformed) => {}
                // Another key of a log: the text comes from another log, and its reader is told.
                Ok(other) => prop_assert!(position % before.len() < SEALED_FROM + 1 && other.epoch != EPOCH),
                Err(CursorError::Foreign) => prop_assert!(false, "{}", text),
            }
        }
    }

    #[test]
    fn the_order_of_positions_does_not_show(first: u64, step in 1_u64..1000) {
        let (before, after) = (at(first), at(first.wrapping_add(step)));
        for keys in both() {
            let texts = [&before, &after].map(|cursor| keys.seal(cursor).to_string());
            // Version and key are the same; what follows is as different as random text.
            let [one, two] = texts.map(|text| URL_SAFE_NO_PAD.decode(text).unwrap());
            prop_assert_eq!(&one[..5], &two[..5]);
            let same = one[5..].iter().zip(&two[5..]).filter(|(a, b)| a == b).count();
            prop_assert!(same < 12, "{} of 44 bytes are the same", same);
        }
    }
}

#[test]
fn no_two_positions_have_the_same_text_and_no_order() {
    for keys in both() {
        let texts: Vec<_> = (0..4000).map(|n| keys.seal(&at(n)).to_string()).collect();
        let distinct: HashSet<_> = texts.iter().collect();
        assert_eq!(distinct.len(), texts.len());
        let rises = texts.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((1800..2200).contains(&rises), "{rises} of 3999 rise");
    }
}

#[test]
fn a_salt_hides_that_a_position_has_not_moved() {
    for keys in both() {
        let cursor = at(7);
        let texts: HashSet<_> = (1..100)
            .map(|salt| keys.seal_salted(&cursor, salt).to_string())
            .collect();
        assert_eq!(texts.len(), 99);
        for text in texts {
            assert_eq!(keys.open(&text, scope("a")), Ok(cursor));
        }
        // An event's own id is the same on every stream of its reader and on every edge.
        let elsewhere = keys.for_log(Epoch(1)).for_log(EPOCH);
        assert_eq!(
            keys.seal(&cursor).as_str(),
            elsewhere.seal(&cursor).as_str()
        );
    }
}

#[test]
fn keys_are_rotated_like_those_of_request_state() {
    let cursor = at(9);
    let (old, new) = (keys(&["one"], false), keys(&["two"], false));
    let (adding, moved) = (keys(&["one", "two"], false), keys(&["two", "one"], false));
    let opens = |keys: &CursorKeys, text: &str| keys.open(text, scope("a")) == Ok(cursor);
    let of = |keys: &CursorKeys| keys.seal(&cursor).to_string();
    assert!(opens(&old, &of(&adding)) && opens(&adding, &of(&old)));
    assert!(opens(&adding, &of(&moved)) && opens(&moved, &of(&adding)));
    assert!(opens(&moved, &of(&new)) && opens(&new, &of(&moved)));
    assert_eq!(new.open(&of(&old), scope("a")), Err(CursorError::Malformed));
}

#[test]
fn older_cursors_are_read_while_the_operator_wants_it() {
    let cursor = Cursor {
        tag: EntryTag::from_number(5),
        ..at(9)
    };
    let stream = StreamCursor {
        stream: StreamId::new("a-stream").unwrap(),
        sequence: Sequence(7),
    };
    let of_stream = CursorScope::stream(&alice(), &session("one"), &stream.stream);
    let without = keys(&[], true);
    let older = [cursor.unsealed_text(), without.seal(&cursor).to_string()];
    let older_stream = without.seal_stream(&stream, of_stream);
    let claim = Cursor {
        is_sealed: false,
        ..cursor
    };
    for (takes_older, read) in [(true, Ok(claim)), (false, Err(CursorError::Malformed))] {
        let keys = keys(&["one"], takes_older);
        for text in &older {
            assert_eq!(keys.open(text, scope("a")), read, "{text}");
        }
        let read = keys.open_stream(&older_stream, &alice(), &session("one"));
        assert_eq!(read.is_ok(), takes_older);
    }
    // Without keys, what the log's own key sealed is what the edges write now.
    assert_eq!(keys(&[], false).open(&older[1], scope("a")), Ok(cursor));
}

#[test]
fn a_cursor_of_another_log_is_told_from_a_damaged_one() {
    let here = keys(&[], true);
    let there = here.for_log(Epoch(1));
    let text = there.seal(&at(9)).to_string();
    let read = here.open(&text, scope("a")).unwrap();
    assert_ne!(read.epoch, EPOCH);
    assert_eq!(read.sequence, Sequence::START);
    let damaged = replaced(&here.seal(&at(9)).to_string(), 40, "_");
    let other = replaced(&here.seal(&at(9)).to_string(), 40, "-");
    for text in [damaged, other] {
        let read = here.open(&text, scope("a"));
        assert!(read == Err(CursorError::Malformed) || read == Ok(at(9)));
    }
    // With keys of the operator the identity of the log is inside.
    let keys = keys(&["one"], false);
    let text = keys
        .seal(&Cursor {
            epoch: Epoch(1),
            ..at(9)
        })
        .to_string();
    assert_eq!(keys.open(&text, scope("a")).unwrap().epoch, Epoch(1));
}

#[test]
fn a_position_in_an_answer_is_bound_to_principal_session_and_stream() {
    let (alice, bob) = (alice(), PrincipalId::new("bob").unwrap());
    let (one, two) = (session("one"), session("two"));
    for keys in both() {
        for name in ["a-stream", "x", &"n".repeat(256)] {
            let cursor = StreamCursor {
                stream: StreamId::new(name).unwrap(),
                sequence: Sequence(7),
            };
            let scope = CursorScope::stream(&alice, &one, &cursor.stream);
            let text = keys.seal_stream(&cursor, scope);
            assert_eq!(keys.open_stream(&text, &alice, &one), Ok(cursor));
            for (principal, session) in [(&bob, &one), (&alice, &two)] {
                let read = keys.open_stream(&text, principal, session);
                assert_eq!(read, Err(CursorError::Foreign));
            }
            assert_eq!(keys.open(&text, scope), Err(CursorError::Malformed));
            for position in 0..text.len() {
                let damaged = replaced(&text, position, "7");
                let read = keys.open_stream(&damaged, &alice, &one);
                assert!(damaged == text || read.is_err(), "{damaged}");
            }
        }
    }
}

#[test]
fn a_damaged_older_cursor_is_noticed_too() {
    let keys = keys(&[], true);
    let text = Cursor {
        tag: EntryTag::from_number(5),
        ..at(9)
    }
    .unsealed_text();
    for position in 0..text.len() {
        for by in ["A", "z", "_"] {
            let damaged = replaced(&text, position, by);
            let read = keys.open(&damaged, scope("a"));
            let is_sealed = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap()[0] > 5;
            assert!(
                damaged == text || read.is_err() || is_sealed(&damaged),
                "{damaged}"
            );
        }
    }
}

#[test]
fn the_texts_of_earlier_versions_are_what_they_were() {
    for (inbox, tag, text) in [
        (0, None, "AQAAAAAAAAAHAAAAAAAAAAk"),
        (3, None, "AwAAAAAAAAAHAAAAAAAAAAk"),
        (0, Some(5), "BAAAAAAAAAAHAAAAAAAAAAk"),
        (3, Some(5), "BQAAAAAAAAAHAAAAAAAAAAk"),
    ] {
        let cursor = Cursor {
            epoch: Epoch(7),
            tag: tag.and_then(EntryTag::from_number),
            inbox: Sequence(inbox),
            ..at(9)
        };
        let written = cursor.unsealed_text();
        assert!(written.starts_with(text), "{written}");
        let read = Cursor {
            is_sealed: false,
            ..cursor
        };
        assert_eq!(keys(&[], true).open(&written, scope("a")), Ok(read));
    }
}

#[test]
fn the_seals_of_this_version_are_read_by_later_ones() {
    let cursor = Cursor {
        epoch: Epoch(7),
        ..at(9)
    };
    let text = keys(&["one"], false).seal(&cursor).to_string();
    assert_eq!(
        text,
        "Bv6NeodPD8NQsCRNUhXFA-x1szxvANheoMNfiwTDd9QF1teBm6sobJQJ7y2-u7Rkgg"
    );
}

#[test]
fn a_session_cursor_is_not_an_event_cursor() {
    let principal = PrincipalId::anonymous();
    let session = SessionId::new("events").unwrap();
    assert_ne!(
        CursorScope::session(&principal, &session),
        CursorScope::events(&principal)
    );
}

#[test]
fn no_debug_output_shows_a_secret() {
    let keys = keys(&["hunter2 and as many characters as a key has"], true);
    let shown = format!("{keys:?} {:?}", key("hunter2"));
    let bytes = format!("{:?}", key("hunter2").secret());
    assert!(
        !shown.contains("hunter2") && !shown.contains(&bytes),
        "{shown}"
    );
}
