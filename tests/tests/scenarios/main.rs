//! Whole-system scenarios: each guarantee on both topologies, embedded and as a cluster of real
//! processes.

mod builds;
mod delivery;
mod descriptors;
mod faults;
mod handover;
mod hostile;
mod log;
mod messages;
mod operations;
mod sending;
mod sessions;
mod set_back;
mod stdio;
mod storms;
