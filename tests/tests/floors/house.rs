//! The map of the house: which crate is on which floor, and what may use what.
//!
//! Checked is every dependency of one of our crates on another:
//! - a crate uses only floors below its own; crates of one floor know each other only where
//!   [`SAME_FLOOR`] says so;
//! - only the binary names adapters, but for [`NAMED_ADAPTERS`];
//! - the product uses nothing that is beside it, but for what the demo is made of;
//! - tests may use adapters and what is beside the product, too.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{
    manifests::{DependencyEdge, edges, metadata, packages, root, text},
    report,
};

/// Where a crate is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
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
const SERVICES: Place = Floor(6);
/// The only floor that chooses adapters.
const BINARY: Place = Floor(7);

const HOUSE: [(&str, Place); 41] = [
    ("model", Floor(0)),
    ("ports", Floor(1)),
    ("proto", Floor(1)),
    ("role-keys", Floor(1)),
    ("stream-driver", Floor(1)),
    ("instruments", Floor(1)),
    ("mcp", Floor(1)),
    ("github-events", Floor(1)),
    ("http-client", Floor(1)),
    ("store-memory", ADAPTERS),
    ("store-sqlite", ADAPTERS),
    ("store-redis", ADAPTERS),
    ("nats", ADAPTERS),
    ("otlp-export", ADAPTERS),
    ("store-layers", ADAPTERS),
    ("github", ADAPTERS),
    ("service-kit", Floor(3)),
    ("edge-records", Floor(3)),
    ("event-flow", Floor(3)),
    ("access", Floor(3)),
    ("fanout", Floor(4)),
    ("mirror-cache", Floor(4)),
    ("mcp-server", Floor(4)),
    ("subscriptions", Floor(4)),
    ("event-tools", Floor(5)),
    ("github-tools", Floor(5)),
    ("webhook-ingest", SERVICES),
    ("github-sync", SERVICES),
    ("sse-edge", SERVICES),
    ("stdio-bridge", SERVICES),
    ("webhook-relay", SERVICES),
    ("event-watch", SERVICES),
    ("forgewire", BINARY),
    ("contract", Beside),
    ("testkit", Beside),
    ("fake-github", Beside),
    ("conformance", Beside),
    ("bench", Beside),
    ("fuzz", Beside),
    ("simulation", Beside),
    ("tests", Beside),
];

/// What the demo is made of.
const DEMO: [&str; 2] = ["testkit", "fake-github"];

/// What may use its own floor, and whom.
const SAME_FLOOR: &[(&str, &str)] = &[
    // Messages on the bus and over gRPC are those of the ports.
    ("proto", "ports"),
    // Reading history asks what a principal may see.
    ("event-flow", "access"),
    // Watching the file of tokens is a part that starts and ends with the process.
    ("access", "service-kit"),
];

/// Services that name an adapter, and which. A port for it would be GitHub's whole API once more.
const NAMED_ADAPTERS: &[(&str, &str)] = &[
    // What it mirrors is GitHub's state; its tests run against a GitHub that listens.
    ("github-sync", "github"),
];

fn place(name: &str) -> Option<Place> {
    let mut house = HOUSE.iter();
    let (_, place) = house.find(|(known, _)| *known == name)?;
    Some(*place)
}

/// What is wrong with a dependency, if anything.
fn violation(edge: &DependencyEdge) -> Option<String> {
    let (Some(from), Some(to)) = (place(&edge.from), place(&edge.to)) else {
        return Some(
            "a crate that has no floor: add it to the table in tests/tests/floors/house.rs"
                .to_owned(),
        );
    };
    match (from, to) {
        // The contract suite and the test kit serve every crate's tests, and so do real adapters.
        (_, Beside | ADAPTERS) if edge.dev => None,
        (Beside, _) => None,
        (BINARY, Beside) if DEMO.contains(&edge.to.as_str()) && edge.optional => None,
        (_, Beside) => Some("the product depends on what stands beside it".to_owned()),
        (SERVICES, ADAPTERS)
            if NAMED_ADAPTERS.contains(&(edge.from.as_str(), edge.to.as_str())) =>
        {
            None
        }
        (from, ADAPTERS) if from != BINARY => {
            Some("only the binary names adapters; use a port".to_owned())
        }
        (Floor(from), Floor(to)) if from < to => Some(format!("floor {from} reaches up to {to}")),
        (SERVICES, SERVICES) => Some("one service knows another; use a port".to_owned()),
        (Floor(from), Floor(to)) if from == to => {
            let allowed = SAME_FLOOR.contains(&(edge.from.as_str(), edge.to.as_str()));
            (!allowed).then(|| format!("both are on floor {from}, and SAME_FLOOR does not say why"))
        }
        _ => None,
    }
}

/// The rows of the table in ARCHITECTURE.md, "The house": crates with their places.
fn documented(text: &str) -> Result<BTreeSet<(String, Place)>> {
    let (_, section) = text
        .split_once("\n## The house\n")
        .context("ARCHITECTURE.md has no section \"The house\"")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut documented = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let place = match (cells[0], cells[0].parse()) {
            (_, Ok(floor)) => Floor(floor),
            ("beside", _) => Beside,
            _ => continue,
        };
        let crates = cells.get(1).context("a row has crates")?.split('`');
        // Names are between the backticks: every other part.
        documented.extend(
            crates
                .skip(1)
                .step_by(2)
                .map(|name| (name.to_owned(), place)),
        );
    }
    Ok(documented)
}

#[test]
fn the_table_in_architecture_md_is_the_one_that_is_checked() -> Result<()> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md"))?;
    let documented = documented(&text)?;
    let house: BTreeSet<_> = HOUSE
        .iter()
        .map(|(name, place)| ((*name).to_owned(), *place))
        .collect();
    let missing = house
        .difference(&documented)
        .map(|row| format!("not in ARCHITECTURE.md: {row:?}"));
    let unknown = documented
        .difference(&house)
        .map(|row| format!("only in ARCHITECTURE.md: {row:?}"));
    report(&missing.chain(unknown).collect::<Vec<_>>())
}

#[test]
fn every_crate_of_the_table_exists() -> Result<()> {
    let metadata = metadata()?;
    let members: BTreeSet<_> = packages(&metadata)
        .iter()
        .map(|package| text(package, "name"))
        .collect();
    let mut violations = Vec::new();
    for (name, _) in HOUSE {
        if !members.contains(name) {
            violations.push(format!("{name} is in the table, but no crate"));
        }
    }
    report(&violations)
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
            violations.push(format!(
                "{name}: not in the table in tests/tests/floors/house.rs"
            ));
        }
        if folder.is_none_or(|folder| folder != name) {
            violations.push(format!("{name}: lives in {folder:?}"));
        }
    }
    report(&violations)
}

#[test]
fn a_broken_rule_is_found() {
    let edge = |from: &str, to: &str| DependencyEdge {
        from: from.to_owned(),
        to: to.to_owned(),
        dev: false,
        optional: false,
    };
    let dev = |from, to| DependencyEdge {
        dev: true,
        ..edge(from, to)
    };
    let optional = |from, to| DependencyEdge {
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
        edge("fanout", "mcp-server"),
        edge("mcp", "proto"),
        edge("ports", "proto"),
        edge("event-flow", "event-tools"),
        edge("sse-edge", "github"),
        edge("github", "store-redis"),
    ] {
        assert!(violation(&broken).is_some(), "{broken:?} went through");
    }
    for allowed in [
        edge("proto", "ports"),
        edge("forgewire", "nats"),
        edge("nats", "proto"),
        edge("sse-edge", "mcp"),
        edge("event-tools", "mcp-server"),
        edge("conformance", "store-memory"),
        dev("nats", "contract"),
        dev("sse-edge", "store-memory"),
        optional("forgewire", "testkit"),
        edge("bench", "testkit"),
        edge("github-sync", "github"),
    ] {
        assert_eq!(violation(&allowed), None, "{allowed:?}");
    }
}
