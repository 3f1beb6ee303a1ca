//! The forgewire binary: roles, configuration, adapter choice, command line.

mod backends;
mod cli;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod roles;
mod run;
mod stdio;
mod tokens;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
