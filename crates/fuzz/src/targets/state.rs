//! `requestState`: two numbers, then params, state and foreign text, with 0xff between them.

use mcp::{
    limits::{MAX_REQUEST_STATE_BYTES, MAX_STATE_BYTES},
    mrtr::{Binding, EarlierAnswers, Retry, StateKey, StateKeys},
};
use model::{IdSource, PrincipalId, Timestamp};
use serde_json::{Value, value::RawValue};

/// The same salts in every run, so that a failure can be reproduced.
#[derive(Debug)]
struct Repeatable;

impl IdSource for Repeatable {
    fn random_u64(&self) -> u64 {
        0x0123_4567_89ab_cdef
    }

    fn uuid(&self) -> String {
        "00000000-0000-4000-8000-000000000000".to_owned()
    }
}

const NOW: Timestamp = Timestamp::from_unix_millis(1_000_000);

fn keys(ids: &[u32]) -> StateKeys {
    let key = |id: &u32| StateKey {
        id: *id,
        secret: [u8::try_from(*id % 251).expect("below 251"); 32],
    };
    StateKeys::new(ids.iter().map(key).collect()).expect("keys")
}

pub(crate) fn run(data: &[u8]) {
    let [position, by, data @ ..] = data else {
        return;
    };
    let [params, state, foreign] = super::parts(data);
    let raw = serde_json::from_slice::<Box<RawValue>>(params).ok();
    retry(raw.as_deref());
    settled(state);
    let (alice, bob) = (name("alice"), name("bob"));
    let binding = |who, method| Binding::new(who, method, raw.as_deref());
    let Ok(ours) = binding(&alice, "tools/call") else {
        return;
    };
    let keys = keys(&[7, 8]);
    // Text that was never sealed does not open.
    let foreign = String::from_utf8_lossy(foreign);
    assert!(keys.open(&ours, &foreign, NOW).is_err());

    let expires = Timestamp::from_unix_millis(NOW.unix_millis() + 1);
    let Ok(sealed) = keys.seal(&ours, state, expires, &Repeatable) else {
        assert!(state.len() > MAX_STATE_BYTES);
        return;
    };
    assert!(sealed.len() <= MAX_REQUEST_STATE_BYTES);
    assert_eq!(keys.open(&ours, &sealed, NOW).as_deref(), Ok(state));
    let rotated = self::keys(&[9, 7]);
    assert_eq!(rotated.open(&ours, &sealed, NOW).as_deref(), Ok(state));
    assert!(self::keys(&[8, 9]).open(&ours, &sealed, NOW).is_err());
    assert!(keys.open(&ours, &sealed, expires).is_err(), "expired");
    let others = [
        binding(&bob, "tools/call"),
        binding(&alice, "resources/read"),
    ];
    for other in others.into_iter().flatten() {
        assert!(keys.open(&other, &sealed, NOW).is_err(), "bound");
    }
    spelling(&alice, raw.as_deref(), &ours);
    let mut changed = sealed.clone().into_bytes();
    let position = usize::from(*position) * 257 % changed.len();
    changed[position] ^= (by % 127) + 1;
    if let Ok(changed) = String::from_utf8(changed) {
        assert!(keys.open(&ours, &changed, NOW).is_err(), "changed");
    }
    assert!(keys.open(&ours, &sealed[..position], NOW).is_err(), "cut");
}

fn name(name: &str) -> PrincipalId {
    PrincipalId::new(name).expect("a name")
}

/// The same params in another spelling have the same binding; params with an additional member do
/// not.
fn spelling(alice: &PrincipalId, raw: Option<&RawValue>, ours: &Binding) {
    let given = raw.map(|raw| serde_json::from_str(raw.get()).expect("it is JSON"));
    // Null and an empty array stand for an absent object.
    let given = given.filter(Value::is_object);
    let value = given.unwrap_or_else(|| serde_json::json!({}));
    let bind = |value: &Value| {
        let raw = serde_json::value::to_raw_value(value).expect("it is JSON");
        Binding::new(alice, "tools/call", Some(&raw)).expect("an object")
    };
    if !has_float(&value) {
        assert!(bind(&value) == *ours, "another spelling of {value}");
    }
    let mut more = value.clone();
    for member in ["_meta", "inputResponses", "requestState"] {
        more[member] = Value::from("anything");
    }
    if !has_float(&value) {
        assert!(
            bind(&more) == *ours,
            "the members that a retry adds are not bound"
        );
    }
    more["\u{1}one more"] = Value::Null;
    assert!(value.get("\u{1}one more").is_some() || bind(&more) != *ours);
}

/// Reading and writing a fraction may change its last bit.
fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_float),
        Value::Object(members) => members.values().any(has_float),
        _ => false,
    }
}

fn settled(state: &[u8]) {
    if let Ok(settled) = EarlierAnswers::decode(state) {
        let written = settled.encode();
        let again = EarlierAnswers::decode(&written).expect("what we write we read");
        assert_eq!(again.encode(), written);
    }
}

fn retry(params: Option<&RawValue>) {
    let Ok(retry) = Retry::parse(params) else {
        return;
    };
    let state = retry.state();
    assert!(state.is_none_or(|s| s.len() <= MAX_REQUEST_STATE_BYTES));
    assert!(state.is_none() || retry.is_retry());
    if params.is_none() {
        assert!(!retry.is_retry());
    }
}
