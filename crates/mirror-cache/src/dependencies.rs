//! What an answer depends on, read from the answer itself.
//!
//! An answer that names its place by ids, under the address that was asked for, shows what the mirror knew: this address is
//! that repository, of that owner. Only an event that shows one of them otherwise can change that (ADR 001). Any other
//! answer, such as none, or one under another address than was asked for, may change with any event.

use model::{GithubIds, PlaceName, ResourceUri};
use ports::{MirrorAddress, MirrorListing, MirrorPage, MirroredKind, MirroredState, ResourceState};

use crate::changes::{ChangeKeys, Dependency, REPOSITORY_ITSELF};

/// What is found in a place.
#[derive(Clone, Copy)]
enum PartOfPlace {
    Resource(u64),
    /// A list of its resources.
    List,
}

/// The dependencies of an answer.
pub(crate) type Dependencies = Box<[Dependency]>;

/// Those of an answer that may change with any event.
fn on_anything() -> Dependencies {
    Box::new([Dependency::Anything])
}

impl ChangeKeys {
    /// What the state at a URI depends on.
    pub(crate) fn of_resource(
        &self,
        asked: &ResourceUri,
        state: Option<&ResourceState>,
    ) -> Dependencies {
        let state = state.filter(|state| state.uri == *asked);
        let number = match asked {
            ResourceUri::Numbered { number, .. } | ResourceUri::Project { number, .. } => *number,
            ResourceUri::Events { .. } => return on_anything(),
        };
        let found = state.zip(asked.place());
        let known = found.and_then(|(state, place)| {
            self.in_place(place, state.ids, PartOfPlace::Resource(number))
        });
        known.unwrap_or_else(on_anything)
    }

    /// What the state at an address depends on.
    pub(crate) fn of_state(
        &self,
        asked: &MirrorAddress,
        state: Option<&MirroredState>,
    ) -> Dependencies {
        let known = state.and_then(|state| {
            let place = place_of(asked.kind, &asked.owner, asked.repo.as_deref())?;
            let number = match asked.kind {
                MirroredKind::Repository => REPOSITORY_ITSELF,
                _ => asked.number,
            };
            let is_there = is_in(place, state);
            let part = PartOfPlace::Resource(number);
            self.in_place(place, state.ids, part).filter(|_| is_there)
        });
        known.unwrap_or_else(on_anything)
    }

    /// What a page depends on.
    pub(crate) fn of_page(&self, asked: &MirrorListing, page: &MirrorPage) -> Dependencies {
        let known = || {
            let place = place_of(asked.kind, &asked.owner, asked.repo.as_deref())?;
            let ids = page.states.first()?.ids;
            let is_there = |state: &MirroredState| state.ids == ids && is_in(place, state);
            let all_there = page.states.iter().all(is_there);
            // The repositories of an owner are in no list of a repository.
            let is_of_place = all_there && asked.kind != MirroredKind::Repository;
            self.in_place(place, ids, PartOfPlace::List)
                .filter(|_| is_of_place)
        };
        known().unwrap_or_else(on_anything)
    }

    /// The dependencies of what was found in a place; `None` if its ids are not known.
    fn in_place(
        &self,
        place: PlaceName<'_>,
        ids: GithubIds,
        part: PartOfPlace,
    ) -> Option<Dependencies> {
        let owner = self.owner(ids.owner?);
        let address = place.to_string().to_ascii_lowercase();
        let login = self.name(&place.owner.to_ascii_lowercase());
        let name = self.name(&address);
        let mut all = vec![
            Dependency::Pair(login, owner),
            Dependency::Pair(owner, login),
            // The mirror may know another owner of the login than that of the repository.
            Dependency::Steady(login),
        ];
        if place.repo.is_some() {
            let repository = self.repository(ids.repository?);
            all.push(Dependency::Pair(name, repository));
            all.push(Dependency::Pair(repository, name));
        }
        all.push(match part {
            PartOfPlace::Resource(number) => Dependency::Change(self.resource(&address, number)),
            PartOfPlace::List => Dependency::Change(name),
        });
        Some(all.into())
    }
}

/// Whether resources of a kind belong to their owner, not to a repository.
const fn is_of_owner(kind: MirroredKind) -> bool {
    matches!(kind, MirroredKind::Project | MirroredKind::DraftIssue)
}

/// The place of what is asked for; `None` if it is not one place.
fn place_of<'n>(
    kind: MirroredKind,
    owner: &'n str,
    repo: Option<&'n str>,
) -> Option<PlaceName<'n>> {
    let repo = repo.filter(|_| !is_of_owner(kind));
    (repo.is_some() || is_of_owner(kind)).then_some(PlaceName { owner, repo })
}

fn is_in(place: PlaceName<'_>, state: &MirroredState) -> bool {
    let MirrorAddress { owner, repo, .. } = &state.address;
    let repo = repo.as_deref();
    place.is_same(&PlaceName { owner, repo })
}
