//! Questions within a result: how the server asks the client in the stateless era (MCP 2026-07-28,
//! Patterns, "Multi Round-Trip Requests").
//!
//! `tools/call`, `prompts/get` and `resources/read` may answer `input_required` with questions
//! ([`InputRequests`]) and a state that the client returns ([`StateKeys`]). The client sends the
//! request again with the answers ([`Retry`]), to any edge, or never.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    answer::{ResultType, VersionedResult},
    capability::ClientCapabilities,
    client::{ClientRequest, ClientResult},
    envelope::{RequestId, RpcError},
    lenient,
    limits::{MAX_INPUT_RESPONSE_BYTES, MAX_INPUT_RESPONSES, MAX_REQUEST_STATE_BYTES},
    method,
    params::{self, InputError},
    profile::ServerInfo,
    refusal::HttpRefusal,
    version::ProtocolVersion,
};

mod binding;
mod seal;

pub use binding::{Binding, salient};
pub use seal::{InvalidRequestState, KeyError, SealError, StateKey, StateKeys};

/// Whether a method may answer `input_required` ("Supported Requests"). No other method may.
#[must_use]
pub fn is_supported(method: &str) -> bool {
    [
        method::TOOLS_CALL,
        method::PROMPTS_GET,
        method::RESOURCES_READ,
    ]
    .contains(&method)
}

/// Questions under keys that the server chooses.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct InputRequests(BTreeMap<String, ClientRequest>);

/// A question as the client sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DescribedRequest {
    /// One of `elicitation/create`, `sampling/createMessage` and `roots/list`.
    pub method: String,
    /// The params of the question.
    pub params: Box<RawValue>,
}

/// The answers received so far.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CollectedAnswers {
    /// The answers, by key.
    pub answers: BTreeMap<String, ClientResult>,
    /// The questions to ask again; empty if all are answered.
    pub missing: InputRequests,
}

impl InputRequests {
    /// No questions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a question; it replaces one under the same key.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, request: ClientRequest) -> Self {
        self.0.insert(key.into(), request);
        self
    }

    /// Whether there are no questions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys and their questions.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ClientRequest)> {
        self.0.iter().map(|(key, request)| (key.as_str(), request))
    }

    /// Checks that this client can be asked all questions: the request must declare the
    /// capabilities.
    ///
    /// # Errors
    /// 400 with -32021 and the first missing capability.
    pub fn check(
        &self,
        version: ProtocolVersion,
        client: &ClientCapabilities,
    ) -> Result<(), HttpRefusal> {
        let mut requests = self.0.values();
        requests
            .try_for_each(|request| request.check(version, client))
            .map_err(|reason| {
                HttpRefusal::missing_capability(reason.required().unwrap_or_default())
            })
    }

    /// Keeps only the questions that this client can be asked.
    #[must_use]
    pub fn possible(self, version: ProtocolVersion, client: &ClientCapabilities) -> Self {
        let possible = self.0.into_iter();
        let possible = possible.filter(|(_, request)| request.check(version, client).is_ok());
        Self(possible.collect())
    }

    /// The questions as the client sees them.
    #[must_use]
    pub fn describe(&self, version: ProtocolVersion) -> BTreeMap<String, DescribedRequest> {
        let described = self.0.iter().map(|(key, request)| {
            let described = DescribedRequest {
                method: request.method().to_owned(),
                params: request.params(version),
            };
            (key.clone(), described)
        });
        described.collect()
    }

    /// Takes the answers from a retry. Missing answers are asked for again and not refused ("Error
    /// Handling"); unexpected answers are ignored.
    ///
    /// # Errors
    /// An answer does not fit its question; the error names it.
    pub fn collect(self, retry: &Retry) -> Result<CollectedAnswers, InputError> {
        let mut collected = CollectedAnswers::default();
        for (key, request) in self.0 {
            match retry.answer(&key, &request)? {
                Some(answer) => {
                    collected.answers.insert(key, answer);
                }
                None => {
                    collected.missing.0.insert(key, request);
                }
            }
        }
        Ok(collected)
    }
}

/// `InputRequiredResult`: always has questions or a state.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InputRequired {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    input_requests: BTreeMap<String, DescribedRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_state: Option<String>,
}

impl InputRequired {
    /// Asks these questions; `None` if there are none. The caller has checked that the client can
    /// be asked.
    #[must_use]
    pub fn ask(version: ProtocolVersion, requests: &InputRequests) -> Option<Self> {
        (!requests.is_empty()).then(|| Self {
            input_requests: requests.describe(version),
            request_state: None,
        })
    }

    /// Asks nothing: the client may retry at once with this state.
    #[must_use]
    pub fn retry(state: String) -> Self {
        Self {
            input_requests: BTreeMap::new(),
            request_state: Some(state),
        }
    }

    /// Adds a sealed state, which the client returns.
    #[must_use]
    pub fn with_state(mut self, state: String) -> Self {
        self.request_state = Some(state);
        self
    }

    /// Encodes the JSON-RPC message.
    #[must_use]
    pub fn encode(&self, version: ProtocolVersion, server: &ServerInfo, id: &RequestId) -> Bytes {
        VersionedResult::new(version, server, self)
            .of_type(ResultType::InputRequired)
            .encode(id)
    }
}

/// The members that a retry adds to the params of the first attempt. Both are attacker-controlled.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    input_responses: BTreeMap<String, Box<RawValue>>,
    #[serde(default)]
    request_state: Option<String>,
}

impl Retry {
    /// A retry with these answers, as for a task (`tasks/update`).
    #[must_use]
    pub fn of(input_responses: BTreeMap<String, Box<RawValue>>) -> Self {
        Self {
            input_responses,
            request_state: None,
        }
    }

    /// Reads the params of `tools/call`, `prompts/get` or `resources/read`; those of a first
    /// attempt have neither answers nor state.
    ///
    /// # Errors
    /// -32602: `inputResponses` is not an object or has more than 64 members or 128 KiB, or `requestState`
    /// is not text or is longer than 24 KiB.
    pub fn parse(params: Option<&RawValue>) -> Result<Self, RpcError> {
        let retry: Self = params::parse(params)?;
        if retry.input_responses.len() > MAX_INPUT_RESPONSES {
            return Err(InputError::new("inputResponses", "at most 64 answers").into());
        }
        let answers = retry.input_responses.iter();
        let bytes: usize = answers
            .map(|(key, answer)| key.len() + answer.get().len())
            .sum();
        if bytes > MAX_INPUT_RESPONSE_BYTES {
            let reason = format!("{bytes} bytes; at most {MAX_INPUT_RESPONSE_BYTES}");
            return Err(InputError::new("inputResponses", &reason).into());
        }
        let state = retry.request_state.as_deref().unwrap_or_default();
        if state.len() > MAX_REQUEST_STATE_BYTES {
            return Err(InvalidRequestState.into());
        }
        Ok(retry)
    }

    /// The state as the client returned it, to be opened with [`StateKeys::open`].
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.request_state.as_deref()
    }

    /// Whether this is a retry; its result must not be cached.
    #[must_use]
    pub fn is_retry(&self) -> bool {
        self.request_state.is_some() || !self.input_responses.is_empty()
    }

    /// The answer to a question; `None` if there is none under this key.
    ///
    /// # Errors
    /// The answer does not fit the question.
    pub fn answer(
        &self,
        key: &str,
        request: &ClientRequest,
    ) -> Result<Option<ClientResult>, InputError> {
        let Some(result) = self.input_responses.get(key) else {
            return Ok(None);
        };
        let answer = request.read_result(result);
        let within = |error: InputError| InputError::new("inputResponses", &error.to_string());
        answer.map(Some).map_err(within)
    }
}

/// Answers of earlier rounds, which the server seals into `requestState`, so that a question is not
/// asked again once answered, and its answer cannot be changed later.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EarlierAnswers(BTreeMap<String, Box<RawValue>>);

impl EarlierAnswers {
    /// Reads an unsealed state.
    ///
    /// # Errors
    /// A server with another format sealed it.
    pub fn decode(state: &[u8]) -> Result<Self, InvalidRequestState> {
        serde_json::from_slice(state).map_err(|_| InvalidRequestState)
    }

    /// The bytes to seal.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("keys are text and values JSON")
    }

    /// Takes the answers to these questions: those of earlier rounds first, then those of the
    /// retry.
    ///
    /// # Errors
    /// As [`InputRequests::collect`].
    pub fn collect(
        &self,
        retry: &Retry,
        requests: InputRequests,
    ) -> Result<CollectedAnswers, InputError> {
        let mut all = retry.clone();
        let known = self
            .0
            .iter()
            .map(|(key, answer)| (key.clone(), answer.clone()));
        all.input_responses.extend(known);
        requests.collect(&all)
    }

    /// Keeps a retry's answer to a question of this round.
    pub fn keep(&mut self, key: &str, retry: &Retry) {
        if let Some(answer) = retry.input_responses.get(key)
            && !self.0.contains_key(key)
        {
            self.0.insert(key.to_owned(), answer.clone());
        }
    }
}

#[cfg(test)]
mod tests;
