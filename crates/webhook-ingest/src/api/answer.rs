//! The answers to the sender.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use model::EventId;
use serde::Serialize;

use github_events::Skip;

use crate::{error::DeliveryRefusal, sources::SourceConduct};

/// The answer to one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeliveryAnswer {
    /// 202: these events are durable now.
    Accepted(Vec<EventId>),
    /// 200: these events were durable before.
    Deduplicated(Vec<EventId>),
    /// 202: valid, but there is nothing to store.
    Skipped(Skip),
    /// An error, as a problem document.
    Refused(DeliveryRefusal),
}

impl DeliveryAnswer {
    /// The metric label and log field; one of a fixed set.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Deduplicated(_) => "deduplicated",
            Self::Skipped(_) => "skipped",
            Self::Refused(refusal) => refusal.code(),
        }
    }

    /// What it says about the sender of the delivery.
    pub(crate) const fn conduct(&self) -> SourceConduct {
        match self {
            Self::Accepted(_) | Self::Deduplicated(_) | Self::Skipped(_) => SourceConduct::Signed,
            Self::Refused(refusal) => refusal.conduct(),
        }
    }

    /// The number of events that the delivery has in the log.
    pub(crate) fn events(&self) -> usize {
        match self {
            Self::Accepted(events) | Self::Deduplicated(events) => events.len(),
            Self::Skipped(_) | Self::Refused(_) => 0,
        }
    }

    /// The reason why there are no events.
    pub(crate) fn reason(&self) -> Option<String> {
        match self {
            Self::Accepted(_) | Self::Deduplicated(_) => None,
            Self::Skipped(skip) => Some(skip.to_string()),
            Self::Refused(refusal) => Some(refusal.to_string()),
        }
    }
}

/// The body of an answer that is no error.
#[derive(Default, Serialize)]
struct AnswerBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deduplicated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<EventId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl IntoResponse for DeliveryAnswer {
    fn into_response(self) -> Response {
        let mut body = AnswerBody::default();
        let status = match self {
            Self::Accepted(events) => {
                (body.accepted, body.events) = (Some(true), Some(events));
                StatusCode::ACCEPTED
            }
            Self::Deduplicated(events) => {
                (body.deduplicated, body.events) = (Some(true), Some(events));
                StatusCode::OK
            }
            Self::Skipped(skip) => {
                (body.skipped, body.reason) = (Some(true), Some(skip.to_string()));
                StatusCode::ACCEPTED
            }
            Self::Refused(refusal) => return refusal.into_response(),
        };
        (status, Json(body)).into_response()
    }
}
