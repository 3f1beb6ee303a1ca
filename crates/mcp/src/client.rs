//! What a server asks of a client: the user's input, the client's model, the client's roots.
//!
//! In the handshake era it is a JSON-RPC request of the server's, on the stream of the request that
//! it belongs to, and the answer is a POST that may land anywhere (MCP 2025-11-25, Client
//! Features). In the stateless era it stands in a result, and the answer comes with the next
//! attempt ([`crate::mrtr`]). The questions and answers are the same.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    answer::Empty,
    capability::ClientCapabilities,
    envelope::{self, RequestId},
    method,
    params::InputError,
    version::ProtocolVersion,
};

mod elicitation;
mod form;
mod reply;
mod roots;
mod sampling;

pub use elicitation::{ElicitResult, Elicitation, elicitation_complete, url_required};
pub use form::{Choices, Field, Form, Property, TextFormat};
pub use reply::ReplyError;
pub use roots::{Root, Roots};
pub use sampling::{
    CreateMessage, CreateMessageResult, ModelPreferences, SamplingContent, SamplingMessage,
};

/// A question to the client.
#[derive(Clone, PartialEq, Debug)]
pub enum ClientRequest {
    /// `elicitation/create`: the user's input (from 2025-06-18 on).
    Elicit(Elicitation),
    /// `sampling/createMessage`: the client's model.
    Sample(CreateMessage),
    /// `roots/list`: the folders that the client works in.
    ListRoots,
}

/// The answer to a [`ClientRequest`].
#[derive(Clone, PartialEq, Debug)]
pub enum ClientResult {
    /// What the user said.
    Elicited(ElicitResult),
    /// What the model said.
    Sampled(CreateMessageResult),
    /// The folders.
    Roots(Roots),
}

/// Why a question cannot be put to this client.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum NotPossible {
    /// The client did not declare this capability.
    #[error("the client does not declare a capability that the question needs")]
    Capability(ClientCapabilities),
    /// The revision has no such question.
    #[error("revision {0} has no such question")]
    Revision(ProtocolVersion),
}

impl model::Classified for NotPossible {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Caller
    }
}

impl NotPossible {
    /// The capabilities object that the client would have to declare, if that would help.
    #[must_use]
    pub fn required(self) -> Option<ClientCapabilities> {
        match self {
            Self::Capability(required) => Some(required),
            Self::Revision(_) => None,
        }
    }
}

impl ClientRequest {
    /// The method.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Elicit(_) => method::ELICIT,
            Self::Sample(_) => method::SAMPLE,
            Self::ListRoots => method::ROOTS_LIST,
        }
    }

    /// Checks that this client can be asked this. An empty `elicitation` capability means forms
    /// alone (MCP 2025-11-25, Elicitation, "Capabilities").
    ///
    /// # Errors
    /// It cannot: the revision has no such question, or the capability is not declared.
    pub fn check(
        &self,
        version: ProtocolVersion,
        client: &ClientCapabilities,
    ) -> Result<(), NotPossible> {
        let needs: &[&str] = match self {
            Self::Elicit(elicitation) if elicitation.is_in(version) => match elicitation {
                Elicitation::Form { .. } if client.declares(&["elicitation", "form"]) => &[],
                Elicitation::Form { .. } if client.declares(&["elicitation", "url"]) => {
                    &["elicitation", "form"]
                }
                Elicitation::Form { .. } => &["elicitation"],
                Elicitation::Url { .. } => &["elicitation", "url"],
            },
            Self::Elicit(_) => return Err(NotPossible::Revision(version)),
            Self::Sample(_) => &["sampling"],
            Self::ListRoots => &["roots"],
        };
        if client.declares(needs) {
            Ok(())
        } else {
            Err(NotPossible::Capability(ClientCapabilities::only(needs)))
        }
    }

    /// The params, as a revision knows them. [`Self::check`] comes before.
    #[must_use]
    pub fn params(&self, version: ProtocolVersion) -> Box<RawValue> {
        match self {
            Self::Elicit(elicitation) => raw(&elicitation.for_version(version)),
            Self::Sample(sampling) => raw(&sampling.for_version(version)),
            Self::ListRoots => raw(&Empty),
        }
    }

    /// The JSON-RPC request with an id of ours (handshake era only).
    #[must_use]
    pub fn encode(&self, id: &RequestId, version: ProtocolVersion) -> Bytes {
        encode(id, self.method(), &self.params(version))
    }

    /// Reads the bare result.
    ///
    /// # Errors
    /// It does not fit the question; the error names the field.
    pub fn read_result(&self, result: &RawValue) -> Result<ClientResult, InputError> {
        match self {
            Self::Elicit(elicitation) => elicitation.read(result).map(ClientResult::Elicited),
            Self::Sample(_) => CreateMessageResult::read(result).map(ClientResult::Sampled),
            Self::ListRoots => Roots::read(result).map(ClientResult::Roots),
        }
    }

    /// Reads the client's answer to the request (handshake era only).
    ///
    /// # Errors
    /// The client answered with an error, or its result does not fit the question.
    pub fn read_response(&self, response: &envelope::Response) -> Result<ClientResult, ReplyError> {
        let result = reply::result(response)?;
        self.read_result(result).map_err(ReplyError::Malformed)
    }
}

/// `ping` with an id of ours (handshake era only). Any response will do, an error too: somebody
/// answered.
#[must_use]
pub fn ping(id: &RequestId) -> Bytes {
    encode(id, method::PING, &raw(&Empty))
}

fn encode(id: &RequestId, method: &str, params: &RawValue) -> Bytes {
    envelope::request(id, method, params).expect("params that are JSON already")
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("maps have keys that are text, and numbers are finite or null")
}

#[cfg(test)]
mod tests;
