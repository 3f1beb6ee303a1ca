//! The rules of the house (ARCHITECTURE.md, "The house"), checked against every manifest and every file:
//! a crate depends only on floors below it, services do not know adapters, what is beside the product
//! stays out of it, no crate holds a circle, a type that leaves its file has a name of its own, and a product of bounds
//! has a test.

mod circles;
mod house;
mod imports;
mod manifests;
mod names;
mod products;
mod source;

use std::fs;

use anyhow::{Context, Result, bail};

use crate::manifests::{dependency_tables, manifests, root};

/// The feature of the binary that may bring the test kit in (`forgewire demo`).
const DEMO_FEATURE: &str = "demo";

fn is_true(value: Option<&toml::Value>) -> bool {
    value.and_then(toml::Value::as_bool).unwrap_or(false)
}

fn report(violations: &[String]) -> Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    bail!(
        "{} rule(s) of the house broken:\n  {}",
        violations.len(),
        violations.join("\n  ")
    )
}

#[test]
fn every_crate_has_the_lints_and_the_dependencies_of_the_workspace() -> Result<()> {
    let mut violations = Vec::new();
    for (name, manifest) in manifests()? {
        let lints = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        if !is_true(lints) {
            violations.push(format!("{name}: lacks `[lints] workspace = true`"));
        }
        for (dependency, source) in dependency_tables(&manifest).into_iter().flatten() {
            if !is_true(source.get("workspace")) {
                violations.push(format!("{name}: {dependency} is not `workspace = true`"));
            }
        }
    }
    report(&violations)
}

#[test]
fn every_dependency_of_the_workspace_says_why_we_have_it() -> Result<()> {
    let manifest = fs::read_to_string(root().join("Cargo.toml"))?;
    let section = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .context("no such section")?;
    let violations: Vec<_> = section
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.contains(" = ") && !line.starts_with('#'))
        // Our own crates explain themselves.
        .filter(|line| !line.contains("path = \"crates/") && !line.contains(" # "))
        .map(|line| format!("no reason beside: {line}"))
        .collect();
    report(&violations)
}

#[test]
fn the_binary_has_the_test_kit_only_when_asked_for_the_demo() -> Result<()> {
    let manifests = manifests()?;
    let features = manifests["forgewire"]
        .get("features")
        .and_then(toml::Value::as_table);
    let mut violations = Vec::new();
    for (feature, enables) in features.into_iter().flatten() {
        let enables = enables
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_str);
        for enabled in enables {
            let brings_testkit = enabled.contains("testkit") && feature != DEMO_FEATURE;
            let brings_demo = enabled == DEMO_FEATURE;
            if brings_testkit || brings_demo {
                violations.push(format!("forgewire: feature {feature} turns on {enabled}"));
            }
        }
    }
    report(&violations)
}
