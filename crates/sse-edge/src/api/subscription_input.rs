//! The bodies of requests about subscriptions.

use access::Principal;
use axum::extract::Request;
use event_tools::FilterList;
use mcp::params::{self, InputError};
use model::Timestamp;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value};
use subscriptions::{
    ClientId, SubscriptionLife, SubscriptionRecordsError, SubscriptionTransport,
    limits::{MAX_LIFE, MAX_METADATA_BYTES},
};

use super::answers;
use crate::{edge::Edge, error::EdgeError, parameters::TIME_FORMAT};

/// A time that may be given, or be null.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) enum GivenEnd {
    #[default]
    Absent,
    Null,
    At(Timestamp),
}

impl<'de> Deserialize<'de> for GivenEnd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::Null => return Ok(Self::Null),
            Value::String(text) if text.trim().is_empty() => return Ok(Self::Absent),
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => return Err(serde::de::Error::custom(TIME_FORMAT)),
        };
        let time = Timestamp::from_input(&text);
        let time = time.ok_or_else(|| serde::de::Error::custom(TIME_FORMAT))?;
        Ok(Self::At(time))
    }
}

impl GivenEnd {
    /// The life that it stands for; without a time, as long as the subscription is used. `without` says how a request
    /// asks for that.
    pub(super) fn life(
        self,
        now: Timestamp,
        without: &str,
    ) -> Result<SubscriptionLife, InputError> {
        let Self::At(end) = self else {
            return Ok(SubscriptionLife::WhileUsed);
        };
        let refused = |reason: &str| Err(InputError::new("expiresAt", reason));
        if end <= now {
            return refused(&format!(
                "has passed; {without} for a subscription that lives while it is used"
            ));
        }
        if end.since(now) > MAX_LIFE {
            return refused("must be within 366 days; renew the subscription before it ends");
        }
        Ok(SubscriptionLife::Until(end))
    }
}

/// The body of `POST /events/subscribe`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct SubscribeRequest {
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    transport: Option<String>,
    #[serde(default)]
    pub(super) filters: FilterList,
    /// Where events would be posted.
    #[serde(default)]
    endpoint: Option<Value>,
    #[serde(default)]
    pub(super) expires_at: GivenEnd,
    /// A cursor or a time: events after it come first.
    #[serde(default)]
    since: Option<Value>,
    #[serde(default, deserialize_with = "mcp::lenient::object")]
    metadata: Map<String, Value>,
}

impl SubscribeRequest {
    pub(super) fn client(&self) -> Result<Option<ClientId>, InputError> {
        let given = self.client_id.as_deref().filter(|text| !text.is_empty());
        let read = given.map(ClientId::new).transpose();
        read.map_err(|error| InputError::new("clientId", &error.to_string()))
    }

    /// The transport; a refusal names the stream, whose path begins with `base_path`.
    pub(super) fn transport(&self, base_path: &str) -> Result<SubscriptionTransport, InputError> {
        let given = self.transport.as_deref().map(str::trim);
        let read = match given.filter(|text| !text.is_empty()) {
            None => Ok(SubscriptionTransport::Sse),
            Some(text) => SubscriptionTransport::read(text),
        };
        let read = read.map_err(|error| InputError::new("transport", &error.to_string()))?;
        if read == SubscriptionTransport::Webhook {
            let refused = SubscriptionRecordsError::Undeliverable;
            return Err(InputError::new("transport", &refused.to_string()));
        }
        if self.endpoint.as_ref().is_some_and(|given| !given.is_null()) {
            let reason = format!(
                "nothing is posted there: events come on GET {base_path}/events/stream?subscription={{id}}; leave it out"
            );
            return Err(InputError::new("endpoint", &reason));
        }
        Ok(read)
    }

    pub(super) fn metadata(&self) -> Result<Map<String, Value>, InputError> {
        let bytes = serde_json::to_vec(&self.metadata).map_or(usize::MAX, |json| json.len());
        match bytes > MAX_METADATA_BYTES {
            true => {
                let reason = format!("up to {MAX_METADATA_BYTES} bytes");
                Err(InputError::new("metadata", &reason))
            }
            false => Ok(self.metadata.clone()),
        }
    }

    /// The text of `since`.
    pub(super) fn since(&self) -> Result<Option<String>, InputError> {
        match &self.since {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(InputError::new("since", "use a cursor, or a time")),
        }
    }
}

/// The body of `PATCH /events/subscribe/{id}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct RenewRequest {
    #[serde(default)]
    pub(super) expires_at: GivenEnd,
}

/// Reads an object from a body; a refusal names the field.
pub(super) async fn read<T: DeserializeOwned>(
    edge: &Edge,
    principal: &Principal,
    request: Request,
) -> Result<T, EdgeError> {
    let (parts, body) = request.into_parts();
    let body = answers::read(edge, principal, &parts, body).await?;
    Ok(params::parse_body(&body.bytes)?)
}
