use std::{sync::LazyLock, time::Duration};

use model::{ManualClock, PrincipalId, RandomIds};
use proptest::prelude::*;
use serde_json::{Value, value::RawValue};

use super::*;

static START: LazyLock<Timestamp> =
    LazyLock::new(|| Timestamp::parse("2026-11-20T10:00:00Z").unwrap());

fn later(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn key(id: u32) -> StateKey {
    StateKey {
        id,
        secret: [u8::try_from(id).unwrap(); 32],
    }
}

fn keys(ids: &[u32]) -> StateKeys {
    StateKeys::new(ids.iter().copied().map(key).collect()).unwrap()
}

fn bound(principal: &str, method: &str, params: &Value) -> Binding {
    let params = RawValue::from_string(params.to_string()).unwrap();
    Binding::new(&PrincipalId::new(principal).unwrap(), method, Some(&params)).unwrap()
}

fn binding() -> Binding {
    bound(
        "alice",
        "tools/call",
        &json!({"name": "t", "arguments": {"a": 1}}),
    )
}

fn sealed(state: &[u8]) -> String {
    keys(&[1])
        .seal(&binding(), state, later(60), &RandomIds)
        .unwrap()
}

proptest! {
    #[test]
    fn what_is_sealed_opens(state in proptest::collection::vec(any::<u8>(), 0..300)) {
        let opened = keys(&[1]).open(&binding(), &sealed(&state), later(59));
        prop_assert_eq!(opened, Ok(state));
    }

    #[test]
    fn any_flipped_bit_is_noticed(
        state in proptest::collection::vec(any::<u8>(), 0..50),
        position: prop::sample::Index,
        bit in 0_u8..8,
    ) {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed(&state)).unwrap();
        let position = position.index(bytes.len());
        bytes[position] ^= 1 << bit;
        let flipped = URL_SAFE_NO_PAD.encode(bytes);
        prop_assert_eq!(keys(&[1]).open(&binding(), &flipped, *START), Err(InvalidRequestState));
    }

    #[test]
    fn any_other_character_is_noticed(position: prop::sample::Index, other in "[A-Za-z0-9_=+ -]") {
        let mut text = sealed(b"state");
        let position = position.index(text.len());
        prop_assume!(text[position..=position] != other);
        text.replace_range(position..=position, &other);
        prop_assert_eq!(keys(&[1]).open(&binding(), &text, *START), Err(InvalidRequestState));
    }

    #[test]
    fn any_cut_is_noticed(length: prop::sample::Index) {
        let text = sealed(b"state");
        let cut = &text[..length.index(text.len())];
        prop_assert_eq!(keys(&[1]).open(&binding(), cut, *START), Err(InvalidRequestState));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[A-Za-z0-9_-]{0,200}|\\PC{0,50}") {
        prop_assert_eq!(keys(&[1]).open(&binding(), &text, *START), Err(InvalidRequestState));
    }

    #[test]
    fn an_expired_state_does_not_open(seconds in 60_u64..1_000_000) {
        let opened = keys(&[1]).open(&binding(), &sealed(b"s"), later(seconds));
        prop_assert_eq!(opened, Err(InvalidRequestState));
    }

    #[test]
    fn another_principal_cannot_use_it(principal in "[!-~]{1,20}") {
        prop_assume!(principal != "alice");
        let params = json!({"name": "t", "arguments": {"a": 1}});
        let other = bound(&principal, "tools/call", &params);
        prop_assert_eq!(keys(&[1]).open(&other, &sealed(b"s"), *START), Err(InvalidRequestState));
    }
}

#[test]
fn another_request_cannot_use_it_but_the_same_one_in_other_words_can() {
    let state = sealed(b"s");
    let opens = |other: &Binding| keys(&[1]).open(other, &state, *START).is_ok();
    let call = |params: Value| bound("alice", "tools/call", &params);
    assert!(!opens(&bound(
        "alice",
        "prompts/get",
        &json!({"name": "t", "arguments": {"a": 1}})
    )));
    for other in [
        json!({}),
        json!({"name": "t"}),
        json!({"name": "u", "arguments": {"a": 1}}),
        json!({"name": "t", "arguments": {"a": 2}}),
        json!({"name": "t", "arguments": {"a": "1"}}),
        json!({"name": "t", "arguments": {"a": 1, "b": null}}),
        json!({"name": "t", "arguments": {"a": 1}, "x": 1}),
    ] {
        assert!(!opens(&call(other.clone())), "{other}");
    }
    assert!(opens(&call(json!({
        "requestState": "…", "inputResponses": {"a": {}}, "_meta": {"progressToken": 9},
        "arguments": {"a": 1.0}, "name": "t"
    }))));
}

#[test]
fn parts_of_a_binding_cannot_run_into_each_other() {
    let empty = json!({});
    assert_ne!(bound("ab", "c", &empty), bound("a", "bc", &empty));
    let nested = |a: Value| bound("a", "m", &json!({"a": a}));
    assert_ne!(nested(json!(["x", ["y"]])), nested(json!(["x", "y"])));
    assert_ne!(nested(json!([[], "y"])), nested(json!([["y"]])));
    assert_ne!(nested(json!({"b": null})), nested(json!({"b": false})));
    assert_eq!(nested(json!(-0.0)), nested(json!(0)));
}

#[test]
fn keys_rotate() {
    let old = sealed(b"s");
    let opens = |keys: &StateKeys, state: &str| keys.open(&binding(), state, *START).is_ok();
    let rotated = keys(&[2, 1]);
    assert!(opens(&rotated, &old));
    let new = rotated
        .seal(&binding(), b"s", later(60), &RandomIds)
        .unwrap();
    assert!(opens(&keys(&[1, 2]), &new), "an edge that is a step behind");
    assert!(!opens(&keys(&[2]), &old), "the old key is gone");
    let impostor = StateKeys::new(vec![StateKey {
        id: 1,
        secret: [9; 32],
    }])
    .unwrap();
    assert!(!opens(&impostor, &old), "the id is not the key");
}

#[test]
fn keys_are_checked_and_never_shown() {
    assert_eq!(StateKeys::new(vec![]).unwrap_err(), KeyError::None);
    let twice = StateKeys::new(vec![key(1), key(1)]);
    assert_eq!(twice.unwrap_err(), KeyError::DuplicateId(1));
    assert_eq!(format!("{:?}", keys(&[7, 8])), "[StateKey(7), StateKey(8)]");
}

#[test]
fn the_largest_state_fits_and_a_larger_one_is_our_error() {
    let largest = vec![0; MAX_STATE_BYTES];
    let text = sealed(&largest);
    assert!(text.len() <= MAX_REQUEST_STATE_BYTES);
    assert_eq!(keys(&[1]).open(&binding(), &text, *START), Ok(largest));
    let larger = keys(&[1]).seal(&binding(), &[0; MAX_STATE_BYTES + 1], later(1), &RandomIds);
    assert_eq!(larger, Err(SealError::TooLarge(MAX_STATE_BYTES + 1)));
}

#[test]
fn the_same_state_never_looks_the_same_and_the_salt_is_injected() {
    assert_ne!(sealed(b"s"), sealed(b"s"));
    let by_hand = || {
        let ids = ManualClock::at(*START);
        keys(&[1]).seal(&binding(), b"s", later(60), &ids).unwrap()
    };
    assert_eq!(by_hand(), by_hand());
}

#[test]
fn every_fault_has_one_answer() {
    let error = RpcError::from(InvalidRequestState);
    assert_eq!(error.code.number(), -32602);
    assert_eq!(error.data, Some(json!({"reason": "requestState"})));
}
