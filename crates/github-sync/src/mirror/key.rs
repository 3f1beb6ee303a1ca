//! By what a state is found: the id of its place, its collection and its number.

use model::{EventFacts, PlaceId, PlaceName, ResourceUri};

/// The place of a resource.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum MirroredPlace {
    /// A repository or an owner that events showed with its id.
    Known(PlaceId),
    /// One whose events have no id: its address in lower case.
    Named(Box<str>),
}

/// A resource, whatever its address is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct MirrorKey {
    pub(super) place: MirroredPlace,
    pub(super) collection: &'static str,
    pub(super) number: u64,
}

/// The collection of projects, which have the form of their owner's numbers.
pub(super) const PROJECTS: &str = "projects";

/// The address, the collection and the number in a resource's URI; `None` for a list of events.
pub(super) fn parts_of(uri: &ResourceUri) -> Option<(String, &'static str, u64)> {
    let address = uri.place()?.to_string();
    match uri {
        ResourceUri::Events { .. } => None,
        ResourceUri::Numbered {
            collection, number, ..
        } => Some((address, collection, *number)),
        ResourceUri::Project { number, .. } => Some((address, PROJECTS, *number)),
    }
}

impl MirrorKey {
    /// The resource of an event; `None` if it has no URI.
    pub(super) fn of(facts: &EventFacts) -> Option<Self> {
        let (address, collection, number) = parts_of(&facts.resource_uri()?)?;
        let id = match collection {
            PROJECTS => facts.ids.owner.map(PlaceId::Owner),
            _ => facts.ids.repository.map(PlaceId::Repository),
        };
        let named = || MirroredPlace::Named(address.into());
        Some(Self {
            place: id.map_or_else(named, MirroredPlace::Known),
            collection,
            number,
        })
    }

    /// The same resource in a place that was only known by a name, after that was renamed.
    pub(super) fn renamed(&self, from: PlaceName<'_>, to: PlaceName<'_>) -> Option<Self> {
        let MirroredPlace::Named(address) = &self.place else {
            return None;
        };
        let name = PlaceName::read(address);
        let is_whole_owner = from.repo.is_none();
        let part = PlaceName {
            repo: name.repo.filter(|_| !is_whole_owner),
            ..name
        };
        let renamed = PlaceName {
            repo: if is_whole_owner { name.repo } else { to.repo },
            ..to
        };
        part.is_same(&from).then(|| Self {
            place: MirroredPlace::Named(renamed.to_string().to_ascii_lowercase().into()),
            ..self.clone()
        })
    }
}

/// A URI with another place.
pub(super) fn moved(uri: &ResourceUri, to: PlaceName<'_>) -> ResourceUri {
    let mut moved = uri.clone();
    match (&mut moved, to.repo) {
        (ResourceUri::Numbered { owner, repo, .. }, Some(name)) => {
            to.owner.clone_into(owner);
            name.clone_into(repo);
        }
        (ResourceUri::Project { owner, .. }, _) => to.owner.clone_into(owner),
        _ => {}
    }
    moved
}
