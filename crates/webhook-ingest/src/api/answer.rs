//! The answers to the sender.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use model::EventId;
use serde_json::json;

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

impl IntoResponse for DeliveryAnswer {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::Accepted(events) => (
                StatusCode::ACCEPTED,
                json!({"accepted": true, "events": events}),
            ),
            Self::Deduplicated(events) => (
                StatusCode::OK,
                json!({"deduplicated": true, "events": events}),
            ),
            Self::Skipped(skip) => (
                StatusCode::ACCEPTED,
                json!({"skipped": true, "reason": skip.to_string()}),
            ),
            Self::Refused(refusal) => return refusal.into_response(),
        };
        (status, Json(body)).into_response()
    }
}
