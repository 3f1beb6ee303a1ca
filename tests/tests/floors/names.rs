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

/// The names with more than one place.
fn shared(places: &Places) -> Vec<String> {
    let shared = places.iter().filter(|(_, places)| places.len() > 1);
    shared
        .map(|(name, places)| {
            let list: Vec<_> = places.iter().map(String::as_str).collect();
            format!(
                "{name} names {} types, rename one: {}",
                list.len(),
                list.join(", ")
            )
        })
        .collect()
}

#[test]
fn a_type_that_leaves_its_file_has_a_name_of_its_own() -> Result<()> {
    report(&shared(&all_places()?))
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
    let found = shared(&places);
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
    assert!(shared(&places).is_empty(), "{places:?}");
    Ok(())
}
