//! Answers of the sync role, kept in an edge.
//!
//! An entry is valid as long as nothing that happened since its reading began could change it, and it is given only to a
//! caller of whom the edge knows that it has followed the log to the end that the log had when the call began. So every
//! clause of `ResourceReader` and `MirrorReads` holds over the cache as it does without (ADR 001).
//!
//! | module | idea |
//! | --- | --- |
//! | `changes` | the moment at which each name, id and resource changed last |
//! | `dependencies` | what an answer depends on |
//! | `entries` | keys, answers and their sizes |
//! | `followed` | how far the edge has followed the log, and what changed on the way |
//! | `shared_calls` | one call for all who ask for the same thing at the same time |
//! | [`cache`] | the door: reads through the cache |
//! | [`metrics`] | what it holds, and how often it answers |
//!
//! Deliberately absent: callers. An entry is what the sync role answers, whoever asks; who may see it is decided after it.

pub mod cache;
mod changes;
mod dependencies;
mod entries;
mod followed;
pub mod limits;
pub mod metrics;
mod shared_calls;
