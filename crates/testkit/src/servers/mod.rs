//! Single NATS and Redis servers on free ports, for contract suites: the real servers from Debian's
//! packages, each with its own folder.
//!
//! Everything here blocks (a start takes a few hundredths of a second, up to [`START_DEADLINE`])
//! and needs no runtime, so that a server can outlive the runtime of one test.

mod nats_server;
mod redis;
mod server_process;

use std::{path::PathBuf, time::Duration};

pub use nats_server::NatsServer;
pub use redis::RedisServer;

/// Time allowed for a server to start answering.
pub const START_DEADLINE: Duration = Duration::from_secs(10);

/// Reasons why a server is not running.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program is not installed.
    #[error(
        "`{program}` is not installed; run `make setup`, or as root \
         `apt-get install nats-server redis-server`"
    )]
    NotInstalled {
        /// Name of the program.
        program: &'static str,
    },
    /// The operating system refused an operation.
    #[error("cannot {what}")]
    System {
        /// The operation that failed.
        what: &'static str,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The server ended, or it does not answer.
    #[error(
        "`{program}` does not answer within {} s; the end of its log:\n{log}",
        START_DEADLINE.as_secs()
    )]
    Silent {
        /// Name of the program.
        program: &'static str,
        /// The last lines of its log.
        log: String,
    },
    /// A server that was killed has no process to signal.
    #[error("the server is not running (its files: {folder})")]
    NotRunning {
        /// Folder of its data.
        folder: PathBuf,
    },
}
