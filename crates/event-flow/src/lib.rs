//! The log and the bus together, for every role that writes, follows or queries events.
//!
//! | module | idea |
//! | --- | --- |
//! | [`record`] | append, then hint |
//! | [`delivery_order`] | which of two deliveries about one resource is GitHub's earlier |
//! | [`follow`] | hints, pages and a slow poll in; ordered, gap-free events out |
//! | [`former_logs`] | what is known of the logs that were followed before |
//! | [`health`] | whether a role can read the log now |
//! | [`query`] | queries over the log, with bounded work |
//! | [`history`] | the same queries on behalf of a principal: the only access to past events for clients |
//! | [`log_end`] | the end of the log, read once for all who ask at the same time |
//! | [`matching`] | finds the filters that an event may match, without scanning all of them |
//! | [`raw_events`] | events of the log as JSON, passed on without parsing |
//! | [`statistics`] | what the log holds, in numbers |
//!
//! Deliberately absent: MCP, HTTP, and any adapter.

pub mod delivery_order;
pub mod follow;
pub mod former_logs;
pub mod health;
pub mod history;
mod limits;
pub mod log_end;
pub mod matching;
pub mod query;
pub mod raw_events;
pub mod record;
pub mod statistics;
