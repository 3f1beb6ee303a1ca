//! What the whole-system scenarios share: readers that behave like agents, and one system at a time.

mod bridge;
mod reader;
mod systems;

pub use bridge::Bridge;
pub use reader::{Reader, ReaderKind};
pub use systems::{both, both_and_kept_sockets, both_with, log_lines, settle, until};
