//! The page of failure modes is the one that its table gives, the table is whole, and the tests that it
//! names exist.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use tests::{FailingRole, FailureKind, FailureTopology, failure_modes, failure_modes_page};

fn repository() -> &'static Path {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.parent().expect("the crate is in the repository")
}

#[test]
fn the_page_of_failure_modes_is_the_one_that_the_table_gives() -> Result<()> {
    let page = fs::read_to_string(repository().join("docs/failure-modes.md")).unwrap_or_default();
    ensure!(
        page == failure_modes_page()?,
        "docs/failure-modes.md differs from tests/failure-modes.toml; run: make docs"
    );
    Ok(())
}

#[test]
fn every_test_that_the_table_names_exists() -> Result<()> {
    for mode in failure_modes()? {
        for test in &mode.tests {
            let (file, function) = test.split_once("::").with_context(|| test.clone())?;
            let text = fs::read_to_string(repository().join(file)).with_context(|| test.clone())?;
            let is_there = text.contains(&format!("fn {function}("));
            ensure!(is_there, "{}: {file} has no function {function}", mode.what);
        }
    }
    Ok(())
}

#[test]
fn every_kind_is_considered_for_every_role_and_topology() -> Result<()> {
    let modes = failure_modes()?;
    for kind in FailureKind::ALL {
        for role in FailingRole::ALL {
            for topology in FailureTopology::ALL {
                let is_listed = modes.iter().any(|mode| mode.is_in(kind, role, topology));
                ensure!(is_listed, "{kind:?}, {role:?}, {topology:?} has no row");
            }
        }
    }
    Ok(())
}

/// A promise needs a test, and a failure that was tried has something to tell to both sides.
#[test]
fn every_row_tells_clients_and_operators_and_names_a_test() -> Result<()> {
    const A_SENTENCE_CHARS: usize = 15;
    for mode in failure_modes()? {
        for told in [&mode.what, &mode.client, &mode.operator] {
            ensure!(told.len() >= A_SENTENCE_CHARS, "{}: {told:?}", mode.what);
        }
        ensure!(!mode.tests.is_empty(), "{}", mode.what);
        ensure!(
            !mode.roles.is_empty() && !mode.topologies.is_empty(),
            "{}",
            mode.what
        );
    }
    Ok(())
}
