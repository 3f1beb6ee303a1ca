//! Follows `GET /events/stream` of an edge for ever, and prints a line or runs a command for each event.
//!
//! The position is kept in a file per name, and moves only when the line was written or the command has succeeded: an
//! event may come twice after a crash, and none is left out. Where events are gone, that is a line of its own.
//!
//! | module | job |
//! | --- | --- |
//! | `options`, `filter`, `since` | what a user asks for |
//! | `watch` | the loop: connect, take, keep the position, connect again |
//! | `stream` | one connection, and what arrives on it |
//! | `state` | the position in a file, and the lock of a name |
//! | `line` | the lines that stand for no single event |
//! | `facts` | the variables of a command |
//! | `sink`, `command` | where events go |
//! | `pace` | how many lines may come in a minute |
//!
//! Deliberately absent: sessions and MCP, which a line needs none of; a copy of the log.

mod command;
mod error;
mod facts;
mod filter;
mod limits;
mod line;
mod options;
mod pace;
mod since;
mod sink;
mod state;
mod stream;
mod watch;

pub use command::EventCommand;
pub use error::WatchError;
pub use facts::COMMAND_VARIABLES;
pub use filter::WatchFilter;
pub use limits::MAX_NAME_BYTES;
pub use line::{gap_line, more_line};
pub use options::{WatchOptions, WatchOutput};
pub use since::WatchStart;
pub use watch::{WatchEnd, run};
