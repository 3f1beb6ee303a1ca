//! One result, shaped for the revision of the request, so that a handler is written once for both
//! eras.

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use crate::{
    envelope::{self, RequestId},
    profile::ServerInfo,
    version::{Era, ProtocolVersion},
};

/// `_meta` key of the server's name and version.
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// Who may reuse a cached result (MCP 2026-07-28, Utilities, "Caching").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheScope {
    /// Any client; only for results that do not depend on the principal.
    Public,
    /// The same principal only.
    Private,
}

/// How long a result may be cached, and by whom. Required on server/discover, tools/list,
/// prompts/list, resources/list, resources/templates/list and resources/read in the stateless era,
/// and the same on all pages of a list; older revisions do not have it, and it is left out there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheHint {
    /// Lifetime in milliseconds; 0 means that the client always asks again.
    pub ttl_ms: u64,
    /// Who may reuse it.
    pub cache_scope: CacheScope,
}

impl CacheHint {
    /// Any client may reuse the result, for this many milliseconds.
    #[must_use]
    pub const fn public(ttl_ms: u64) -> Self {
        Self {
            ttl_ms,
            cache_scope: CacheScope::Public,
        }
    }

    /// Only the same principal may reuse the result, for this many milliseconds.
    #[must_use]
    pub const fn private(ttl_ms: u64) -> Self {
        Self {
            ttl_ms,
            cache_scope: CacheScope::Private,
        }
    }
}

/// The kind of a result in the stateless era (MCP 2026-07-28, Base Protocol, "Results").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultType {
    /// The request is done.
    #[default]
    Complete,
    /// The client has to answer questions and send the request again ([`crate::mrtr`]).
    InputRequired,
    /// The work continues as a task ([`crate::task`]).
    Task,
}

/// A result. In the stateless era it carries `resultType`, its cache hint and `serverInfo` in
/// `_meta` (MCP 2026-07-28, Base Protocol, "Results"); in the handshake era it is the body alone.
#[derive(Debug)]
pub struct VersionedResult<'a, T> {
    version: ProtocolVersion,
    body: &'a T,
    cache: Option<CacheHint>,
    result_type: ResultType,
    meta: Map<String, Value>,
}

impl<'a, T: Serialize> VersionedResult<'a, T> {
    /// A result with this body, which must be a JSON object without `_meta`, `resultType`, `ttlMs`
    /// and `cacheScope`.
    #[must_use]
    pub fn new(version: ProtocolVersion, server: &ServerInfo, body: &'a T) -> Self {
        let mut meta = Map::new();
        if version.era() == Era::Stateless {
            meta.insert(SERVER_INFO.into(), server.describe(version));
        }
        Self {
            version,
            body,
            cache: None,
            result_type: ResultType::Complete,
            meta,
        }
    }

    /// Adds a cache hint.
    #[must_use]
    pub fn cached(mut self, hint: CacheHint) -> Self {
        self.cache = Some(hint);
        self
    }

    /// Sets the kind of the result. Only a complete result has a cache hint.
    #[must_use]
    pub fn of_type(mut self, result_type: ResultType) -> Self {
        self.result_type = result_type;
        self
    }

    /// Adds another member to `_meta`.
    #[must_use]
    pub fn with_meta(mut self, key: &str, value: Value) -> Self {
        self.meta.insert(key.into(), value);
        self
    }

    /// Encodes the JSON-RPC message.
    #[must_use]
    pub fn encode(&self, id: &RequestId) -> Bytes {
        envelope::result(id, self)
    }
}

#[derive(Serialize)]
struct Stateless<'a, T> {
    #[serde(rename = "resultType")]
    result_type: ResultType,
    #[serde(flatten)]
    body: &'a T,
    #[serde(flatten)]
    cache: Option<CacheHint>,
    #[serde(rename = "_meta")]
    meta: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct Handshake<'a, T> {
    #[serde(flatten)]
    body: &'a T,
    #[serde(rename = "_meta", skip_serializing_if = "Map::is_empty")]
    meta: &'a Map<String, Value>,
}

impl<T: Serialize> Serialize for VersionedResult<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (body, meta) = (self.body, &self.meta);
        match self.version.era() {
            Era::Handshake => Handshake { body, meta }.serialize(serializer),
            Era::Stateless => Stateless {
                result_type: self.result_type,
                body,
                cache: self
                    .cache
                    .filter(|_| self.result_type == ResultType::Complete),
                meta,
            }
            .serialize(serializer),
        }
    }
}

/// An empty result: `{}` plus the members that the era adds.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyResult;

impl Serialize for EmptyResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

/// A `notifications/progress` for the request's own stream, in any revision; `progress` must
/// increase from one notification to the next.
#[must_use]
pub fn progress(
    token: &RequestId,
    progress: f64,
    total: Option<f64>,
    message: Option<&str>,
) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        progress_token: &'a RequestId,
        progress: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
    }
    let params = Params {
        progress_token: token,
        progress,
        total,
        message,
    };
    envelope::notification(crate::method::PROGRESS, Some(&params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shaped(version: ProtocolVersion) -> Value {
        let server = ServerInfo::new("forgewire", "1.2.3");
        let body = json!({"tools": []});
        let answer = VersionedResult::new(version, &server, &body).cached(CacheHint::private(5));
        let bytes = answer.encode(&RequestId::Integer(1));
        let message: Value = serde_json::from_slice(&bytes).unwrap();
        message["result"].clone()
    }

    #[test]
    fn only_the_stateless_era_gets_result_type_cache_hint_and_server_info() {
        assert_eq!(shaped(ProtocolVersion::V2025_11_25), json!({"tools": []}));
        assert_eq!(
            shaped(ProtocolVersion::V2026_07_28),
            json!({
                "resultType": "complete", "tools": [], "ttlMs": 5, "cacheScope": "private",
                "_meta": {
                    "io.modelcontextprotocol/serverInfo": {"name": "forgewire", "version": "1.2.3"}
                }
            })
        );
    }

    #[test]
    fn an_empty_result_is_an_object() {
        let server = ServerInfo::new("f", "1");
        let encode = |version| {
            VersionedResult::new(version, &server, &EmptyResult).encode(&RequestId::Integer(1))
        };
        assert_eq!(
            &encode(ProtocolVersion::V2025_03_26)[..],
            br#"{"jsonrpc":"2.0","id":1,"result":{}}"#
        );
        let stateless: Value =
            serde_json::from_slice(&encode(ProtocolVersion::V2026_07_28)).unwrap();
        assert_eq!(stateless["result"]["resultType"], "complete");
    }
}
