//! What lies between stores of bytes and those who use them. Names no driver.
//!
//! [`StoredLog`] is the event log over any [`ports::LogStore`]: the only place where an event becomes the bytes of
//! an entry and back, and where an entry that is no event is counted and skipped.

mod stored_log;
mod undecodable;

pub use stored_log::StoredLog;
pub use undecodable::PageEntries;
