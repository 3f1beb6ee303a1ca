//! Whole-system scenarios: each guarantee on both topologies, embedded and as a cluster of real
//! processes.

mod builds;
mod clocks;
mod database_file;
mod delivery;
mod descriptors;
mod faults;
mod full_disk;
mod handover;
mod hanging;
mod hostile;
mod log;
mod log_set_back;
mod lost_server;
mod messages;
mod operations;
mod readiness;
mod reads;
mod retention;
mod sending;
mod session_set_back;
mod sessions;
mod start_order;
mod stdio;
mod storms;
mod together;
