//! The forgewire binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    give_memory_back();
    forgewire::main()
}

/// Lets the allocator give the memory of large bodies back when they are freed: see ADR 004.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the only interface of these settings; ADR 004")]
fn give_memory_back() {
    const LARGE_BYTES: i32 = 128 << 10;
    const HEAPS: i32 = 2;
    // SAFETY: called before there is another thread, with values that mallopt(3) allows. One that is refused leaves
    // the default.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE_BYTES);
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
    }
}

/// Other systems have other allocators.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_memory_back() {}
