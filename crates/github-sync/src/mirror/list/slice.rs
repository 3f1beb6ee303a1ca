//! What the table has of a list at one moment.

use std::{cmp::Ordering, sync::Arc};

use bytes::Bytes;
use model::{GithubIds, PlaceName, ResourceId, Timestamp};
use ports::{MirrorAddress, MirroredKind, MirroredState};

use super::{
    cursor::{MirrorCursor, PagePosition, SortKey, TableMoment},
    query::ListQuery,
};
use crate::mirror::{
    carried::CarriedNews,
    facts::ListFacts,
    kept::Entry,
    key::{MirrorKey, MirroredPlace},
    table::{Carrier, Table},
};

/// A part of a list in its order.
#[derive(Debug)]
pub(super) struct ListSlice {
    pub(super) places: Vec<SlicePlace>,
    pub(super) items: Vec<SliceItem>,
    /// Whether states of it were evicted.
    pub(super) is_missing: bool,
    /// When the first page of the list was read.
    pub(super) began: TableMoment,
}

/// A place in a list.
#[derive(Debug)]
pub(super) struct SlicePlace {
    pub(super) place: MirroredPlace,
    /// As it was shown, if that is its present name.
    pub(super) name: String,
    pub(super) ids: GithubIds,
}

/// A state in a list.
#[derive(Debug)]
pub(super) struct SliceItem {
    pub(super) key: Arc<MirrorKey>,
    pub(super) position: PagePosition,
    /// Where its place is in the slice.
    place: usize,
    pub(super) json: Bytes,
    node_id: ResourceId,
    updated_at: Timestamp,
    deleted: bool,
    facts: Arc<ListFacts>,
    made_at: u64,
    /// The address under which it was shown, if its place has another one.
    former: Option<Box<str>>,
}

impl SliceItem {
    /// What of it decides about the news of what it carries.
    pub(super) fn carrier(&self) -> Carrier<'_> {
        Carrier {
            key: &self.key,
            facts: &self.facts,
            made_at: self.made_at,
            spelt: self.former.as_deref(),
        }
    }
}

/// A state that fits, and its order.
type Fitting<'t> = (SortKey, usize, &'t Arc<MirrorKey>, &'t Entry);

impl ListSlice {
    /// The state with the news of what it carries, as callers see it.
    pub(super) fn state(&self, item: &SliceItem, news: &CarriedNews) -> MirroredState {
        let place = &self.places[item.place];
        let name = PlaceName::read(&place.name);
        MirroredState {
            address: MirrorAddress {
                kind: item.key.kind,
                owner: name.owner.to_owned(),
                repo: name.repo.map(str::to_owned),
                number: item.key.number,
            },
            node_id: item.node_id.clone(),
            ids: place.ids,
            json: news.applied_to(&item.json),
            updated_at: item.updated_at,
            deleted: item.deleted,
        }
    }
}

impl Table {
    /// What comes next in a list. Without words it is what may be in the page, and one more; with them everything, because
    /// the texts decide.
    pub(super) fn slice(&self, query: &ListQuery, cursor: Option<&MirrorCursor>) -> ListSlice {
        let places = self.places_in(query);
        let now = self.moment();
        let began = cursor.map_or(now, |cursor| cursor.began.in_table(now));
        let fitting = self.fitting(query, &places);
        let (ahead, changed) = match cursor.map(|cursor| &cursor.position) {
            None => (fitting, Vec::new()),
            Some(PagePosition::At(last)) => parted(query, fitting, last, began),
            Some(PagePosition::Changed(_)) => {
                let since = cursor.map_or(0, |cursor| cursor.change_in(now));
                let fitting = fitting.into_iter();
                let changed = fitting.filter(|fitting| fitting.3.changed > since);
                (Vec::new(), changed.collect())
            }
        };
        let items = in_order(query, &places, (ahead, changed));
        ListSlice {
            items,
            is_missing: self.lacks(query.kind, &places),
            places,
            began,
        }
    }

    fn fitting<'t>(&'t self, query: &ListQuery, places: &[SlicePlace]) -> Vec<Fitting<'t>> {
        let mut fitting = Vec::new();
        for (at, place) in places.iter().enumerate() {
            let (first, last) = MirrorKey::bounds(&place.place, Some(query.kind));
            for (key, entry) in self.entries.range(first..=last) {
                let fits = query.fits(entry) && query.fits_carried(self, Carrier::of(key, entry));
                if !fits || self.is_known_by_id(query, key) {
                    continue;
                }
                let updated = entry.state.updated_at.unix_millis();
                let sort = SortKey {
                    updated: if query.by_update { updated } else { 0 },
                    number: key.number,
                    place: key.place.clone(),
                };
                fitting.push((sort, at, key, entry));
            }
        }
        fitting
    }

    /// Whether a state without ids is also known with them.
    fn is_known_by_id(&self, query: &ListQuery, key: &MirrorKey) -> bool {
        let MirroredPlace::Named(address) = &key.place else {
            return false;
        };
        let id = self.place_of(query.kind, address);
        id.is_some_and(|id| {
            let known = MirrorKey {
                place: MirroredPlace::Known(id),
                ..key.clone()
            };
            self.entries.contains_key(&known)
        })
    }

    /// Whether states of this kind were evicted from one of the places.
    fn lacks(&self, kind: MirroredKind, places: &[SlicePlace]) -> bool {
        places.iter().any(|place| match place.place {
            MirroredPlace::Known(id) => self.is_missing(id, kind),
            MirroredPlace::Named(_) => false,
        })
    }

    fn moment(&self) -> TableMoment {
        TableMoment {
            table: self.id,
            change: self.uses,
        }
    }
}

/// What comes after a position, and what is before it but has changed since the list began.
fn parted<'t>(
    query: &ListQuery,
    fitting: Vec<Fitting<'t>>,
    last: &SortKey,
    began: TableMoment,
) -> (Vec<Fitting<'t>>, Vec<Fitting<'t>>) {
    let order = match query.descending {
        true => Ordering::Less,
        false => Ordering::Greater,
    };
    let fitting = fitting.into_iter();
    let (ahead, behind): (Vec<_>, Vec<_>) =
        fitting.partition(|fitting| fitting.0.cmp(last) == order);
    let behind = behind.into_iter();
    let changed = behind.filter(|fitting| query.by_update && fitting.3.changed > began.change);
    (ahead, changed.collect())
}

fn in_order(
    query: &ListQuery,
    places: &[SlicePlace],
    (mut ahead, mut changed): (Vec<Fitting<'_>>, Vec<Fitting<'_>>),
) -> Vec<SliceItem> {
    ahead.sort_unstable_by(|one, other| match query.descending {
        true => other.0.cmp(&one.0),
        false => one.0.cmp(&other.0),
    });
    changed.sort_unstable_by_key(|fitting| fitting.3.changed);
    let most = match query.words.is_empty() {
        true => query.limit + 1,
        false => usize::MAX,
    };
    let ahead = ahead.into_iter().map(|fitting| (true, fitting));
    let all = ahead.chain(changed.into_iter().map(|fitting| (false, fitting)));
    let items = all
        .take(most)
        .map(|(is_ahead, (sort, place, key, entry))| SliceItem {
            key: Arc::clone(key),
            position: match is_ahead {
                true => PagePosition::At(sort),
                false => PagePosition::Changed(entry.changed),
            },
            place,
            json: entry.state.json.clone(),
            node_id: entry.state.node_id.clone(),
            updated_at: entry.state.updated_at,
            deleted: entry.state.deleted,
            facts: Arc::clone(&entry.state.facts),
            made_at: entry.version.made_at,
            former: former(entry, &places[place]),
        });
    items.collect()
}

fn former(entry: &Entry, place: &SlicePlace) -> Option<Box<str>> {
    let spelt = entry.state.spelt.as_ref()?;
    let is_same = spelt.eq_ignore_ascii_case(&place.name);
    (!is_same).then(|| spelt.clone())
}
