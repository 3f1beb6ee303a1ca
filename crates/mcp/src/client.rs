//! Requests from a server to its client: for the user's input, the client's model, the client's
//! roots.
//!
//! In the handshake era this is a JSON-RPC request from the server, on the stream of the request
//! that it belongs to, and the answer is a POST that may reach any edge (MCP 2025-11-25, Client
//! Features). In the stateless era it is part of a result, and the answer arrives with the next
//! attempt ([`crate::mrtr`]). The questions and answers are the same.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    answer::EmptyResult,
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
pub use form::{Choices, Form, FormField, FormProperty, TextFormat};
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
    /// The user's answer.
    Elicited(ElicitResult),
    /// The model's answer.
    Sampled(CreateMessageResult),
    /// The client's folders.
    Roots(Roots),
}

/// The reason why this client cannot be asked a question.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum UnsupportedQuestion {
    /// The client did not declare this capability.
    #[error("the client does not declare a capability that the question needs")]
    Capability(ClientCapabilities),
    /// The revision has no such question.
    #[error("revision {0} has no such question")]
    Revision(ProtocolVersion),
}

impl model::Classified for UnsupportedQuestion {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Caller
    }
}

impl UnsupportedQuestion {
    /// The capabilities that the client would have to declare; `None` if declaring more would not
    /// help.
    #[must_use]
    pub fn required(self) -> Option<ClientCapabilities> {
        match self {
            Self::Capability(required) => Some(required),
            Self::Revision(_) => None,
        }
    }
}

impl ClientRequest {
    /// The JSON-RPC method.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Elicit(_) => method::ELICIT,
            Self::Sample(_) => method::SAMPLE,
            Self::ListRoots => method::ROOTS_LIST,
        }
    }

    /// Checks that this client can be asked this question. An empty `elicitation` capability means
    /// forms only (MCP 2025-11-25, Elicitation, "Capabilities").
    ///
    /// # Errors
    /// The revision has no such question, or the client does not declare the capability.
    pub fn check(
        &self,
        version: ProtocolVersion,
        client: &ClientCapabilities,
    ) -> Result<(), UnsupportedQuestion> {
        let needs: &[&str] = match self {
            Self::Elicit(elicitation) if elicitation.is_in(version) => match elicitation {
                Elicitation::Form { .. } if client.declares(&["elicitation", "form"]) => &[],
                Elicitation::Form { .. } if client.declares(&["elicitation", "url"]) => {
                    &["elicitation", "form"]
                }
                Elicitation::Form { .. } => &["elicitation"],
                Elicitation::Url { .. } => &["elicitation", "url"],
            },
            Self::Elicit(_) => return Err(UnsupportedQuestion::Revision(version)),
            Self::Sample(_) => &["sampling"],
            Self::ListRoots => &["roots"],
        };
        if client.declares(needs) {
            Ok(())
        } else {
            Err(UnsupportedQuestion::Capability(ClientCapabilities::only(
                needs,
            )))
        }
    }

    /// The params in the form that a revision knows. The caller runs [`Self::check`] first.
    #[must_use]
    pub fn params(&self, version: ProtocolVersion) -> Box<RawValue> {
        match self {
            Self::Elicit(elicitation) => raw(&elicitation.for_version(version)),
            Self::Sample(sampling) => raw(&sampling.for_version(version)),
            Self::ListRoots => raw(&EmptyResult),
        }
    }

    /// Encodes the JSON-RPC request under one of the server's ids (handshake era only).
    #[must_use]
    pub fn encode(&self, id: &RequestId, version: ProtocolVersion) -> Bytes {
        encode(id, self.method(), &self.params(version))
    }

    /// Reads a bare result.
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
    pub fn read_response(
        &self,
        response: &envelope::RpcResponse,
    ) -> Result<ClientResult, ReplyError> {
        let result = reply::result(response)?;
        self.read_result(result).map_err(ReplyError::Malformed)
    }
}

/// `ping` under one of the server's ids (handshake era only). Any response counts, even an error:
/// it proves that the client is alive.
#[must_use]
pub fn ping(id: &RequestId) -> Bytes {
    encode(id, method::PING, &raw(&EmptyResult))
}

fn encode(id: &RequestId, method: &str, params: &RawValue) -> Bytes {
    envelope::request(id, method, params).expect("params that are JSON already")
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("maps have keys that are text, and numbers are finite or null")
}

#[cfg(test)]
mod tests;
