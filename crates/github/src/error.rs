//! Why a call has no answer, and what helps.

use std::time::Duration;

use model::{Classified, ErrorClass};
use ports::StoreFailure;

use crate::{graphql_error::GraphqlFault, secret_file::SecretFault};

/// A call to GitHub that failed. No text shows a token or a key; words of GitHub are cut and on one line.
#[derive(Debug, thiserror::Error)]
pub enum GithubError {
    /// GitHub does not accept the credentials.
    #[error(
        "GitHub refuses the credentials for {what} (401, {said}): set github.token_file, or github.app_id and \
         github.private_key_file, to valid ones; if they are, check the clock of this machine"
    )]
    Unauthorized {
        /// What was asked for.
        what: String,
        /// GitHub's words.
        said: String,
    },
    /// The credentials do not suffice.
    #[error(
        "GitHub does not permit {what} ({said}){needs}: give the token of github.token_file the scope, or the App the \
         permission; an organization may have to approve it"
    )]
    Forbidden {
        /// What was asked for.
        what: String,
        /// GitHub's words.
        said: String,
        /// The permissions that GitHub names, as the rest of a sentence, or nothing.
        needs: String,
    },
    /// It does not exist, or not for these credentials.
    #[error(
        "GitHub knows no {what}, or the credentials may not see it (404): check the name, and that the token of \
         github.token_file or the installation of the App has access to it"
    )]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// The App is not installed there.
    #[error(
        "the App of github.app_id is not installed for {owner}: install it there, or leave {owner} out"
    )]
    NotInstalled {
        /// The user or organization.
        owner: String,
    },
    /// GitHub gives it up for good.
    #[error("GitHub no longer has {what} ({status}, {said})")]
    Gone {
        /// What was asked for.
        what: String,
        /// The status.
        status: u16,
        /// GitHub's words.
        said: String,
    },
    /// The request makes no sense to GitHub.
    #[error(
        "GitHub does not accept the request for {what} ({status}, {said}); if it is an Enterprise Server, try another github.api_version"
    )]
    Refused {
        /// What was asked for.
        what: String,
        /// The status.
        status: u16,
        /// GitHub's words.
        said: String,
    },
    /// A rate limit, for longer than the caller wants to wait.
    #[error(
        "the rate limit of GitHub is used up for {} s: wait, or give github.token_file or the App to fewer programs",
        wait.as_secs()
    )]
    RateLimited {
        /// The time until there is room again, as far as it is known.
        wait: Duration,
    },
    /// No usable answer now.
    #[error("GitHub does not answer the request for {what} ({why})")]
    Unavailable {
        /// What was asked for.
        what: String,
        /// The failure.
        why: String,
    },
    /// The circuit breaker is open.
    #[error("GitHub has failed {failures} times in a row; it is asked again in {} s", wait.as_secs())]
    BreakerOpen {
        /// Failures in a row.
        failures: u32,
        /// The time until the next request.
        wait: Duration,
    },
    /// An answer that is not what GitHub documents.
    #[error(
        "the answer for {what} is not GitHub's ({why}): check github.api_url and github.graphql_url"
    )]
    Malformed {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// An answer beyond the bound.
    #[error("the answer for {what} is larger than {max_bytes} bytes; ask for less")]
    TooLarge {
        /// What was asked for.
        what: String,
        /// The bound.
        max_bytes: usize,
    },
    /// A list without an end.
    #[error("the list of {what} has more than {max_pages} pages, or leads in a circle")]
    Endless {
        /// What was asked for.
        what: String,
        /// The bound.
        max_pages: u32,
    },
    /// The API sends the client elsewhere.
    #[error(
        "GitHub answers the request for {what} with {target}, {problem}: set github.api_url to the URL of the API itself"
    )]
    Moved {
        /// What was asked for.
        what: String,
        /// Where the answer leads.
        target: String,
        /// Why it is not followed.
        problem: &'static str,
    },
    /// The file with the token or key cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretFault),
    /// The shared budget cannot be asked, so nothing is sent.
    #[error("the budget that all replicas share cannot be asked")]
    Budget(#[source] StoreFailure),
    /// A query without data.
    #[error("GitHub refuses the query {what}: {}", .faults.first().map_or("no reason", |fault| &fault.message))]
    Query {
        /// The name of the query.
        what: String,
        /// The reasons.
        faults: Vec<GraphqlFault>,
    },
}

impl Classified for GithubError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unauthorized { .. } | Self::Forbidden { .. } | Self::NotInstalled { .. } => {
                ErrorClass::Unauthorized
            }
            Self::NotFound { .. } | Self::Gone { .. } => ErrorClass::Missing,
            Self::Refused { .. } | Self::Query { .. } => ErrorClass::Caller,
            Self::RateLimited { .. } => ErrorClass::Overloaded,
            Self::Unavailable { .. } | Self::BreakerOpen { .. } => ErrorClass::Transient,
            Self::Malformed { .. }
            | Self::TooLarge { .. }
            | Self::Endless { .. }
            | Self::Moved { .. }
            | Self::Secret(_) => ErrorClass::Permanent,
            Self::Budget(failure) => failure.class(),
        }
    }
}
