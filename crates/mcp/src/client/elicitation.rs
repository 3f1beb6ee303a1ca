//! `elicitation/create`: the server asks the user (MCP 2025-11-25, Client Features, "Elicitation").

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};

use super::form::{DescribedForm, Form};
use crate::{
    envelope::{self, ErrorCode, RpcError},
    method,
    params::{self, InputError},
    version::{Era, ProtocolVersion},
};

/// A question to the user. Secrets never go through a form, only through a URL.
#[derive(Clone, PartialEq, Debug)]
pub enum Elicitation {
    /// The client shows a form.
    Form {
        /// The reason for the question, shown to the user.
        message: String,
        /// The fields to fill in.
        form: Form,
    },
    /// The client sends the user to a page (from 2025-11-25 on).
    Url {
        /// The reason for the visit, shown to the user.
        message: String,
        /// The URL of the page. It must not let another person in: the page has to authenticate its
        /// visitor.
        url: String,
        /// The id of the question in [`elicitation_complete`]; the stateless era does not send it.
        id: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Described<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_schema: Option<DescribedForm<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elicitation_id: Option<&'a str>,
}

impl Elicitation {
    /// Whether a revision has this kind of question.
    pub(super) fn is_in(&self, version: ProtocolVersion) -> bool {
        match self {
            Self::Form { form, .. } => {
                version >= ProtocolVersion::V2025_11_25
                    || (version == ProtocolVersion::V2025_06_18 && !form.has_several_choices())
            }
            Self::Url { .. } => version >= ProtocolVersion::V2025_11_25,
        }
    }

    pub(super) fn for_version(&self, version: ProtocolVersion) -> Described<'_> {
        // 2025-06-18 had only forms and no `mode`.
        let has_modes = version >= ProtocolVersion::V2025_11_25;
        match self {
            Self::Form { message, form } => Described {
                mode: has_modes.then_some("form"),
                message,
                requested_schema: Some(form.for_version(version)),
                url: None,
                elicitation_id: None,
            },
            Self::Url { message, url, id } => Described {
                mode: Some("url"),
                message,
                requested_schema: None,
                url: Some(url),
                elicitation_id: (version.era() == Era::Handshake).then_some(id),
            },
        }
    }

    /// Reads the answer and checks accepted fields against the form.
    pub(super) fn read(&self, result: &RawValue) -> Result<ElicitResult, InputError> {
        let Wire { action, content } = params::parse(Some(result))?;
        Ok(match (action, self) {
            (Action::Decline, _) => ElicitResult::Declined,
            (Action::Cancel, _) => ElicitResult::Cancelled,
            (Action::Accept, Self::Url { .. }) => ElicitResult::Accepted(Map::new()),
            (Action::Accept, Self::Form { form, .. }) => {
                ElicitResult::Accepted(form.check(content.unwrap_or_default())?)
            }
        })
    }
}

#[derive(Deserialize)]
struct Wire {
    action: Action,
    #[serde(default)]
    content: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Accept,
    Decline,
    Cancel,
}

/// The user's answer.
#[derive(Clone, PartialEq, Debug)]
pub enum ElicitResult {
    /// Accepted: the fields that were filled in, checked against the form; empty for a URL, where
    /// it means only that the user agreed to visit the page.
    Accepted(Map<String, Value>),
    /// Declined.
    Declined,
    /// Dismissed without a choice, for instance by closing the window.
    Cancelled,
}

/// `notifications/elicitation/complete`: the user has finished on the page of a URL elicitation
/// (2025-11-25 only).
#[must_use]
pub fn elicitation_complete(id: &str) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        elicitation_id: &'a str,
    }
    let params = Params { elicitation_id: id };
    envelope::notification(method::ELICITATION_COMPLETE, Some(&params))
}

/// The error that asks a client to send its user to these pages and then to retry (2025-11-25,
/// Elicitation, "URL Elicitation Required Error"). `None` in other revisions, and if there is no
/// URL among the elicitations.
#[must_use]
pub fn url_required(version: ProtocolVersion, elicitations: &[Elicitation]) -> Option<RpcError> {
    let urls = elicitations
        .iter()
        .filter(|elicitation| matches!(elicitation, Elicitation::Url { .. }));
    let described: Vec<_> = urls
        .filter_map(|url| serde_json::to_value(url.for_version(version)).ok())
        .collect();
    let can = version == ProtocolVersion::V2025_11_25 && !described.is_empty();
    can.then(|| {
        let message = "the user has to visit a page first";
        RpcError::new(ErrorCode::UrlElicitationRequired, message)
            .with_data(json!({"elicitations": described}))
    })
}
