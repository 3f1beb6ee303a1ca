//! Products of bounds: where a `limits.rs` lists what bounds allow together, a test for each product exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::{manifests::root, report};

/// The heading of the column that names tests.
const HEADING: &str = "test";

/// Every file below a folder with this ending.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, ending, found)?;
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    Ok(())
}

fn source(ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in ["crates", "tests"] {
        files(&root().join(folder), ending, &mut found)?;
    }
    Ok(found)
}

/// The cells of a row in a table of a module's comment.
fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix("//! |")?.trim().strip_suffix('|')?;
    Some(row.split('|').map(str::trim).collect())
}

/// The last cells of the rows of tables whose last column names tests.
fn test_cells(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        let last = cells(line).and_then(|cells| cells.last().copied());
        match last {
            None => is_inside = false,
            Some(HEADING) => is_inside = true,
            Some(cell) if is_inside && !cell.starts_with("---") => found.push(cell),
            Some(_) => {}
        }
    }
    found
}

/// The names between backticks.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn violations(text: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let cells = test_cells(text);
    let empty = cells.iter().filter(|cell| cell.is_empty());
    let empty = empty.map(|_| "a product has no test".to_owned());
    let named = cells.iter().flat_map(|cell| names(cell));
    let missing = named.filter(|name| !tests.contains(*name));
    let missing = missing.map(|name| format!("there is no test `{name}`"));
    empty.chain(missing).collect()
}

/// The names of all functions of the workspace.
fn functions() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for file in source(".rs")? {
        let text = fs::read_to_string(&file)?;
        let ends = |c: char| !(c.is_alphanumeric() || c == '_');
        let after = text.split("fn ").skip(1);
        names.extend(after.filter_map(|rest| rest.split(ends).next().map(ToOwned::to_owned)));
    }
    Ok(names)
}

#[test]
fn every_product_of_bounds_has_a_test() -> Result<()> {
    let functions = functions()?;
    let mut found = Vec::new();
    let mut count = 0;
    for file in source("limits.rs")? {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        count += test_cells(&text).len();
        let file = file.strip_prefix(root())?.display().to_string();
        found.extend(
            violations(&text, &functions)
                .into_iter()
                .map(|it| format!("{file}: {it}")),
        );
    }
    ensure!(
        count > 10,
        "found only {count} products: is this the workspace?"
    );
    report(&found)
}

#[test]
fn a_product_without_a_test_is_found() {
    let table = "//! | together | test |\n//! | --- | --- |\n//! | a | `known`, and `other` |\n//! | b | |\n\
                 //!\n//! | no | tests here |\n//! | --- | --- |\n//! | c | `x` |\n";
    let known = BTreeSet::from(["known".to_owned()]);
    let found = violations(table, &known);
    assert_eq!(found, ["a product has no test", "there is no test `other`"]);
}
