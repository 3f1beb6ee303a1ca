//! A second, independent reader of JSON: it uses none of the code under test.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// An object's members in the order of the text, including duplicates. Values stay raw: a number
/// may be larger than any Rust type.
pub(crate) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// Parses an object, which a byte order mark may precede; `None` for any other value.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        serde_json::from_slice(text).ok()
    }

    pub(crate) fn raw(&self, name: &str) -> Option<&RawValue> {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| &**value)
    }

    /// The member as an object.
    pub(crate) fn object(&self, name: &str) -> Option<Self> {
        Self::read(self.raw(name)?.get().as_bytes())
    }

    /// The member as a value that Rust can represent.
    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.raw(name)?.get()).ok()
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.as_str().map(str::to_owned)
    }

    pub(crate) fn has_twice(&self, names: &[&str]) -> bool {
        let count = |name: &str| self.0.iter().filter(|(n, _)| n == name).count();
        names.iter().any(|name| count(name) > 1)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The nesting depth of arrays and objects in JSON text; brackets within strings do not count.
pub(crate) fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted) = (0_usize, 0, false);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match (byte, quoted) {
            (b'"', _) => quoted = !quoted,
            (b'\\', true) => drop(bytes.next()),
            (b'[' | b'{', false) => depth += 1,
            (b']' | b'}', false) => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The value as an id, if JSON-RPC and MCP allow it as one: `12.0` is the integer 12, which JavaScript
/// does not tell apart, as long as floating-point numbers are exact.
pub(crate) fn as_id(value: Value) -> Option<Value> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    match &value {
        Value::Number(n) if n.is_i64() => Some(value),
        Value::Number(n) if n.is_f64() => {
            let number = n.as_f64().filter(|n| n.abs() < EXACT && n.fract() == 0.0)?;
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
            Some(Value::from(number as i64))
        }
        Value::String(text) if text.len() <= 256 => Some(value),
        _ => None,
    }
}

/// Checks that bytes are one JSON-RPC error on one line, and gives (code, id).
pub(crate) fn error_of(body: &[u8]) -> (i64, Value) {
    assert!(!body.contains(&b'\n') && !body.contains(&b'\r'), "one line");
    let body: Value = serde_json::from_slice(body).expect("a refusal has a JSON body");
    assert_eq!(body["jsonrpc"], "2.0");
    let error = &body["error"];
    assert!(
        error["message"].as_str().is_some_and(|m| !m.is_empty()),
        "{body}"
    );
    let code = error["code"].as_i64().expect("an error has a code");
    (code, body["id"].clone())
}
