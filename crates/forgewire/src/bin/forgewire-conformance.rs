//! The forgewire binary with the fixtures of the official MCP conformance suite, for `make conformance`.
//! A name of its own: beside the real one in the target folder, never in its place.

use std::process::ExitCode;

fn main() -> ExitCode {
    forgewire::main()
}
