//! Why a place is not compared with GitHub.

use event_flow::record::AppendError;
use github::GithubError;
use model::{Classified, ErrorClass};
use ports::{EventLogError, RecordsError};

/// A failure of a comparison.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompareError {
    /// GitHub does not give what is needed.
    #[error(transparent)]
    Github(#[from] GithubError),
    /// The store of the mirror cannot be used.
    #[error("the store of the mirror cannot be used: {0}")]
    Records(#[from] RecordsError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] EventLogError),
    /// The log does not take an event.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log is not read as far as it goes.
    #[error("the event log is not read to its end in time")]
    Behind,
    /// GitHub's object names no owner or no id.
    #[error("GitHub's answer for the repository names no owner or has no id: check github.api_url")]
    NoPlace,
    /// An organization without a repository.
    #[error(
        "it has no repository, or none that the credentials may see: its projects are read when it has one"
    )]
    NoRepository,
    /// Another replica has compared it meanwhile.
    #[error("another replica has compared it meanwhile")]
    TurnLost,
    /// What is left of GitHub's limit is left to others.
    #[error(
        "what is left of GitHub's rate limit is left to others: it is compared when the limit begins anew"
    )]
    BudgetLow,
    /// What is known cannot be written.
    #[error("what is known of it cannot be written")]
    Encoding(#[source] serde_json::Error),
}

impl CompareError {
    /// Whether GitHub's limit, or the part of it that is left to others, has no room now.
    pub(super) const fn is_of_limit(&self) -> bool {
        matches!(
            self,
            Self::BudgetLow
                | Self::Github(GithubError::RateLimited { .. } | GithubError::Budget(_))
        )
    }

    /// Whether the next request fails as well, whatever it is for: a limit, the credentials, or an open circuit breaker.
    pub(super) const fn is_of_all(&self) -> bool {
        self.is_of_limit()
            || matches!(
                self,
                Self::Github(
                    GithubError::Unauthorized { .. }
                        | GithubError::NotInstalled { .. }
                        | GithubError::Secret(_)
                        | GithubError::BreakerOpen { .. }
                )
            )
    }

    /// Whether GitHub does not answer, which may be otherwise at the next request.
    pub(super) const fn is_of_outage(&self) -> bool {
        matches!(
            self,
            Self::Github(GithubError::Unavailable { .. } | GithubError::BreakerOpen { .. })
        )
    }

    /// Whether it concerns one list alone: the others of the place can be read all the same.
    pub(super) const fn is_of_list(&self) -> bool {
        matches!(
            self,
            Self::Github(
                GithubError::Forbidden { .. }
                    | GithubError::NotFound { .. }
                    | GithubError::Gone { .. }
                    | GithubError::Refused { .. }
                    | GithubError::Malformed { .. }
                    | GithubError::TooLarge { .. }
                    | GithubError::Endless { .. }
            )
        )
    }
}

impl Classified for CompareError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Github(error) => error.class(),
            Self::Records(error) => error.class(),
            Self::Log(error) => error.class(),
            Self::Append(error) => error.class(),
            Self::Behind | Self::TurnLost => ErrorClass::Transient,
            Self::BudgetLow => ErrorClass::Overloaded,
            Self::NoRepository => ErrorClass::Missing,
            Self::NoPlace | Self::Encoding(_) => ErrorClass::Permanent,
        }
    }
}
