//! Lists of states: filters, order and pages.
//!
//! `query` is what is asked for, `cursor` where a list goes on, `slice` what the table has of it at one moment, `words` the
//! search in texts, which needs no lock. A page is made of them here.

mod cursor;
mod places;
mod query;
mod slice;
mod words;

use bytes::Bytes;
use model::PlaceId;
use ports::{
    MAX_PAGE_BYTES, MirrorAddress, MirrorListing, MirrorPage, MirroredState, ResourceError,
};

use super::{Mirror, carried::CarriedNews};
use crate::limits::{MAX_MANY_BYTES, MAX_SEARCHED_BYTES};
use cursor::MirrorCursor;
use query::ListQuery;
use slice::{ListSlice, SliceItem};

impl Mirror {
    /// A page of a list, as of the present position.
    ///
    /// # Errors
    /// The listing is refused.
    pub(crate) fn list(&self, listing: &MirrorListing) -> Result<MirrorPage, ResourceError> {
        let query = ListQuery::of(listing)?;
        let cursor = MirrorCursor::of(listing)?;
        let slice = self.table.lock().slice(&query, cursor.as_ref());
        // Without the lock: texts may be large.
        let found = Found::of(&slice, &query, listing.limit);
        let as_of = self.as_of(&query, &slice);
        let next = found.next.map(|last| {
            let cursor = MirrorCursor {
                began: slice.began,
                position: slice.items[last].position.clone(),
            };
            cursor.encode(listing)
        });
        let items = found.items.iter().map(|found| &slice.items[*found]);
        let news: Vec<_> = {
            let mut table = self.table.lock();
            table.touch_all(items.clone().map(|item| &*item.key));
            items
                .clone()
                .map(|item| table.news_of(item.carrier()))
                .collect()
        };
        let states = items.zip(&news);
        let states = states.map(|(item, news)| slice.state(item, news));
        Ok(MirrorPage {
            states: states.collect(),
            next,
            as_of,
        })
    }

    /// The states at some addresses, as of the present position.
    ///
    /// # Errors
    /// There are too many, or they are too large together.
    pub(crate) fn get_many(
        &self,
        addresses: &[MirrorAddress],
    ) -> Result<Vec<Option<MirroredState>>, ResourceError> {
        if addresses.len() > MirrorListing::MAX_LIMIT {
            let problem = format!("up to {} at once", MirrorListing::MAX_LIMIT);
            return Err(query::refused("addresses", &problem));
        }
        let mut table = self.table.lock();
        let states = addresses.iter().map(|address| table.state_at(address));
        let states: Vec<_> = states.collect();
        drop(table);
        let with_news = |(state, news): (MirroredState, CarriedNews)| MirroredState {
            json: news.applied_to(&state.json),
            ..state
        };
        let states = states.into_iter().map(|found| found.map(with_news));
        let states: Vec<_> = states.collect();
        let sizes = states.iter().flatten().map(|state| state.json.len());
        if sizes.clone().count() > 1 && sizes.sum::<usize>() > MAX_MANY_BYTES {
            let problem = "together they are too large for one answer; ask for fewer at once";
            return Err(query::refused("addresses", problem));
        }
        Ok(states)
    }

    /// Which id has each of these names, as of the present position.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn holders(&self, names: &[String]) -> Result<Vec<Option<PlaceId>>, ResourceError> {
        if names.len() > MirrorListing::MAX_LIMIT {
            let problem = format!("up to {} at once", MirrorListing::MAX_LIMIT);
            return Err(query::refused("names", &problem));
        }
        let table = self.table.lock();
        let holders = names.iter().map(|name| table.places.holder(name));
        Ok(holders.collect())
    }

    /// Since when everything that a list shows is known to be whole.
    fn as_of(&self, query: &ListQuery, slice: &ListSlice) -> Option<model::Timestamp> {
        let progress = self.progress.lock();
        let names = slice.places.iter().map(|place| place.name.as_str());
        let mut names: Vec<&str> = names.collect();
        let mut times = Vec::new();
        match query.repo_address() {
            // Whether all repositories of an owner are known says their own list.
            None if !query.is_of_owner() => {
                times.push(progress.as_of(&query.owner, ports::MirroredKind::Repository));
                // Of some of them nothing may have been shown yet.
                times.extend(progress.of_owner(&query.owner, query.kind));
            }
            // Nothing is known there by now, but its list may have been read.
            address if names.is_empty() => names.push(address.unwrap_or(&query.owner)),
            _ => {}
        }
        times.extend(names.iter().map(|name| progress.as_of(name, query.kind)));
        let is_whole = !slice.is_missing && times.iter().all(Option::is_some);
        times.into_iter().flatten().min().filter(|_| is_whole)
    }
}

/// What is in a page.
#[derive(Default)]
struct Found {
    /// Positions in the slice.
    items: Vec<usize>,
    /// The last one that was looked at, if the list goes on.
    next: Option<usize>,
}

impl Found {
    /// Chooses from a slice what has the words, up to `limit` and the bytes of a page. A search looks at up to
    /// [`MAX_SEARCHED_BYTES`].
    fn of(slice: &ListSlice, query: &ListQuery, limit: usize) -> Self {
        let mut page = Self::default();
        let (mut bytes, mut searched) = (0, 0);
        let size = |json: &Bytes| json.len().max(1);
        for (at, item) in slice.items.iter().enumerate() {
            let SliceItem { json, .. } = item;
            let is_full = page.items.len() >= limit;
            let fits = bytes == 0 || bytes + size(json) <= MAX_PAGE_BYTES;
            if is_full || !fits || searched > MAX_SEARCHED_BYTES {
                page.next = at.checked_sub(1);
                return page;
            }
            if !query.words.is_empty() {
                searched += size(json);
                if !words::has_all(json, &query.words) {
                    continue;
                }
            }
            bytes += size(json);
            page.items.push(at);
        }
        page
    }
}

#[cfg(test)]
mod tests;
