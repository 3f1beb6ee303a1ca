//! A short soak, so that the long one (`make soak`) is known to work.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;

#[test]
fn a_short_soak_with_kills_churn_and_hostile_clients_balances() -> Result<()> {
    let mut arguments = vec!["--seconds", "20", "--streams", "300", "--json"];
    arguments.extend(["--kill-every-seconds", "7", "--heartbeat-seconds", "3"]);
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(arguments)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{errors}\n{text}");
    let report: Value = serde_json::from_str(&text)?;
    let figure = |path: &str| report.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    // The run must have had load: a quiet run would prove nothing.
    for (path, least) in [
        ("/acknowledged", 500),
        ("/kills", 2),
        ("/streams/events", 2000),
        ("/streams/updates", 10),
        ("/streams/churned", 300),
        ("/streams/resumed", 50),
        ("/hostile/never_reads/connections", 1),
        ("/hostile/opens_and_resets/connections", 20),
    ] {
        ensure!(figure(path) >= least, "{path} is {}:\n{text}", figure(path));
    }
    Ok(())
}
