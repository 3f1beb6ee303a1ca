//! The reasons for which the relay ends, and those for which it tries again.

use std::{path::PathBuf, time::Duration};

use model::{Classified, ErrorClass};

/// The relay cannot go on: the text names the fix, and shows no secret.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// A value that has no meaning.
    #[error("{name}: {reason}")]
    Option {
        /// The flag, variable or key.
        name: &'static str,
        /// The problem, and the fix.
        reason: String,
    },
    /// The system's certificates cannot be read.
    #[error("the certificates of this system cannot be read")]
    Certificates(#[source] std::io::Error),
    /// The file with the cursor cannot be read or written.
    #[error("the file {} with the last relayed delivery cannot be {action}", path.display())]
    Cursor {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        action: &'static str,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The file with the cursor holds none.
    #[error(
        "the file {} does not hold the last relayed delivery ({reason}): remove it to begin with what comes from now \
         on, or, with --from-beginning, with all that GitHub still lists; what the ingest already has stays one event",
        path.display()
    )]
    DamagedCursor {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// GitHub does not accept the token.
    #[error(
        "GitHub refuses the token (401): set GITHUB_TOKEN, github.token or github.token_file to a valid one"
    )]
    TokenRefused,
    /// GitHub wants a token.
    #[error(
        "GitHub wants a token (401): set GITHUB_TOKEN, github.token or github.token_file to one with the scope \
         admin:repo_hook, or read access to webhooks"
    )]
    TokenMissing,
    /// The token may not read the deliveries.
    #[error(
        "the token may not read the deliveries of {what} ({status}, {said}): it needs the scope admin:repo_hook, or \
         read access to webhooks; an organization may have to approve it"
    )]
    Forbidden {
        /// The repository.
        what: String,
        /// The status.
        status: u16,
        /// GitHub's own words.
        said: String,
    },
    /// There is no such repository or webhook, or the token cannot see it.
    #[error(
        "GitHub knows no {what}, or the token may not see it (404): check --repository and --hook, and that GITHUB_TOKEN, \
         github.token or github.token_file has access to the repository"
    )]
    Missing {
        /// The repository or webhook.
        what: String,
    },
    /// There is no such repository or webhook, or a token is needed.
    #[error(
        "GitHub knows no {what}, or wants a token for it (404): check --repository and --hook, and set GITHUB_TOKEN, \
         github.token or github.token_file"
    )]
    MissingWithoutToken {
        /// The repository or webhook.
        what: String,
    },
    /// GitHub gives the repository up for good.
    #[error("GitHub no longer gives the deliveries of {what} ({status}, {said})")]
    Gone {
        /// The repository.
        what: String,
        /// The status.
        status: u16,
        /// GitHub's own words.
        said: String,
    },
    /// The API sends the relay elsewhere.
    #[error(
        "GitHub answers {status} for {what} and names {target}, {problem}: give --repository the present name of the \
         repository, and github.api_url the URL of the API itself"
    )]
    Moved {
        /// The repository.
        what: String,
        /// The status.
        status: u16,
        /// Where the answer leads.
        target: String,
        /// Why it is not followed.
        problem: &'static str,
    },
    /// The repository has several webhooks.
    #[error("{repository} has {count} webhooks ({list}): name one with --hook")]
    WhichHook {
        /// The repository.
        repository: String,
        /// The number of webhooks.
        count: usize,
        /// Their ids.
        list: String,
    },
    /// The repository has no webhook.
    #[error(
        "{repository} has no webhook: make one on GitHub, with any URL, for the events that you want"
    )]
    NoHook {
        /// The repository.
        repository: String,
    },
    /// The ingest does not know the secret of the relay.
    #[error(
        "the ingest at {ingest} refuses the signature of the relay: give both the same \
         ingest.webhook_secrets (WEBHOOK_SECRET)"
    )]
    SecretRefused {
        /// The URL of the ingest.
        ingest: String,
    },
    /// What answers at the address is no ingest.
    #[error(
        "POST {ingest} is answered with {status}: no ingest is there; --to is the base URL of the ingest role \
         (ingest.listen, by default http://127.0.0.1:3001), and not that of the edge"
    )]
    NoIngest {
        /// The URL of the ingest.
        ingest: String,
        /// The status.
        status: u16,
    },
    /// The channel ends every attempt with this status.
    #[error("{url} answers {status}, and not with a stream of events: is it the URL of a channel?")]
    NoChannel {
        /// The URL.
        url: String,
        /// The status.
        status: u16,
    },
}

impl Classified for RelayError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// Why an attempt has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayFailure {
    /// Another attempt would fail in the same way.
    #[error(transparent)]
    Final(#[from] RelayError),
    /// No answer, or one that says nothing about the next attempt.
    #[error("{what}")]
    Passing {
        /// What has failed.
        what: String,
        /// The time to wait, if the server says it.
        wait: Option<Duration>,
    },
    /// A rate limit.
    #[error("{what}")]
    Limited {
        /// What the server said.
        what: String,
        /// The time to wait, if the server says it.
        wait: Option<Duration>,
    },
    /// An answer that makes no sense, and will not the next time.
    #[error("{what}")]
    Unreadable {
        /// What is wrong with it.
        what: String,
    },
}

impl RelayFailure {
    pub(crate) fn passing(what: impl Into<String>) -> Self {
        Self::Passing {
            what: what.into(),
            wait: None,
        }
    }

    /// Whether GitHub says that there is no such thing, or hides it.
    pub(crate) const fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::Final(
                RelayError::Missing { .. }
                    | RelayError::MissingWithoutToken { .. }
                    | RelayError::Gone { .. }
            )
        )
    }

    pub(crate) fn unreadable(what: impl Into<String>) -> Self {
        Self::Unreadable { what: what.into() }
    }
}
