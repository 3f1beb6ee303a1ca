//! Fuzz targets for everything that reads what strangers send: requests, event streams, lines,
//! cursors, sealed states, messages of the bus.
//!
//! A target is a plain function from bytes to nothing that panics when a promise is broken, and
//! every one has promises beyond "does not panic". The same functions run under two engines:
//!
//! - `cargo test -p fuzz` and CI: all seeds, then random mutations of them ([`engine`]); no compiler
//!   flags, a second by default. `FUZZ_SECONDS=30` runs each target that long with a new seed.
//! - `make fuzz`: libFuzzer with coverage, on the pinned stable toolchain: the instrumentation is
//!   LLVM's own (`-Cpasses=sancov-module`), so no nightly is needed. Address sanitizer is, and we go
//!   without: none of our code has `unsafe`.
//!
//! Seeds are in `seeds/<target>/`, a file each, as small as they can be, and text where the format
//! is text. An input that broke a promise becomes a seed when it is fixed.

pub mod engine;
mod json;
mod targets;

/// One entry point.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: also that of its folder of seeds.
    pub name: &'static str,
    /// Takes any bytes; panics if a promise is broken.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 8] = [
    target("dispatch", targets::dispatch::run),
    target("envelope", targets::envelope::run),
    target("lines", targets::lines::run),
    target("sse", targets::sse::run),
    target("header", targets::header::run),
    target("cursor", targets::cursor::run),
    target("state", targets::state::run),
    target("bus", targets::bus::run),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}
