//! Why the deliveries of a place cannot be looked at.

use event_flow::record::AppendError;
use github::GithubError;
use model::{Classified, ErrorClass};
use ports::EventLogError;

/// A failure of a sweep.
#[derive(Debug, thiserror::Error)]
pub(super) enum GapError {
    /// GitHub does not give what is needed.
    #[error(transparent)]
    Github(#[from] GithubError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] EventLogError),
    /// The log does not take an event.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// No webhook of the place is ours.
    #[error(
        "no webhook of {place} sends here: create one, set sync.webhook_url to the URL that it sends to, or leave {place} out of \
         sync.repositories or sync.organizations"
    )]
    NoWebhook {
        /// The place.
        place: String,
    },
}

impl Classified for GapError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Github(error) => error.class(),
            Self::Log(error) => error.class(),
            Self::Append(error) => error.class(),
            Self::NoWebhook { .. } => ErrorClass::Missing,
        }
    }
}
