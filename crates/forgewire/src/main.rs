//! The forgewire binary.

use std::process::ExitCode;

/// See ADR 004: the allocator of glibc keeps the memory of large bodies.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    forgewire::main()
}
