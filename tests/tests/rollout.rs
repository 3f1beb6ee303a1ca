//! A short rollout, so that the long one (`make rollout`) is known to work.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;

#[test]
fn a_rolling_restart_behind_haproxy_loses_nothing() -> Result<()> {
    let mut arguments = vec!["--rounds", "1", "--balancer", "haproxy", "--json"];
    // Little load: a debug build on a busy machine has to keep up.
    arguments.extend(["--deliveries-per-second", "60"]);
    arguments.extend(["--requests-per-second", "60"]);
    let output = Command::new(env!("CARGO_BIN_EXE_rollout"))
        .args(arguments)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{errors}\n{text}");
    let report: Value = serde_json::from_str(&text)?;
    let figure = |path: &str| report.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    // The run must have had load: a quiet run would prove nothing.
    for (path, least) in [
        ("/balancers/0/restarts", 5),
        ("/balancers/0/streams", 2),
        ("/balancers/0/deliveries/successful", 100),
        ("/balancers/0/requests/successful", 100),
    ] {
        ensure!(figure(path) >= least, "{path} is {}:\n{text}", figure(path));
    }
    Ok(())
}
