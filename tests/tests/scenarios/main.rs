//! Whole-system scenarios: each guarantee on both topologies, embedded and as a cluster of real
//! processes.

mod builds;
mod delivery;
mod descriptors;
mod faults;
mod filters;
mod handover;
mod hostile;
mod log;
mod log_set_back;
mod messages;
mod operations;
mod readiness;
mod retention;
mod sending;
mod session_set_back;
mod sessions;
mod stdio;
mod storms;
