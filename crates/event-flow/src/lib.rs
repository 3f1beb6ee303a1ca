//! The log and the bus together: what every role that writes, follows or asks for events shares.
//!
//! | module | idea |
//! | --- | --- |
//! | [`record`] | append, then hint |
//! | [`follow`] | hints, pages and a slow poll in; ordered, gap-free events out |
//! | [`query`] | questions to the log, with bounded work |
//! | [`history`] | the same questions as one principal may ask them: the one door to past events |
//! | [`matching`] | which of many filters an event may concern, without a look at each |
//! | [`raw_events`] | events of the log as JSON that is passed on unparsed |
//!
//! What is deliberately absent: MCP, HTTP, and any adapter.

pub mod follow;
pub mod history;
pub mod limits;
pub mod matching;
pub mod query;
pub mod raw_events;
pub mod record;
