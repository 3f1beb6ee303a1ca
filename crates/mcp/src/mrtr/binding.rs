//! The request that a sealed state belongs to: its principal and its content.

use std::{collections::BTreeMap, fmt};

use model::PrincipalId;
use ring::digest::{Context, SHA256};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use crate::{
    envelope::RpcError,
    limits::MAX_SALIENT_BYTES,
    params::{self, InputError},
};

/// Members of params that differ between the attempts of one request.
const NOT_SALIENT: [&str; 3] = ["_meta", "inputResponses", "requestState"];

/// The part of params to which a state is bound, for a call that keeps it until it asks: without `_meta`,
/// answers and state, in up to 80 KiB.
///
/// # Errors
/// It does not fit; the error names the largest member.
pub fn salient(params: &RawValue) -> Result<Box<RawValue>, InputError> {
    if params.get().len() <= MAX_SALIENT_BYTES {
        return Ok(params.to_owned());
    }
    let mut members: BTreeMap<String, &RawValue> = params::borrow(params)?;
    members.retain(|name, _| !NOT_SALIENT.contains(&name.as_str()));
    let compact = members
        .iter()
        .map(|(name, value)| (name, params::compact(value)));
    let members: BTreeMap<&String, Box<RawValue>> = compact.collect();
    let sizes = members.iter();
    let sizes = sizes.map(|(name, value)| (name.len() + value.get().len(), *name));
    let sizes: Vec<(usize, &String)> = sizes.collect();
    let sum: usize = sizes.iter().map(|(bytes, _)| bytes).sum();
    match (sizes.iter().max(), to_raw_value(&members)) {
        (_, Ok(salient)) if sum <= MAX_SALIENT_BYTES => Ok(salient),
        (largest, _) => {
            let field = largest.map_or("params", |(_, name)| name.as_str());
            let reason = format!("{sum} bytes of params; at most {MAX_SALIENT_BYTES}");
            Err(InputError::new(field, &reason))
        }
    }
}

/// The principal, the method and a digest of the params without `_meta`, answers and state. A state
/// that is sealed for one binding cannot be opened under another (MCP 2026-07-28, Multi Round-Trip
/// Requests, "Server Requirements").
#[derive(Clone, PartialEq, Eq)]
pub struct Binding {
    bytes: Vec<u8>,
}

impl Binding {
    /// The binding of a request. Two spellings of the same JSON (order of members, white space,
    /// `1.0` for `1`) have the same binding, because a client may serialize its params again for
    /// the retry.
    ///
    /// # Errors
    /// -32602: the params are not an object.
    pub fn new(
        principal: &PrincipalId,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<Self, RpcError> {
        let mut params: Map<String, Value> = params::parse(params)?;
        for key in NOT_SALIENT {
            params.remove(key);
        }
        let mut digest = Context::new(&SHA256);
        feed_object(&mut digest, &params);
        let mut bytes = Vec::with_capacity(64 + method.len() + principal.as_str().len());
        for part in [principal.as_str().as_bytes(), method.as_bytes()] {
            // Each part is prefixed with its length, so that no part can run into the next.
            bytes.extend_from_slice(&length(part.len()));
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(digest.finish().as_ref());
        Ok(Self { bytes })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding").finish_non_exhaustive()
    }
}

fn length(bytes: usize) -> [u8; 8] {
    u64::try_from(bytes).unwrap_or(u64::MAX).to_be_bytes()
}

/// Every value starts with a byte for its kind and has a length where its end is not fixed:
/// different values never feed the same bytes.
fn feed(digest: &mut Context, value: &Value) {
    match value {
        Value::Null => digest.update(b"n"),
        Value::Bool(false) => digest.update(b"f"),
        Value::Bool(true) => digest.update(b"t"),
        Value::Number(number) => feed_text(digest, b'#', &canonical(number)),
        Value::String(text) => feed_text(digest, b'"', text),
        Value::Array(items) => {
            digest.update(b"[");
            digest.update(&length(items.len()));
            items.iter().for_each(|item| feed(digest, item));
        }
        Value::Object(members) => feed_object(digest, members),
    }
}

fn feed_object(digest: &mut Context, members: &Map<String, Value>) {
    digest.update(b"{");
    digest.update(&length(members.len()));
    let mut members: Vec<_> = members.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    for (name, value) in members {
        feed_text(digest, b'"', name);
        feed(digest, value);
    }
}

fn feed_text(digest: &mut Context, kind: u8, text: &str) {
    digest.update(&[kind]);
    digest.update(&length(text.len()));
    digest.update(text.as_bytes());
}

/// `1.0` and `1` are the same number, and JavaScript writes the first as the second.
fn canonical(number: &serde_json::Number) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT => {
            format!("{:.0}", float + 0.0)
        }
        _ => number.to_string(),
    }
}
