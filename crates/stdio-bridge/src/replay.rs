//! The requests that restore a lost session.

use std::collections::BTreeMap;

use bytes::Bytes;
use mcp::{Incoming, channel::has_channels, envelope::MessageBody, method, ndjson::JsonLine};
use serde::Deserialize;
use serde_json::Value;

use crate::limits::MAX_REMEMBERED;

/// The requests of the client that open and configure a session. When a session is lost, the bridge
/// sends them again, because the client cannot.
#[derive(Debug, Default)]
pub(crate) struct SessionReplay {
    pub(crate) initialize: Option<Bytes>,
    set_level: Option<Bytes>,
    /// Requests to subscribe, by resource.
    subscriptions: BTreeMap<String, Bytes>,
    /// There were more than are remembered.
    has_forgotten: bool,
    /// The client has channels.
    pub(crate) has_channels: bool,
}

impl SessionReplay {
    /// Remembers the client's own `initialize` and forgets everything about earlier sessions.
    pub(crate) fn opened_by(&mut self, initialize: Bytes) {
        *self = Self {
            has_channels: opens_channels(&initialize),
            initialize: Some(initialize),
            ..Self::default()
        };
    }

    /// Remembers a request that changed the session.
    pub(crate) fn note(&mut self, line: &JsonLine, answer: &[u8]) {
        #[derive(Deserialize)]
        struct Resource {
            uri: String,
        }
        #[derive(Deserialize)]
        struct Success {
            #[serde(rename = "result")]
            _result: serde::de::IgnoredAny,
        }
        let MessageBody::One(Incoming::Request(request)) = &line.body else {
            return;
        };
        let uri = || {
            let params = request.params.as_deref()?;
            let Resource { uri } = serde_json::from_str(params.get()).ok()?;
            Some(uri)
        };
        let succeeded = || serde_json::from_slice::<Success>(answer).is_ok();
        match request.method.as_str() {
            method::SET_LEVEL if succeeded() => self.set_level = Some(line.text.clone()),
            method::RESOURCES_SUBSCRIBE if succeeded() => {
                if let Some(uri) = uri() {
                    match self.subscriptions.len() < MAX_REMEMBERED {
                        true => drop(self.subscriptions.insert(uri, line.text.clone())),
                        false => self.has_forgotten = true,
                    }
                }
            }
            method::RESOURCES_UNSUBSCRIBE => {
                if let Some(uri) = uri() {
                    self.subscriptions.remove(&uri);
                }
            }
            _ => {}
        }
    }

    /// Whether every subscription is remembered.
    pub(crate) const fn is_complete(&self) -> bool {
        !self.has_forgotten
    }

    /// The requests to send after `initialize`: they restore the log level and the subscriptions.
    pub(crate) fn requests(&self) -> Vec<Bytes> {
        let subscriptions = self.subscriptions.values();
        self.set_level
            .iter()
            .chain(subscriptions)
            .cloned()
            .collect()
    }
}

/// Whether the client of this `initialize` has channels.
fn opens_channels(initialize: &[u8]) -> bool {
    let message: Value = serde_json::from_slice(initialize).unwrap_or_default();
    let params = &message["params"];
    has_channels(&params["clientInfo"], &params["capabilities"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_channels_is_known_by_what_it_opens_a_session_with() {
        let opens = |name: &str| {
            let params = serde_json::json!({ "params": { "clientInfo": { "name": name } } });
            opens_channels(params.to_string().as_bytes())
        };
        assert!(opens("claude-code") && !opens("another"));
        assert!(!opens_channels(b"{") && !opens_channels(b"[]"));
    }
}
