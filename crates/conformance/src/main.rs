//! The forgewire binary with the fixtures of the official MCP conformance suite, for `make conformance`.

use std::process::ExitCode;

fn main() -> ExitCode {
    forgewire::main_with(|deps| vec![conformance::toolset(&deps.bus)])
}
