//! Shared parts of the whole-system scenarios: readers that behave like agents, and one system at a
//! time; and the soak.

mod bridge;
mod reader;
pub mod soak;
mod systems;

pub use bridge::Bridge;
pub use reader::{Reader, ReaderKind};
pub use systems::{both, both_and_kept_sockets, both_with, log_lines, settle, until};
