//! Gap repair against a GitHub that listens: what it did, and not what it sent, is what the log has in the end.

mod lists;
mod refusals;
mod sweeping;
mod turns;
mod world;
