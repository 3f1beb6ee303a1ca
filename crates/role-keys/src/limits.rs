//! Every bound of stamps and keys, with its unit and the reason for its value.

use std::time::Duration;

/// Maximum number of keys: a rotation needs two, and two rotations at once three.
pub const MAX_KEYS: usize = 4;
/// Minimum length of a key, in characters; shorter text is a password.
pub const MIN_KEY_CHARACTERS: usize = 32;
/// Maximum length of a key, in characters: far above what a generator prints.
pub const MAX_KEY_CHARACTERS: usize = 1024;
/// Maximum size of a key file, in bytes: the longest key with white space around it.
pub const MAX_KEY_FILE_BYTES: u64 = 4096;

/// Maximum difference between the time in a stamp and the receiver's clock, for messages and calls. It
/// covers the way, a queue of a busy receiver, and clocks that nobody has looked at for a while.
pub const STAMP_WINDOW: Duration = Duration::from_secs(60);
/// Maximum length of the text of a stamp, in bytes; the longest that is written has 92.
pub const MAX_STAMP_BYTES: usize = 128;
/// Shortest time between two lines of the log about refusals for one reason, and the time for which `/health`
/// shows one: twice as long as the longest interval between two messages of an edge.
pub const REFUSAL_INTERVAL: Duration = Duration::from_secs(60);
/// Number of stamps that one receiver remembers, so that a recorded message does not count twice; about
/// 2 MiB when it is full. Beyond it the oldest is forgotten, and only its time protects from a repetition:
/// at 500 messages a second the memory reaches further than the window.
pub const REMEMBERED_STAMPS: usize = 64 * 1024;
