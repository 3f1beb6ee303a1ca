//! A short abuse of every surface, so that the long one (`make abuse`) is known to work. Speed is not judged.

use std::{
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// One system at a time: two would only measure each other.
static TURN: Mutex<()> = Mutex::new(());

/// Attacks, and gives the report of the one topology.
fn abuse(topology: &str, more: &[&str]) -> Result<Value> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut arguments = vec!["--streams", "40", "--max-ratio", "0", "--json"];
    arguments.extend(["--events-per-second", "25"]);
    if !more.contains(&"--force-percent") {
        arguments.extend(["--force-percent", "25"]);
    }
    // Few of them: a debug build takes a second for each.
    arguments.extend(["--large-events", "4", "--topology", topology]);
    arguments.extend(more);
    let output = Command::new(env!("CARGO_BIN_EXE_abuse"))
        .args(arguments)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{errors}\n{text}");
    let report: Value = serde_json::from_str(&text)?;
    Ok(report["topologies"][0].clone())
}

#[test]
fn every_surface_is_attacked_and_honest_streams_miss_nothing() -> Result<()> {
    let report = abuse("embedded", &["--seconds", "2"])?;
    let figure =
        |value: &Value, path: &str| value.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    ensure!(figure(&report, "/acknowledged") > 500, "{report}");
    let attacks = report["attacks"].as_array().context("a list of attacks")?;
    // Eleven surfaces without the bus; three have no permitted client.
    ensure!(attacks.len() == 19, "{} attacks", attacks.len());
    for attack in attacks {
        // The run must have had load: a quiet one would prove nothing.
        ensure!(figure(attack, "/honest/events/count") > 20, "{attack}");
        let attackers = attack["attackers"].as_object().context("attackers")?;
        let attempts = attackers.values().map(|tally| figure(tally, "/attempts"));
        ensure!(attempts.sum::<u64>() > 0, "{attack}");
    }
    Ok(())
}

#[test]
fn in_a_cluster_strangers_on_the_bus_and_at_sync_are_not_believed() -> Result<()> {
    let only = ["--surface", "bus", "--surface", "sync", "--seconds", "4"];
    let report = abuse("cluster", &only)?;
    let attacks = report["attacks"].as_array().context("a list of attacks")?;
    ensure!(attacks.len() == 2, "{report}");
    for attack in attacks {
        let counted = attack["counters"].as_object().context("counters")?;
        let refused = |name: &String| name.starts_with("roles_refused");
        ensure!(counted.keys().any(refused), "{attack}");
    }
    Ok(())
}

/// An allocator may keep what was freed; the bounds of memory are about what the process takes.
#[test]
fn an_ingest_gives_the_memory_of_large_bodies_back() -> Result<()> {
    let only = ["--surface", "ingest", "--side", "stranger"];
    let large = ["withheld-bodies", "largest-unsigned"].map(|name| ["--attacker", name]);
    // Long enough for each of them to have a turn on a busy machine.
    let all_of_them = ["--force-percent", "100", "--seconds", "20"];
    let report = abuse(
        "cluster",
        &[&only, &large.concat()[..], &all_of_them].concat(),
    )?;
    let attackers = &report["attacks"][0]["attackers"];
    for name in ["withheld-bodies", "largest-unsigned"] {
        let attempts = attackers[name]["attempts"].as_u64().unwrap_or(0);
        ensure!(attempts > 0, "{attackers}");
    }
    Ok(())
}
