//! `_meta` of a request in the stateless era (MCP 2026-07-28, Base Protocol, "_meta").

use http::StatusCode;
use model::TraceContext;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::client_record;
use crate::{
    capability::ClientCapabilities,
    channel::{CHANNEL_CAPABILITY, is_channel_client},
    envelope::{RequestId, RpcError},
    lenient,
    limits::MAX_CLIENT_INFO_BYTES,
    log::LogLevel,
    refusal::HttpRefusal,
};

pub(super) const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The `_meta` of a request.
#[derive(Clone, Debug)]
pub struct RequestMeta {
    /// The capabilities of the client, for this request only.
    pub capabilities: ClientCapabilities,
    /// Whether the client has channels, as [`crate::channel::has_channels`].
    pub has_channels: bool,
    /// Opts in to `notifications/message` at this level and above.
    pub log_level: Option<LogLevel>,
    /// Opts in to progress, under this token.
    pub progress_token: Option<RequestId>,
    /// The trace that the request belongs to (SEP-414); `None` also if it is unreadable.
    pub trace: Option<TraceContext>,
}

/// The members of params that the dispatcher reads.
#[derive(Deserialize, Default)]
pub(super) struct Parts<'a> {
    #[serde(borrow, default, rename = "_meta")]
    meta_raw: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) uri: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "taskId")]
    pub(super) task_id: Option<&'a RawValue>,
    #[serde(skip)]
    meta: Wire<'a>,
}

#[derive(Deserialize, Default)]
struct Wire<'a> {
    #[serde(
        borrow,
        default,
        deserialize_with = "present",
        rename = "io.modelcontextprotocol/protocolVersion"
    )]
    version: Option<&'a RawValue>,
    #[serde(
        borrow,
        default,
        deserialize_with = "present",
        rename = "io.modelcontextprotocol/clientCapabilities"
    )]
    capabilities: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "io.modelcontextprotocol/clientInfo")]
    client_info: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "io.modelcontextprotocol/logLevel")]
    log_level: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "progressToken")]
    progress_token: Option<&'a RawValue>,
    #[serde(borrow, default)]
    traceparent: Option<&'a RawValue>,
}

/// What of `clientInfo` is read; it may be anything.
#[derive(Deserialize)]
struct ClientName {
    #[serde(default)]
    name: Option<String>,
}

/// Null counts as present: as a revision it claims the stateless era with an invalid value, and as capabilities it is
/// what a serializer writes that has none.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

pub(super) fn missing(key: &'static str) -> HttpRefusal {
    let message = format!("params._meta[\"{key}\"] is missing or of the wrong type");
    HttpRefusal::new(StatusCode::BAD_REQUEST, RpcError::invalid_params(message))
}

/// The refusal of a malformed optional member: an ordinary -32602 on HTTP 200.
fn malformed(message: &'static str) -> HttpRefusal {
    HttpRefusal::new(StatusCode::OK, RpcError::invalid_params(message))
}

fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

impl<'a> Parts<'a> {
    /// Reads params; the envelope has checked that they are an object.
    pub(super) fn read(params: Option<&'a RawValue>) -> Result<Self, &'static str> {
        let Some(params) = params else {
            return Ok(Self::default());
        };
        let mut parts: Self =
            serde_json::from_str(params.get()).map_err(|_| "params have a duplicate member")?;
        if let Some(meta) = parts.meta_raw.filter(|meta| meta.get().starts_with('{')) {
            parts.meta =
                serde_json::from_str(meta.get()).map_err(|_| "_meta has a duplicate member")?;
        }
        Ok(parts)
    }

    pub(super) fn claims_stateless(&self) -> bool {
        self.meta.version.is_some()
    }

    /// The revision that the request names.
    pub(super) fn version(&self) -> Result<String, HttpRefusal> {
        read(self.meta.version).ok_or_else(|| missing(PROTOCOL_VERSION))
    }

    /// The required part of `_meta` beside the version, within the bound of what a session keeps: a call
    /// keeps it until it ends.
    pub(super) fn capabilities(&self) -> Result<ClientCapabilities, HttpRefusal> {
        let sent = self.meta.capabilities;
        if sent.is_some_and(lenient::is_no_object) {
            return Ok(ClientCapabilities::default());
        }
        let sent = sent.filter(|sent| sent.get().starts_with('{'));
        let sent = sent.ok_or_else(|| missing(CLIENT_CAPABILITIES))?;
        client_record::sent_capabilities(sent).ok_or_else(|| {
            let text = format!(
                "params._meta[\"{CLIENT_CAPABILITIES}\"] has to fit into {MAX_CLIENT_INFO_BYTES} bytes"
            );
            HttpRefusal::new(StatusCode::BAD_REQUEST, RpcError::invalid_params(text))
        })
    }

    /// The optional part of `_meta`.
    pub(super) fn meta(
        &self,
        capabilities: ClientCapabilities,
    ) -> Result<RequestMeta, HttpRefusal> {
        let log_level = read(self.meta.log_level);
        if self.meta.log_level.is_some() && log_level.is_none() {
            return Err(malformed("_meta: no such log level"));
        }
        let progress_token = read(self.meta.progress_token);
        if self.meta.progress_token.is_some() && progress_token.is_none() {
            return Err(malformed("_meta: progressToken is an integer or a string"));
        }
        let client = read::<ClientName>(self.meta.client_info);
        let name = client.as_ref().and_then(|client| client.name.as_deref());
        let has_channels =
            is_channel_client(name) || capabilities.declares(&["experimental", CHANNEL_CAPABILITY]);
        Ok(RequestMeta {
            capabilities,
            has_channels,
            log_level,
            progress_token,
            trace: read::<String>(self.meta.traceparent)
                .and_then(|header| TraceContext::parse(&header)),
        })
    }
}

/// Whether a notification claims the stateless era in its body.
pub(super) fn claims_stateless(params: Option<&RawValue>) -> bool {
    Parts::read(params).is_ok_and(|parts| parts.claims_stateless())
}
