//! No circles inside a crate: files that use one another in a ring can only be understood, tested and
//! moved together.
//!
//! Two files may use each other. So may a file and the files of its own folder, as long as it is only
//! through that file: a child sees what the module around it defines (`super::…`), and that module calls
//! its children. What is left of such a circle without the file around it counts. The root of a crate is
//! around everything, so it is no such file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result};

use crate::{
    imports::{Uses, uses},
    manifests::{metadata, packages, text},
    report,
    source::{ModulePath, modules, planted, roots},
};

/// The largest circle that is accepted.
const MAX_FILES: usize = 2;

type Files = BTreeSet<ModulePath>;

/// What can be reached from a file inside `files`.
fn reached<'a>(uses: &'a Uses, files: &Files, from: &'a ModulePath) -> BTreeSet<&'a ModulePath> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        let used = uses.get(file).into_iter().flatten();
        open.extend(used.filter(|used| files.contains(*used) && reached.insert(*used)));
    }
    reached
}

/// The file around all others of a circle.
fn around(circle: &Files) -> Option<&ModulePath> {
    let mut files = circle.iter();
    files.find(|file| !file.is_empty() && circle.iter().all(|other| other.starts_with(file)))
}

/// The circles of more than two files among `files`.
fn circles(uses: &Uses, files: &Files) -> Vec<Files> {
    let reached: BTreeMap<_, _> = files
        .iter()
        .map(|file| (file, reached(uses, files, file)))
        .collect();
    let mut seen = Files::new();
    let mut found = Vec::new();
    for file in files {
        if seen.contains(file) {
            continue;
        }
        let circle = reached[file]
            .iter()
            .filter(|other| reached[*other].contains(file));
        let mut circle: Files = circle.copied().cloned().collect();
        seen.extend(circle.iter().cloned());
        if circle.len() <= MAX_FILES {
            continue;
        }
        match around(&circle).cloned() {
            Some(parent) => {
                circle.remove(&parent);
                found.extend(circles(uses, &circle));
            }
            None => found.push(circle),
        }
    }
    found
}

fn all_circles(uses: &Uses) -> Vec<Files> {
    circles(uses, &uses.keys().cloned().collect())
}

#[test]
fn no_crate_holds_a_circle_of_files() -> Result<()> {
    let mut violations = Vec::new();
    for package in packages(&metadata()?) {
        let name = text(package, "name");
        let manifest = Path::new(text(package, "manifest_path"));
        for root in roots(manifest.parent().context("a manifest is in a folder")?)? {
            for circle in all_circles(&uses(&modules(&root)?)) {
                let files: Vec<_> = circle.iter().map(|file| file.join("::")).collect();
                let (size, files) = (files.len(), files.join(", "));
                violations.push(format!("{name}: a circle of {size} files: {files}"));
            }
        }
    }
    report(&violations)
}

fn planted_circles(files: &[(&str, &str)]) -> Result<Vec<Vec<String>>> {
    let circles = all_circles(&uses(&planted(files)?));
    let names = |circle: Files| circle.iter().map(|file| file.join("::")).collect();
    Ok(circles.into_iter().map(names).collect())
}

#[test]
fn a_planted_circle_is_found_through_reexports_aliases_and_macros() -> Result<()> {
    let found = planted_circles(&[
        ("lib.rs", "mod a; mod b; mod c; mod d; pub use b::B;"),
        ("a.rs", "use crate::B; pub struct A(B); pub struct Free;"),
        ("b/mod.rs", "mod inner; pub(crate) use inner::*;"),
        (
            "b/inner.rs",
            "use crate::c; pub struct B; fn f() { select!{ _ = c::go() => () } }",
        ),
        ("c.rs", "pub fn go() { let _ = super::a::A::new(); }"),
        (
            "d.rs",
            "use crate::{a::{self, Free}, c}; fn d() { a::x(); c::go(); }",
        ),
    ])?;
    assert_eq!(found, [["a", "b::inner", "c"]]);
    Ok(())
}

#[test]
fn what_only_tests_use_and_what_goes_through_the_file_around_is_no_circle() -> Result<()> {
    let tests = "#[cfg(test)] mod tests { use crate::c::C; use super::*; }";
    let found = planted_circles(&[
        ("lib.rs", "mod a; mod b; mod c; mod room;"),
        ("a.rs", &format!("use crate::b::B; pub struct A; {tests}")),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "#[cfg(test)] use crate::a::A; pub struct C;"),
        (
            "room.rs",
            "mod one; mod two; pub struct Shared; fn f() { one::f(); two::f() }",
        ),
        ("room/one.rs", "use super::Shared; pub fn f() {}"),
        (
            "room/two.rs",
            "use super::{Shared, one}; pub fn f() { one::f() }",
        ),
    ])?;
    assert!(found.is_empty(), "{found:?}");
    Ok(())
}

#[test]
fn a_circle_with_a_file_outside_of_the_folder_counts_whole() -> Result<()> {
    let found = planted_circles(&[
        ("lib.rs", "mod room; mod other;"),
        (
            "room.rs",
            "mod one; pub struct Shared; fn f() { crate::other::f() }",
        ),
        ("room/one.rs", "use super::Shared; pub fn f() {}"),
        ("other.rs", "pub fn f() { crate::room::one::f() }"),
    ])?;
    assert_eq!(found, [["other", "room", "room::one"]]);
    Ok(())
}
