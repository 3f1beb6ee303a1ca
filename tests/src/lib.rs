//! Shared parts of the whole-system scenarios: readers that behave like agents, and one system at a
//! time; and the soak.

mod bridge;
mod newer_ingest;
mod raw_log;
mod reader;
pub mod soak;
mod systems;

pub use bridge::BridgeProcess;
pub use newer_ingest::{NEWER_KIND, append_newer_events};
pub use raw_log::{delete_stream, plant_undecodable_entry};
pub use reader::{EventReader, ReaderKind};
pub use systems::{both, both_and_kept_sockets, both_with, log_lines, settle, until};
