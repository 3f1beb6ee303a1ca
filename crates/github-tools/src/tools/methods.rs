//! What several tools do: check their method, name a list or an address, find a state.

use mcp::params::InputError;
use mcp_server::{CallError, Caller, Policy, RateClass};
use model::Timestamp;
use ports::{MirrorAddress, MirrorFilter, MirrorListing, MirrorOrder, MirroredKind, MirroredState};

use crate::{
    inputs::{ListPageRequest, RepositoryPlace},
    mirror::MirrorAccess,
    output::missing,
};

/// Every tool reads the mirror, which may be another process.
pub(super) const POLICY: Policy = Policy::read(RateClass::Store);

/// Checks the method of a tool that has one, or several of which the mirror can answer these. Absent is the first.
///
/// # Errors
/// Another one; the error names those that are possible, and GitHub's own server for those of its methods.
pub(super) fn method(
    given: Option<&str>,
    possible: &[&'static str],
    others: &[&str],
) -> Result<&'static str, InputError> {
    let Some(given) = given else {
        return Ok(possible[0]);
    };
    let given = given.trim();
    let mut found = possible.iter();
    if let Some(found) = found.find(|method| method.eq_ignore_ascii_case(given)) {
        return Ok(found);
    }
    let possible = possible.join(", ");
    let reason = match others
        .iter()
        .any(|method| method.eq_ignore_ascii_case(given))
    {
        true => format!(
            "{given} needs what is not mirrored here; use {possible}, or ask GitHub's own MCP server"
        ),
        false => format!("use {possible}"),
    };
    Err(InputError::new("method", &reason))
}

/// The owner of projects.
///
/// # Errors
/// There is none, or it is no login.
pub(super) fn owner_place(owner: Option<&str>) -> Result<RepositoryPlace, InputError> {
    let place = RepositoryPlace::read(owner, None)?;
    place.ok_or_else(|| InputError::new("owner", "is missing"))
}

/// A list of a place, the newest first.
pub(super) fn listing(
    kind: MirroredKind,
    place: &RepositoryPlace,
    page: &ListPageRequest,
) -> MirrorListing {
    MirrorListing {
        kind,
        owner: place.owner.clone(),
        repo: place.repo.clone(),
        filter: MirrorFilter::default(),
        order: MirrorOrder::Number,
        descending: true,
        limit: MirrorListing::MAX_LIMIT,
        after: page.after.clone(),
    }
}

/// The address of a resource of a place.
pub(super) fn address(kind: MirroredKind, place: &RepositoryPlace, number: u64) -> MirrorAddress {
    MirrorAddress {
        kind,
        owner: place.owner.clone(),
        repo: place.repo.clone(),
        number,
    }
}

/// The number that a tool asks for.
///
/// # Errors
/// There is none, or it is 0.
pub(super) fn number(field: &'static str, given: Option<u64>) -> Result<u64, InputError> {
    let number = given.filter(|number| *number > 0);
    number.ok_or_else(|| InputError::new(field, "is missing; numbers begin at 1"))
}

/// A state, and since when its list is known to be whole.
///
/// # Errors
/// There is none that the caller may see; the error names the field. The mirror does not answer.
pub(super) async fn find(
    mirror: &MirrorAccess,
    caller: &Caller,
    address: &MirrorAddress,
    (field, what): (&str, &str),
) -> Result<(MirroredState, Option<Timestamp>), CallError> {
    let found = mirror
        .get_many(caller, std::slice::from_ref(address))
        .await?;
    let found = found.into_iter().next().flatten();
    let as_of = mirror.as_of(caller, address, found.is_some()).await?;
    let place = match &address.repo {
        Some(repo) => format!("{}/{repo}", address.owner),
        None => address.owner.clone(),
    };
    match found {
        Some(state) => Ok((state, as_of)),
        None => Err(InputError::new(field, &missing(what, (&place, as_of))).into()),
    }
}
