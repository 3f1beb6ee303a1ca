//! The rules of the house (README, "The house"), checked against every manifest: a crate depends only
//! on floors below it, services do not know adapters, what is beside the product stays out of it.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Where a crate stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Part of the product, on this floor.
    Floor(u8),
    /// Tests, benchmarks and their tools: never in the product's dependencies.
    Beside,
}
use Place::{Beside, Floor};

/// Adapters: one driver each. Two of them that know each other would be one adapter.
const ADAPTERS: Place = Floor(2);
/// Services. They meet over ports and the wire, not by calling each other.
const SERVICES: Place = Floor(4);
/// The only floor that chooses adapters.
const BINARY: Place = Floor(5);
/// The feature of the binary that may bring the test kit in (`forgewire demo`).
const DEMO_FEATURE: &str = "demo";

const HOUSE: [(&str, Place); 22] = [
    ("model", Floor(0)),
    ("ports", Floor(1)),
    ("proto", Floor(1)),
    ("stream-driver", Floor(1)),
    ("store-memory", ADAPTERS),
    ("store-sqlite", ADAPTERS),
    ("store-redis", ADAPTERS),
    ("store-postgres", ADAPTERS),
    ("nats", ADAPTERS),
    ("github", ADAPTERS),
    ("mcp", Floor(3)),
    ("service-kit", Floor(3)),
    ("webhook-ingest", SERVICES),
    ("github-sync", SERVICES),
    ("sse-edge", SERVICES),
    ("stdio-bridge", SERVICES),
    ("forgewire", BINARY),
    ("contract", Beside),
    ("testkit", Beside),
    ("bench", Beside),
    ("fuzz", Beside),
    ("tests", Beside),
];

/// One crate's dependency on another of ours.
#[derive(Clone, Debug)]
struct Edge {
    from: String,
    to: String,
    dev: bool,
    optional: bool,
}

fn place(name: &str) -> Option<Place> {
    HOUSE
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, place)| *place)
}

/// What is wrong with a dependency, if anything.
fn violation(edge: &Edge) -> Option<String> {
    let (Some(from), Some(to)) = (place(&edge.from), place(&edge.to)) else {
        return Some(
            "a crate that has no floor: add it to the table in tests/floors.rs".to_owned(),
        );
    };
    match (from, to) {
        // The contract suite and the test kit serve every crate's tests, and so do real adapters.
        (_, Beside | ADAPTERS) if edge.dev => None,
        (Beside, _) => None,
        (BINARY, Beside) if edge.to == "testkit" && edge.optional => None,
        (_, Beside) => Some("the product depends on what stands beside it".to_owned()),
        (from, ADAPTERS) if from != BINARY => {
            Some("only the binary names adapters; use a port".to_owned())
        }
        (Floor(from), Floor(to)) if from < to => Some(format!("floor {from} reaches up to {to}")),
        (SERVICES, SERVICES) => Some("one service knows another; use a port".to_owned()),
        (BINARY, BINARY) => Some("there is one binary".to_owned()),
        _ => None,
    }
}

/// `cargo metadata` of the workspace, without dependencies of dependencies.
fn metadata() -> Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .context("running cargo metadata")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The folder of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the workspace")
}

fn packages(metadata: &Value) -> &[Value] {
    metadata["packages"].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Every dependency of one of our crates on another of ours.
fn edges(metadata: &Value) -> Vec<Edge> {
    let mut edges = Vec::new();
    for package in packages(metadata) {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for dependency in dependencies.filter(|dependency| dependency["path"].is_string()) {
            edges.push(Edge {
                from: text(package, "name").to_owned(),
                to: text(dependency, "name").to_owned(),
                dev: dependency["kind"] == "dev",
                optional: dependency["optional"] == true,
            });
        }
    }
    edges
}

/// The manifests of all members, by package name.
fn manifests() -> Result<BTreeMap<String, toml::Table>> {
    let metadata = metadata()?;
    packages(&metadata)
        .iter()
        .map(|package| {
            let path = text(package, "manifest_path");
            let manifest = fs::read_to_string(path).with_context(|| path.to_owned())?;
            Ok((text(package, "name").to_owned(), toml::from_str(&manifest)?))
        })
        .collect()
}

/// The dependency tables of a manifest, those of single platforms included.
fn dependency_tables(manifest: &toml::Table) -> Vec<&toml::Table> {
    let platforms = manifest.get("target").and_then(toml::Value::as_table);
    let platforms = platforms.into_iter().flat_map(|table| table.values());
    [manifest]
        .into_iter()
        .chain(platforms.filter_map(toml::Value::as_table))
        .flat_map(|table| {
            ["dependencies", "dev-dependencies", "build-dependencies"]
                .into_iter()
                .filter_map(|kind| table.get(kind)?.as_table())
        })
        .collect()
}

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
fn crates_depend_only_downwards() -> Result<()> {
    let metadata = metadata()?;
    let edges = edges(&metadata);
    ensure!(
        edges.len() > 10,
        "found only {} dependencies: is this the workspace?",
        edges.len()
    );
    let violations: Vec<_> = edges
        .iter()
        .filter_map(|edge| Some(format!("{} → {}: {}", edge.from, edge.to, violation(edge)?)))
        .collect();
    report(&violations)
}

#[test]
fn every_crate_has_a_floor_and_lives_in_the_folder_of_its_name() -> Result<()> {
    let mut violations = Vec::new();
    for package in packages(&metadata()?) {
        let name = text(package, "name");
        let folder = Path::new(text(package, "manifest_path"))
            .parent()
            .and_then(Path::file_name);
        if place(name).is_none() {
            violations.push(format!("{name}: not in the table in tests/floors.rs"));
        }
        if folder.is_none_or(|folder| folder != name) {
            violations.push(format!("{name}: lives in {folder:?}"));
        }
    }
    report(&violations)
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

#[test]
fn a_broken_rule_is_found() {
    let edge = |from: &str, to: &str| Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        dev: false,
        optional: false,
    };
    let dev = |from, to| Edge {
        dev: true,
        ..edge(from, to)
    };
    let optional = |from, to| Edge {
        optional: true,
        ..edge(from, to)
    };
    for broken in [
        edge("model", "ports"),
        edge("service-kit", "sse-edge"),
        edge("sse-edge", "nats"),
        optional("sse-edge", "store-redis"),
        edge("service-kit", "store-memory"),
        edge("nats", "store-sqlite"),
        edge("sse-edge", "github-sync"),
        dev("sse-edge", "github-sync"),
        edge("forgewire", "testkit"),
        optional("forgewire", "contract"),
        optional("sse-edge", "testkit"),
        edge("sse-edge", "common"),
    ] {
        assert!(violation(&broken).is_some(), "{broken:?} went through");
    }
    for allowed in [
        edge("proto", "ports"),
        edge("forgewire", "nats"),
        edge("nats", "proto"),
        edge("sse-edge", "mcp"),
        dev("nats", "contract"),
        dev("sse-edge", "store-memory"),
        optional("forgewire", "testkit"),
        edge("bench", "testkit"),
    ] {
        assert_eq!(violation(&allowed), None, "{allowed:?}");
    }
}
