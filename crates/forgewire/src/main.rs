//! The forgewire binary.

use std::process::ExitCode;

/// Much faster than the system's where many small blocks come and go, and gives memory back: see ADR 005.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Settings that the allocator reads before `main` begins: few heaps, blocks of 128 KiB and more go back to the system at once
/// (`oversize_threshold`), and so does within a second what else is free.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(
    unsafe_code,
    reason = "the name by which the allocator finds its settings, which no other symbol has; ADR 005"
)]
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_SETTINGS: &[u8; 73] =
    b"narenas:2,oversize_threshold:131072,dirty_decay_ms:1000,muzzy_decay_ms:0\0";

fn main() -> ExitCode {
    forgewire::main()
}
