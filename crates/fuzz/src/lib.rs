//! Fuzz targets for everything that parses input from outside: requests, event streams, lines,
//! cursors, sealed states, messages of the bus, filters, URIs, the parameters of REST and GitHub's payloads.
//!
//! A target is a plain function that takes bytes, returns nothing, and panics when a property is
//! violated. Every target checks properties beyond "does not panic". The same functions run under
//! two engines:
//!
//! - `cargo test -p fuzz` and CI: all seeds, then random mutations of them ([`engine`]); no compiler
//!   flags, a second by default. `FUZZ_SECONDS=30` runs each target that long with a new seed.
//! - `make fuzz`: libFuzzer with coverage, on the pinned stable toolchain: the instrumentation is
//!   LLVM's own (`-Cpasses=sancov-module`), so no nightly is needed. Address sanitizer is, and we go
//!   without: none of our code has `unsafe`.
//!
//! [`client`] is no target but a client: it mutates whole requests, which a test and `make fuzz` send to a
//! running server.
//!
//! Seeds are in `seeds/<target>/`, one file each, as small as possible, and text where the format
//! is text. An input that violated a property becomes a seed once the bug is fixed.

pub mod client;
pub mod engine;
mod json;
mod random;
mod targets;

/// One entry point.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also the name of its folder of seeds.
    pub name: &'static str,
    /// Takes any bytes; panics if a property is violated.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 12] = [
    target("dispatch", targets::dispatch::run),
    target("envelope", targets::envelope::run),
    target("lines", targets::lines::run),
    target("sse", targets::sse::run),
    target("header", targets::header::run),
    target("cursor", targets::cursor::run),
    target("state", targets::state::run),
    target("bus", targets::bus::run),
    target("filter", targets::filter::run),
    target("uri", targets::uri::run),
    target("rest", targets::rest::run),
    target("payload", targets::payload::run),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}
