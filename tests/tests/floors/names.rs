//! A type that leaves its file has a name that is unique in the workspace: a reader who meets it, in an
//! error, a search or a review, knows which one it is.
//!
//! Checked are structs, enums, traits, type aliases and unions that are `pub` in whatever scope, in the
//! production files of all members.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result};

use crate::{
    manifests::{metadata, packages, text},
    report,
    source::{Module, ModulePath, modules, planted, roots},
};

/// Names that several files still give to a type, with the number of those files. The list may only
/// shrink.
const SHARED_NAMES: &[(&str, usize)] = &[
    ("Admitted", 2),
    ("Answer", 2),
    ("BuildError", 3),
    ("Call", 3),
    ("Config", 4),
    ("Context", 2),
    ("Deps", 3),
    ("Entry", 2),
    ("Field", 2),
    ("Head", 2),
    ("Line", 2),
    ("ListResult", 3),
    ("Method", 2),
    ("Metrics", 2),
    ("Outcome", 2),
    ("Page", 2),
    ("Phase", 2),
    ("Progress", 2),
    ("Refusal", 2),
    ("Registry", 2),
    ("Running", 3),
    ("Service", 3),
    ("Session", 2),
    ("Source", 2),
    ("Start", 2),
    ("Subscription", 2),
];

/// The places where each name is defined.
type Places = BTreeMap<String, BTreeSet<String>>;

/// Adds the public types of a crate, which is called `name`.
fn collect(places: &mut Places, name: &str, modules: &BTreeMap<ModulePath, Module>) {
    for (path, module) in modules {
        let place = [&[name.to_owned()], path.as_slice()].concat().join("::");
        for public_type in &module.public_types {
            let places = places.entry(public_type.clone()).or_default();
            places.insert(place.clone());
        }
    }
}

/// The public types of all members.
fn all_places() -> Result<Places> {
    let mut places = Places::new();
    for package in packages(&metadata()?) {
        let name = text(package, "name");
        let folder = Path::new(text(package, "manifest_path"));
        let folder = folder.parent().context("a manifest is in a folder")?;
        for root in roots(folder)? {
            let file = root.strip_prefix(folder.join("src"))?;
            let name = match file.to_str() {
                Some("lib.rs") => name.to_owned(),
                _ => format!("{name} ({})", file.display()),
            };
            collect(&mut places, &name, &modules(&root)?);
        }
    }
    Ok(places)
}

/// Compares the names with more than one place with those that are listed.
fn compare(places: &Places, listed: &[(&str, usize)]) -> Vec<String> {
    let mut violations = Vec::new();
    for (name, places) in places {
        let allowed = listed.iter().find(|(listed, _)| listed == name);
        let allowed = allowed.map_or(1, |(_, count)| *count);
        if places.len() > allowed {
            let places: Vec<_> = places.iter().map(String::as_str).collect();
            violations.push(format!(
                "{name} names {} types, rename one: {}",
                places.len(),
                places.join(", ")
            ));
        }
    }
    for (name, count) in listed {
        let found = places.get(*name).map_or(0, BTreeSet::len);
        if found < *count {
            violations.push(format!(
                "{name} names {found} type(s) instead of {count}: shrink the list SHARED_NAMES in \
                 tests/tests/floors/names.rs"
            ));
        }
    }
    violations
}

#[test]
fn a_type_that_leaves_its_file_has_a_name_of_its_own() -> Result<()> {
    report(&compare(&all_places()?, SHARED_NAMES))
}

fn planted_places(files: &[(&str, &str)]) -> Result<Places> {
    let mut places = Places::new();
    collect(&mut places, "planted", &planted(files)?);
    Ok(places)
}

#[test]
fn a_planted_pair_is_found_in_every_visibility_and_kind() -> Result<()> {
    let kinds = "pub struct S; pub(crate) enum E {} pub(super) trait T {} pub type A = (); \
                 pub(crate) union U { x: u8 }";
    let places = planted_places(&[
        ("lib.rs", "mod one; mod two;"),
        ("one.rs", kinds),
        ("two.rs", kinds),
    ])?;
    let found = compare(&places, &[]);
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(
        found[0].contains("A names 2 types, rename one: planted::one, planted::two"),
        "{found:?}"
    );
    Ok(())
}

#[test]
fn what_stays_in_its_file_and_what_only_tests_see_may_share_a_name() -> Result<()> {
    let private = "struct S; #[cfg(test)] mod tests { pub struct S; } fn f() { pub struct S; } \
                   impl Iterator for S { type Item = u8; }";
    let places = planted_places(&[
        ("lib.rs", "mod one; mod two; pub use one::S;"),
        ("one.rs", "pub struct S; #[cfg(test)] pub struct Item;"),
        ("two.rs", private),
    ])?;
    assert!(compare(&places, &[]).is_empty(), "{places:?}");
    Ok(())
}

#[test]
fn the_list_of_shared_names_may_only_shrink() {
    let two: BTreeSet<_> = ["a".to_owned(), "b".to_owned()].into();
    let places = Places::from([("S".to_owned(), two)]);
    assert!(compare(&places, &[("S", 2)]).is_empty());
    let smaller = compare(&places, &[("S", 3)]);
    assert!(smaller[0].contains("shrink the list"), "{smaller:?}");
    let gone = compare(&places, &[("S", 2), ("Gone", 2)]);
    assert!(gone[0].contains("shrink the list"), "{gone:?}");
}
