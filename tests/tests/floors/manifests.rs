//! What cargo and the manifests say about the crates of the workspace.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// `cargo metadata` of the workspace, without dependencies of dependencies.
pub(crate) fn metadata() -> Result<Value> {
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
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the workspace")
}

pub(crate) fn packages(metadata: &Value) -> &[Value] {
    metadata["packages"].as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// One crate's dependency on another of ours.
#[derive(Clone, Debug)]
pub(crate) struct DependencyEdge {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) dev: bool,
    pub(crate) optional: bool,
}

/// Every dependency of one of our crates on another of ours.
pub(crate) fn edges(metadata: &Value) -> Vec<DependencyEdge> {
    let mut edges = Vec::new();
    for package in packages(metadata) {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for dependency in dependencies.filter(|dependency| dependency["path"].is_string()) {
            edges.push(DependencyEdge {
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
pub(crate) fn manifests() -> Result<BTreeMap<String, toml::Table>> {
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
pub(crate) fn dependency_tables(manifest: &toml::Table) -> Vec<&toml::Table> {
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
