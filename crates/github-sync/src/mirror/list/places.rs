//! The places that a list is about, and single states by their addresses.

use std::ops::Bound::{Excluded, Unbounded};

use model::{GithubIds, PlaceId, PlaceName};
use ports::{MirrorAddress, MirroredKind, MirroredState};

use super::{query::ListQuery, slice::SlicePlace};
use crate::mirror::{
    carried::CarriedNews,
    key::{MirrorKey, MirroredPlace, is_of_owner},
    table::{Carrier, Table},
};

/// States of a place that are looked at for the spelling of its name.
const SPELLINGS: usize = 8;

impl Table {
    /// The places of a list: those with ids first.
    pub(super) fn places_in(&self, query: &ListQuery) -> Vec<SlicePlace> {
        let address = match query.repo_address() {
            Some(address) => address,
            None if query.is_of_owner() => &query.owner,
            None => return self.repositories_of(query),
        };
        let known = self.place_of(query.kind, address);
        let known = known.map(|id| self.known_place(id, query.kind, address));
        let named = (!self.places.has_changed_hands(address)).then(|| named_place(address));
        known.into_iter().chain(named).collect()
    }

    /// All repositories of an owner.
    fn repositories_of(&self, query: &ListQuery) -> Vec<SlicePlace> {
        let ids = self.places.repositories_of(&query.owner);
        let known = ids.into_iter().map(PlaceId::Repository);
        let known = known.map(|id| self.known_place(id, query.kind, &query.owner));
        known.chain(self.named_in(&query.owner)).collect()
    }

    /// Repositories of a login that are known by their names alone.
    fn named_in(&self, login: &str) -> Vec<SlicePlace> {
        let prefix = format!("{login}/");
        let mut named = Vec::new();
        let (mut from, _) = MirrorKey::bounds(&MirroredPlace::Named(prefix.as_str().into()), None);
        while let Some((key, _)) = self
            .entries
            .range::<MirrorKey, _>((Excluded(&from), Unbounded))
            .next()
        {
            let MirroredPlace::Named(address) = &key.place else {
                break;
            };
            if !address.starts_with(&prefix) {
                break;
            }
            if !self.places.has_changed_hands(address) {
                named.push(named_place(address));
            }
            // The next one begins after all that this one may have.
            (_, from) = MirrorKey::bounds(&key.place, None);
        }
        named
    }

    fn known_place(&self, id: PlaceId, kind: MirroredKind, asked: &str) -> SlicePlace {
        let present = self.places.present(id).map(|name| name.to_string());
        let present = present.unwrap_or_else(|| asked.to_owned());
        let place = MirroredPlace::Known(id);
        let (first, last) = MirrorKey::bounds(&place, Some(kind));
        let states = self.entries.range(first..=last).take(SPELLINGS);
        let mut spelt = states.filter_map(|(_, entry)| entry.state.spelt.as_deref());
        let spelt = spelt.find(|spelt| spelt.eq_ignore_ascii_case(&present));
        SlicePlace {
            name: spelt.map_or(present, str::to_owned),
            place,
            ids: self.places.ids(id),
        }
    }

    /// The state at an address, without the news of what it carries; counts as a use.
    pub(in crate::mirror) fn state_at(
        &mut self,
        address: &MirrorAddress,
    ) -> Option<(MirroredState, CarriedNews)> {
        let kind = address.kind;
        let name = PlaceName {
            owner: &address.owner,
            repo: address.repo.as_deref().filter(|_| !is_of_owner(kind)),
        };
        if name.repo.is_none() && !is_of_owner(kind) {
            return None;
        }
        let name = name.to_string().to_ascii_lowercase();
        let number = match kind {
            // Whoever knows the name need not know the id.
            MirroredKind::Repository => self.places.repository(&name)?.0,
            _ => address.number,
        };
        let key = self.key_of(kind, &name, number)?;
        let (name, ids) = self.name_of(&key).unwrap_or_else(|| {
            let ids = match key.place {
                MirroredPlace::Known(id) => self.places.ids(id),
                MirroredPlace::Named(_) => GithubIds::default(),
            };
            (name, ids)
        });
        self.touch(&key);
        let entry = self.entries.get(&key)?;
        let (state, news) = (&entry.state, self.news_of(Carrier::of(&key, entry)));
        let name = PlaceName::read(&name);
        let state = MirroredState {
            address: MirrorAddress {
                kind,
                owner: name.owner.to_owned(),
                repo: name.repo.map(str::to_owned),
                number,
            },
            node_id: state.node_id.clone(),
            ids,
            json: state.json.clone(),
            updated_at: state.updated_at,
            deleted: state.deleted,
        };
        Some((state, news))
    }

    /// States are used.
    pub(in crate::mirror) fn touch_all<'k>(&mut self, keys: impl Iterator<Item = &'k MirrorKey>) {
        keys.for_each(|key| self.touch(key));
    }
}

fn named_place(address: &str) -> SlicePlace {
    SlicePlace {
        place: MirroredPlace::Named(address.into()),
        name: address.to_owned(),
        ids: GithubIds::default(),
    }
}
