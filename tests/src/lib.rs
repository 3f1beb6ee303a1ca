//! Shared parts of the whole-system scenarios: readers that behave like agents, and one system at a
//! time; the soak, the rollout and the abuse.

pub mod abuse;
mod bridge;
mod failure_modes;
mod forgery;
mod newer_ingest;
mod raw_log;
mod raw_sessions;
mod reader;
mod report;
mod retention;
pub mod rollout;
pub mod soak;
mod systems;
mod watch;

pub use bridge::BridgeProcess;
pub use failure_modes::{
    FailingRole, FailureKind, FailureMode, FailureTopology, failure_modes, failure_modes_page,
};
pub use forgery::ForgedRole;
pub use newer_ingest::{NEWER_KIND, append_newer_events, newer_event};
pub use raw_log::{delete_stream, plant_undecodable_entry, plant_undecodable_event};
pub use raw_sessions::plant_unreadable_session;
pub use reader::{EventReader, ReaderKind};
pub use report::print_report;
pub use retention::{remove_all_events, remove_events_before};
pub use systems::{
    both, both_and_kept_sockets, both_at_once, both_with, every_node_is_ready, log_lines, only,
    settle, until,
};
pub use watch::{WatchProcess, event_id};
