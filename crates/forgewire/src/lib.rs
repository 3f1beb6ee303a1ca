//! The forgewire binary: roles, configuration, adapter choice, command line.

mod backends;
mod bounded_number;
mod check;
mod cli;
#[cfg(any(feature = "stdio", feature = "watch"))]
mod client_token;
mod config;
mod demo;
mod effects;
mod listeners;
mod metrics_page;
mod openapi;
mod relay;
mod retention;
mod roles;
mod run;
mod shared_log;
mod stdio;
mod sync_gaps;
mod sync_health;
mod sync_status;
mod telemetry;
mod tokens;
mod toolsets;
mod trust;
mod watch;

use std::process::ExitCode;

pub use toolsets::{MakeToolsets, ToolsetDeps};

/// Runs the binary, from its command line to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    main_with(toolsets::none)
}

/// As [`main`], with toolsets from outside the product, for a binary of its own; the fixtures of the
/// conformance suite are one.
#[must_use]
pub fn main_with(toolsets: MakeToolsets) -> ExitCode {
    cli::main(toolsets)
}
