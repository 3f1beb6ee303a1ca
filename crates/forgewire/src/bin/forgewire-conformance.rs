//! The forgewire binary with the fixtures of the official MCP conformance suite, for `make conformance`.
//! Its own name keeps it from replacing the real binary in the target folder.

use std::process::ExitCode;

fn main() -> ExitCode {
    forgewire::main()
}
