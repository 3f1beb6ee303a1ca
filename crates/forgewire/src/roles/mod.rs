//! The roles of the product, a file each. A further role is one more file, and one more line here.

mod edge;
mod ingest;
mod role;
mod startup;
mod sync;

pub(crate) use role::{RoleSet, RoleSpec};
pub(crate) use startup::Startup;

/// All of them, in the order in which they start: the edge uses the sync role of its own process.
pub(crate) static ALL: [&RoleSpec; 3] = [&sync::ROLE, &ingest::ROLE, &edge::ROLE];

/// A set of every role.
pub(crate) fn all() -> RoleSet {
    RoleSet::new(&ALL, ALL)
}

/// The role of that name.
pub(crate) fn find(name: &str) -> Option<&'static RoleSpec> {
    ALL.into_iter().find(|role| role.name == name)
}
