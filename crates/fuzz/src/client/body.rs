//! Changes of the body: as JSON, where it is JSON, and as bytes.

use serde_json::{Map, Value, json};

use super::request::FuzzRequest;
use crate::random::XorShift;

/// The string in whose place a text is put that a JSON value cannot hold.
const MARK: &str = "@@raw@@";
/// Such texts: numbers beyond every type, what is nearly JSON, lone surrogates, a name twice.
const RAW: [&str; 16] = [
    "1e999",
    "-0",
    "0.1e1",
    "1e-400",
    "123456789012345678901234567890",
    "01",
    "NaN",
    "tru",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"\\x\"",
    "{\"a\":1,\"a\":2}",
    "{\"jsonrpc\":\"2.0\",\"jsonrpc\":\"2.0\"}",
    "[1,]",
    "/**/1",
    "\"\t\"",
];
const TEXTS: [&str; 14] = [
    "",
    " ",
    "\u{feff}x",
    "\u{202e}abc",
    "../../etc/passwd",
    "%00",
    "a\u{0}b",
    "'; drop table events; --",
    "\u{1f680}",
    "acme/rocket",
    "github://issues/acme/rocket/7",
    "https://github.com/acme/rocket/issues/7",
    "2026-11-20T10:00:00Z",
    "-1",
];
/// Largest text that is put in.
const LONG: [usize; 4] = [300, 5000, 70_000, 1_100_000];

/// Changes one thing.
pub(super) fn change(request: &mut FuzzRequest, chance: &mut XorShift) {
    let parsed = serde_json::from_slice::<Value>(&request.body);
    match parsed {
        Ok(mut value) if !chance.once_in(4) => {
            let raw = change_value(&mut value, chance);
            let text = value.to_string();
            request.body = match raw {
                Some(raw) => text.replacen(&format!("\"{MARK}\""), raw, 1).into_bytes(),
                None => text.into_bytes(),
            };
        }
        _ => change_bytes(&mut request.body, chance),
    }
}

/// The places of all values within a value.
fn places(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                places(member, &format!("{here}/{}", escaped(name)), all);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                places(item, &format!("{here}/{at}"), all);
            }
        }
        _ => {}
    }
}

/// Changes one value inside; gives the text to put in place of the mark.
fn change_value(value: &mut Value, chance: &mut XorShift) -> Option<&'static str> {
    let mut all = Vec::new();
    places(value, "", &mut all);
    let place = chance.of(&all).clone();
    let other = value
        .pointer(chance.of::<String>(&all))
        .cloned()
        .unwrap_or_default();
    let target = value.pointer_mut(&place)?;
    match chance.below(14) {
        0 | 1 => *target = Value::Null,
        2 => *target = json!([]),
        3 => *target = json!({}),
        4 => *target = other,
        5 => *target = Value::Array(vec![target.take()]),
        6 => *target = nested(*chance.of(&[3, 60, 64, 65, 200])),
        7 => *target = json!("x".repeat(*chance.of(&LONG))),
        8 => *target = json!(*chance.of(&TEXTS)),
        9 => *target = chance.of(&numbers()).clone(),
        10 => *target = Value::String(target.to_string()),
        11 => return add_or_remove(target, chance),
        12 => *target = Value::Array(vec![other; *chance.of(&[2, 65, 300])]),
        _ => {
            *target = json!(MARK);
            return Some(*chance.of(&RAW));
        }
    }
    None
}

fn numbers() -> [Value; 9] {
    [
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e308),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1u64 << 53),
        json!(4_294_967_296_u64),
        json!(true),
    ]
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, at| match at % 2 {
        0 => json!([inner]),
        _ => json!({ "a": inner }),
    })
}

fn add_or_remove(target: &mut Value, chance: &mut XorShift) -> Option<&'static str> {
    let Value::Object(members) = target else {
        *target = json!([target.take(), null]);
        return None;
    };
    let names: Vec<_> = members.keys().cloned().collect();
    match chance.below(3) {
        0 if !names.is_empty() => drop(members.remove(chance.of(&names).as_str())),
        1 if !names.is_empty() => rename(members, chance.of::<String>(&names)),
        _ => {
            let known = [
                "_meta",
                "id",
                "extra",
                "",
                "a.b",
                "__proto__",
                "taskId",
                "progressToken",
            ];
            members.insert((*chance.of(&known)).to_owned(), json!(MARK));
            return Some(*chance.of(&RAW));
        }
    }
    None
}

fn rename(members: &mut Map<String, Value>, name: &str) {
    if let Some(value) = members.remove(name) {
        members.insert(name.to_uppercase(), value);
    }
}

fn change_bytes(body: &mut Vec<u8>, chance: &mut XorShift) {
    let at = chance.below(body.len() + 1);
    match chance.below(10) {
        0 => drop(body.splice(0..0, *b"\xef\xbb\xbf")),
        1 => body.truncate(at),
        2 => body.insert(at, chance.random().to_le_bytes()[0]),
        3 => body.extend(b"\xff\xfe"),
        4 => body.clear(),
        5 => *body = b" \r\n\t ".to_vec(),
        6 => *body = body.iter().flat_map(|byte| [*byte, 0]).collect(),
        7 => body.extend(b"\n{}"),
        8 => drop(body.splice(0..0, b"[".repeat(*chance.of(&[1, 100, 100_000])))),
        _ => {
            if let Some(byte) = body.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
    }
}
