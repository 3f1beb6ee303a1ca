//! One target under libFuzzer, selected by `FUZZ_TARGET`. `deploy/fuzz.sh` builds and runs it.

#![no_main]
#![allow(
    unsafe_code,
    missing_docs,
    reason = "libFuzzer calls a C function, which the macro defines"
)]

use std::sync::LazyLock;

use fuzz::{TARGETS, Target};

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let target = TARGETS.iter().find(|target| target.name == name);
    *target.unwrap_or_else(|| panic!("FUZZ_TARGET must be one of {TARGETS:?}"))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (CHOSEN.run)(data));
