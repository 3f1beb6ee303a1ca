//! The forgewire binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    forgewire::main()
}
