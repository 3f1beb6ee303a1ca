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

/// Runs the binary, from its command line to its exit code. It is a library function because two
/// binaries share it: `forgewire`, and `forgewire-conformance` with the fixtures of the conformance
/// suite, which must not replace the first.
#[must_use]
pub fn main() -> ExitCode {
    cli::main()
}
