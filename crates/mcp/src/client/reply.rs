//! The client's response to a request from the server.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    envelope::RpcResponse,
    lenient::null_as_default,
    params::{self, InputError},
};

/// Longest message of a client's error that is kept, in bytes; the rest is cut.
const MAX_MESSAGE_BYTES: usize = 400;

/// The reason why the client gave no result.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ReplyError {
    /// The client answered with an error.
    #[error("the client refused ({code}): {message}")]
    Refused {
        /// JSON-RPC error code; 0 if there is none.
        code: i64,
        /// The client's message, up to 400 bytes.
        message: String,
    },
    /// The client's result does not fit the question.
    #[error("the client's answer does not fit")]
    Malformed(#[source] InputError),
}

impl model::Classified for ReplyError {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Caller
    }
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Wire {
    #[serde(deserialize_with = "null_as_default")]
    code: i64,
    #[serde(deserialize_with = "null_as_default")]
    message: String,
}

pub(super) fn result(response: &RpcResponse) -> Result<&RawValue, ReplyError> {
    match &response.outcome {
        Ok(result) => Ok(result),
        Err(error) => {
            let Wire { code, mut message } =
                params::parse(Some(error)).map_err(ReplyError::Malformed)?;
            message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
            Err(ReplyError::Refused { code, message })
        }
    }
}
