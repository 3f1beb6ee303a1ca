//! Ports in memory: for tests, demos, and the bus of a single process.
//!
//! Everything here has a bound and forgets at it, and everything is gone with the process. The log and
//! the session store are for trying out; the bus is what `forgewire run` uses when all roles are in one
//! process.

mod bus;
mod event_log;
mod mailbox;
mod session_lock;
mod session_store;
mod task_store;

pub use bus::InProcessBus;
pub use event_log::MemoryEventLog;
pub use session_store::MemorySessionStore;
