//! What names meant at one moment, and the renames since.

use std::borrow::Cow;

use model::{
    Filter, FilterSet, OwnerId, PlaceId, PlaceName, Rename, RenameDigest, ResourceUri, Sequence,
};

use super::{
    NameDirectory,
    book::NameBook,
    change::{NameChange, key_of},
};

/// A rename as what is open follows it: what named the former name means the id from then on.
#[derive(Debug, Clone)]
pub struct FollowedRename {
    digest: RenameDigest,
    id: PlaceId,
    /// The owner of a repository under the former name.
    owner: Option<OwnerId>,
    at: Sequence,
    from: String,
    /// `None`: another one has the former name, and no event has shown the new one.
    to: Option<String>,
    /// Another one has the former name already: what names it now means that one.
    is_taken: bool,
}

impl FollowedRename {
    /// The form in which filters are compared with it.
    #[must_use]
    pub const fn digest(&self) -> &RenameDigest {
        &self.digest
    }

    /// What was renamed.
    #[must_use]
    pub const fn id(&self) -> PlaceId {
        self.id
    }

    /// Whether another one has the former name already: only what meant the id before goes on with it.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// Whether a name that means this is concerned: what was renamed, or the owner in which it was.
    #[must_use]
    pub fn is_of(&self, place: PlaceId) -> bool {
        place == self.id || self.owner.map(PlaceId::Owner) == Some(place)
    }

    /// Whether the resource's URI named what was renamed.
    #[must_use]
    pub fn was_named_by(&self, uri: &ResourceUri) -> bool {
        let from = PlaceName::read(&self.from);
        uri.renamed(from, from).is_some()
    }

    /// The position of its event, from which on the new name counts.
    #[must_use]
    pub const fn at(&self) -> Sequence {
        self.at
    }

    /// The resource's URI after the rename, if it named what was renamed and the new name is known.
    #[must_use]
    pub fn moved(&self, uri: &ResourceUri) -> Option<ResourceUri> {
        let to = self.to.as_deref()?;
        uri.renamed(PlaceName::read(&self.from), PlaceName::read(to))
    }
}

/// What names meant at one moment.
#[derive(Debug, Clone, Copy)]
pub struct NamesAt<'d> {
    pub(super) directory: &'d NameDirectory,
    /// `None`: now.
    pub(super) at: Option<Sequence>,
}

impl NamesAt<'_> {
    /// What a name meant; `None` if it has not changed, as far as is known.
    #[must_use]
    pub fn meaning(&self, name: PlaceName<'_>) -> Option<PlaceId> {
        self.directory.state.read().book.meaning(name, self.at)
    }

    /// The renames since that moment.
    #[must_use]
    pub fn renames(&self) -> Vec<FollowedRename> {
        let Some(at) = self.at else {
            return Vec::new();
        };
        let book = &self.directory.state.read().book;
        let changes = book.changes_after(at);
        changes.flat_map(|change| followed(book, change)).collect()
    }

    /// The revision up to which renames are taken into account.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.directory.revision()
    }

    /// The filters with what their names meant; what is known of one already stays.
    #[must_use]
    pub fn bind<'f>(&self, filters: &'f FilterSet) -> Cow<'f, FilterSet> {
        let state = self.directory.state.read();
        if state.book.is_empty() {
            return Cow::Borrowed(filters);
        }
        let place = |filter: &Filter| {
            filter.place.or_else(|| {
                let (owner, repo) = (filter.owner.as_deref()?, filter.repo.as_deref());
                state.book.meaning(PlaceName { owner, repo }, self.at)
            })
        };
        let mut all = filters.filters().iter();
        if all.all(|filter| place(filter) == filter.place) {
            return Cow::Borrowed(filters);
        }
        let bound = filters.filters().iter().map(|filter| Filter {
            place: place(filter),
            ..filter.clone()
        });
        let bound = FilterSet::new(bound.collect());
        Cow::Owned(bound.expect("as many filters and tags as before"))
    }

    /// The URIs under which a resource has been known, with the id of what they name; none if its name has not
    /// changed.
    #[must_use]
    pub fn uris(&self, uri: &ResourceUri) -> Option<(PlaceId, Vec<ResourceUri>)> {
        let name = uri.place()?;
        let state = self.directory.state.read();
        let id = state.book.meaning(name, self.at)?;
        let from = match id {
            PlaceId::Repository(_) => name,
            PlaceId::Owner(_) => PlaceName { repo: None, ..name },
        };
        let names = state.book.names(id);
        let uris = names
            .iter()
            .filter_map(|to| uri.renamed(from, PlaceName::read(to)));
        Some((id, uris.collect()))
    }
}

/// A change of names in the form in which it is followed: names that meant a place go on with its id.
pub(super) fn followed(book: &NameBook, change: &NameChange) -> Vec<FollowedRename> {
    let (at, name) = (change.at, change.name.as_str());
    let of = |id, (from, owner): (&str, Option<OwnerId>), to: Option<&str>| {
        let from_name = PlaceName::read(from);
        let login = PlaceName {
            repo: None,
            ..from_name
        };
        let owner = owner.or_else(|| match book.meaning(login, Some(at)) {
            Some(PlaceId::Owner(id)) => Some(id),
            _ => None,
        });
        let owner = owner.filter(|_| from_name.repo.is_some());
        FollowedRename {
            digest: RenameDigest::of(&Rename {
                id,
                from: from_name,
                to: from_name,
                owner,
            }),
            id,
            owner,
            at,
            from: key_of(from),
            to: to.map(key_of),
            is_taken: false,
        }
    };
    let leads_to =
        |(name, owner): (&str, Option<OwnerId>)| book.led_to((PlaceName::read(name), owner), at);
    let present = match change.late {
        true => book.present_name(change.id),
        false => Some(change.name.clone()),
    };
    let from = change.from.as_deref().map(|from| (from, change.from_owner));
    let late = change.late.then_some((name, change.owner));
    let former = from.into_iter().chain(late).flat_map(|former| {
        let to = of(change.id, former, present.as_deref());
        match leads_to(former) {
            None => [None, None],
            Some(id) if id == change.id => [Some(to), None],
            // Another one has the name by now: what named it means that one.
            Some(other) => {
                let is_taken = true;
                let own = FollowedRename { is_taken, ..to };
                [Some(of(other, former, None)), Some(own)]
            }
        }
    });
    let former = former.flatten();
    let before = change.before;
    let before = before.map(|before| of(before, (name, change.owner), None));
    former.chain(before).collect()
}
