//! The forgewire binary: roles, configuration, adapter choice, command line.

mod backends;
mod check;
mod cli;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod listeners;
mod retention;
mod roles;
mod run;
mod stdio;
mod tokens;

use std::process::ExitCode;

/// What the binary does, from reading the command line to its exit code. A library's function,
/// because there are two binaries of it: `forgewire`, and `forgewire-conformance` with the fixtures
/// of the conformance suite, which must not take the other's place.
#[must_use]
pub fn main() -> ExitCode {
    cli::main()
}
