//! The reasons for which the watch ends, and those for which it tries again.

use std::{path::PathBuf, time::Duration};

use model::{Classified, ErrorClass};

/// The watch cannot go on: the text names the fix, and shows no secret.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A value that has no meaning.
    #[error("{name}: {reason}")]
    Option {
        /// The flag.
        name: &'static str,
        /// The problem, and the fix.
        reason: String,
    },
    /// The edge refuses the request, for instance a value of the filter.
    #[error("the edge refuses the request ({status}): {detail}")]
    Refused {
        /// The status.
        status: u16,
        /// What the edge says.
        detail: String,
    },
    /// The edge does not accept the token, or there is none.
    #[error(
        "the edge refuses the token ({status}): {detail}; set --token-file or FORGEWIRE_TOKEN to one that may read"
    )]
    Unauthorized {
        /// The status.
        status: u16,
        /// What the edge says.
        detail: String,
    },
    /// The edge does not answer under this name.
    #[error("the edge refuses the host in --url (403): {detail}; use one of its names")]
    HostRefused {
        /// What the edge says.
        detail: String,
    },
    /// A refusal that is not about a token, for instance that of a proxy.
    #[error(
        "the server at --url refuses the request (403), without a word about the token: {detail}"
    )]
    Forbidden {
        /// What it says.
        detail: String,
    },
    /// There is nothing to follow at the URL.
    #[error("{url} answers {answer}: is --url the address of an edge?")]
    NoStream {
        /// The URL.
        url: String,
        /// What it answers.
        answer: String,
    },
    /// There is no such subscription for this token.
    #[error("there is no subscription {id} for this token: make one, or leave --subscription out")]
    NoSubscription {
        /// The id as it was given.
        id: String,
    },
    /// The subscription has reached its end.
    #[error("the stream has ended for good: {reason}; make another subscription")]
    Ended {
        /// What the edge says.
        reason: String,
    },
    /// Another process watches under the name.
    #[error(
        "another watch, or a command that it had started, runs under the name {name}: end it, or give this one a --name \
         of its own"
    )]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The command has failed as often as it may. The event comes again when the watch is started again.
    #[error(
        "--exec: the command has failed {attempts} times for one event, last with {status}; the event is kept and \
         comes again: mend the command and start the watch again"
    )]
    Command {
        /// The number of attempts.
        attempts: u32,
        /// How the last one ended.
        status: String,
    },
    /// The command cannot be started at all.
    #[error("--exec: sh cannot be started")]
    NoShell(#[source] std::io::Error),
    /// The file with the position cannot be used.
    #[error("the file {} with the position cannot be {action}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The error.
        #[source]
        source: std::io::Error,
    },
    /// The lines cannot be written.
    #[error("stdout cannot be written")]
    Output(#[source] std::io::Error),
    /// The system's certificates cannot be read.
    #[error("the certificates of this system cannot be read, which https needs")]
    Certificates(#[source] std::io::Error),
}

impl WatchError {
    /// The exit code of the process: 1 failed, 2 refused as it was asked, 3 the token, 4 nothing to follow, 5 the name
    /// is taken, 6 the command.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::State { .. } | Self::Output(_) | Self::Certificates(_) => 1,
            Self::Option { .. } | Self::Refused { .. } => 2,
            Self::Unauthorized { .. } => 3,
            Self::HostRefused { .. }
            | Self::Forbidden { .. }
            | Self::NoStream { .. }
            | Self::NoSubscription { .. }
            | Self::Ended { .. } => 4,
            Self::NameTaken { .. } => 5,
            Self::Command { .. } | Self::NoShell(_) => 6,
        }
    }
}

impl Classified for WatchError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Option { .. }
            | Self::Refused { .. }
            | Self::HostRefused { .. }
            | Self::Forbidden { .. } => ErrorClass::Caller,
            Self::Unauthorized { .. } => ErrorClass::Unauthorized,
            Self::NoStream { .. } | Self::NoSubscription { .. } | Self::Ended { .. } => {
                ErrorClass::Missing
            }
            _ => ErrorClass::Permanent,
        }
    }
}

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchFailure {
    /// Another one would fail in the same way.
    #[error(transparent)]
    Final(#[from] WatchError),
    /// No answer, or one that says nothing about the next attempt.
    #[error("{what}")]
    Passing {
        /// What has failed.
        what: String,
        /// The time to wait, if the server says it.
        wait: Option<Duration>,
    },
    /// The edge has ended the stream, as it does before a restart.
    #[error("the stream has ended")]
    StreamEnd {
        /// The time to wait, if the server says it.
        wait: Option<Duration>,
    },
}

impl WatchFailure {
    pub(crate) fn passing(what: impl Into<String>) -> Self {
        Self::Passing {
            what: what.into(),
            wait: None,
        }
    }
}
