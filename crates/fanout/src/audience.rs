//! The clients of open streams, as those see them that have a message for some of them.

use access::Principal;
use model::Session;

use crate::metrics::StreamKind;

/// What is known of the client of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLabels {
    /// The revision that it speaks.
    pub protocol_version: Box<str>,
    /// The name in its description of itself; empty if it has none.
    pub client_name: Box<str>,
    /// Whether the session has a subscription to events.
    pub is_subscribed: bool,
}

impl ClientLabels {
    /// Those of a session.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        let name = session.client_info["name"].as_str();
        Self {
            protocol_version: session.protocol_version.as_str().into(),
            client_name: name.unwrap_or_default().into(),
            is_subscribed: !session.subscriptions.is_empty(),
        }
    }
}

/// A client that may be among those that a message is for.
#[derive(Debug, Clone, Copy)]
pub struct AudienceMember<'a> {
    /// The kind of its stream.
    pub kind: StreamKind,
    /// Its principal.
    pub principal: &'a Principal,
    /// What is known of it, if it has a session.
    pub labels: Option<&'a ClientLabels>,
    /// The revision that a client without a session speaks.
    pub protocol_version: Option<&'a str>,
}
