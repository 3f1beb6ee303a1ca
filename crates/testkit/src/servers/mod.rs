//! Single NATS and Redis servers on free ports, for contract suites: the real thing, from Debian's
//! packages, each with a folder of its own.
//!
//! Everything here blocks (starting takes a few hundredths of a second, at most [`START_DEADLINE`])
//! and needs no runtime, so that a server can outlive the runtime of one test.

mod guarded;
mod nats_server;
mod redis;

use std::{path::PathBuf, time::Duration};

pub use nats_server::NatsServer;
pub use redis::Redis;

/// How long a server may take until it answers.
pub const START_DEADLINE: Duration = Duration::from_secs(10);

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program is not installed.
    #[error(
        "`{program}` is not installed; run `make setup`, or as root \
         `apt-get install nats-server redis-server`"
    )]
    NotInstalled {
        /// Its name.
        program: &'static str,
    },
    /// The operating system refused something.
    #[error("cannot {what}")]
    System {
        /// What we were doing.
        what: &'static str,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// It ended, or it does not answer.
    #[error(
        "`{program}` does not answer within {} s; the end of its log:\n{log}",
        START_DEADLINE.as_secs()
    )]
    Silent {
        /// Its name.
        program: &'static str,
        /// The last lines that it wrote.
        log: String,
    },
    /// A server that was killed has no process to signal.
    #[error("the server does not run (its files: {folder})")]
    NotRunning {
        /// Where its data is.
        folder: PathBuf,
    },
}
