//! In-memory implementations of the ports: for tests, demos, and the bus of a single process.
//!
//! Everything here is bounded, drops its oldest data or refuses writes at the bound, and is lost
//! when the process ends. The log and the store are for trying Forgewire out; the bus is
//! what `forgewire run` uses when all roles run in one process.

mod budget;
mod budget_bucket;
mod bus;
mod lease_table;
mod leases;
mod log_store;
mod mail_accounts;
mod mailbox;
mod mailbox_state;
mod mailbox_table;
mod record_table;
mod records;
mod store;

pub use budget::MemoryBudget;
pub use bus::InProcessBus;
pub use log_store::MemoryLogStore;
pub use store::{MemorySessionStore, SavedSessions};
