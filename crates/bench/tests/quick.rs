//! The measurements run, and their checks of the answers hold. Their figures mean nothing here.

#![allow(clippy::unwrap_used, reason = "a test panics where something is wrong")]

use std::process::Command;

use testkit::cluster::forgewire_binary;

/// Those that compare every answer with the expected one.
const MEASUREMENTS: [&str; 5] = ["calls", "deliveries", "sessions", "waits", "model-latency"];

#[test]
fn measurements_that_check_answers_find_them_right() {
    let results = tempfile::tempdir().unwrap();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.env("FORGEWIRE_BIN", forgewire_binary().unwrap());
    bench.args(["--quick", "--topology", "embedded", "--results"]);
    bench.arg(results.path());
    for name in MEASUREMENTS {
        bench.args(["--only", name]);
    }
    let output = bench.output().unwrap();
    let (out, errors) = (output.stdout, output.stderr);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&errors), text(&out));
}
