//! Reading GitHub's list of deliveries down to the last one that was relayed: however long it is, and going on where
//! a failure has interrupted it.

use std::collections::VecDeque;

use http::HeaderValue;
use tracing::{info, warn};

use crate::{
    deliveries::{DeliveriesApi, DeliveryPage, ListedDelivery},
    error::RelayFailure,
    limits::{LOOK_TRIES, MAX_LISTED, PROGRESS_PAGES},
};

/// A look at the list that has begun.
#[derive(Debug, Default)]
struct ListLook {
    /// The newest first.
    found: VecDeque<ListedDelivery>,
    /// Whether `found` had no room for all.
    is_cut: bool,
    lowest: Option<u64>,
    cursor: Option<String>,
    pages: usize,
    failures: u32,
    unreadable: usize,
    etag: Option<HeaderValue>,
}

/// The list.
#[derive(Debug, Default)]
pub(crate) struct DeliveryListing {
    /// Of the newest page, so that a look at an unchanged list does not count against the rate limit.
    etag: Option<HeaderValue>,
    look: Option<ListLook>,
    /// Whether a look has ended since the start.
    has_looked: bool,
    /// Entries of the list that could not be read in the last look.
    unreadable: usize,
}

impl DeliveryListing {
    /// Makes the next look read the newest page even if it is unchanged.
    pub(crate) fn forget_page(&mut self) {
        self.etag = None;
    }

    /// The deliveries after `last`, the oldest first.
    pub(crate) async fn after(
        &mut self,
        api: &mut DeliveriesApi,
        hook: u64,
        last: u64,
    ) -> Result<Vec<ListedDelivery>, RelayFailure> {
        let look = self.look.get_or_insert_default();
        let is_complete = loop {
            let tag = self.etag.as_ref().filter(|_| look.pages == 0);
            let page = match api.page(hook, look.cursor.as_deref(), tag).await {
                Ok(Some(page)) => page,
                Ok(None) => {
                    self.look = None;
                    return Ok(Vec::new());
                }
                Err(failure) => {
                    look.failed(&failure);
                    return Err(failure);
                }
            };
            if let Some(has_reached) = look.add(page, last) {
                break has_reached;
            }
            if look.pages.is_multiple_of(PROGRESS_PAGES) {
                info!(
                    deliveries = look.found.len(),
                    pages = look.pages,
                    "reading GitHub's list of deliveries"
                );
            }
        };
        let look = self.look.take().unwrap_or_default();
        if look.unreadable > self.unreadable {
            let count = look.unreadable;
            warn!(
                count,
                "entries of GitHub's list of deliveries cannot be read, and are left out"
            );
        }
        self.unreadable = look.unreadable;
        let oldest = look.found.back().map(|delivery| delivery.id);
        if let (false, false, Some(oldest), true) = (self.has_looked, is_complete, oldest, last > 0)
        {
            warn!(
                after = last,
                oldest,
                "GitHub no longer lists the last relayed delivery: what came between it and the oldest that is listed, \
                 if anything, is gone"
            );
        }
        self.has_looked = true;
        // The next look has to find those that had no room.
        self.etag = look.etag.filter(|_| !look.is_cut);
        let mut found = Vec::from(look.found);
        found.sort_unstable_by_key(|delivery| delivery.id);
        found.dedup_by_key(|delivery| delivery.id);
        Ok(found)
    }
}

impl ListLook {
    /// Takes a page. `Some` at the end of the look: whether the last relayed delivery, or an older one, was reached.
    fn add(&mut self, page: DeliveryPage, last: u64) -> Option<bool> {
        if self.pages == 0 {
            self.etag = page.etag;
        }
        self.pages += 1;
        self.unreadable += page.unreadable;
        self.failures = 0;
        let lowest = page.deliveries.iter().map(|delivery| delivery.id).min();
        let has_reached = lowest.is_some_and(|lowest| lowest <= last);
        // A page without anything older would be followed by others like it for ever.
        let goes_on = match (lowest, self.lowest) {
            (Some(lowest), Some(before)) => lowest < before,
            (lowest, _) => lowest.is_some(),
        };
        self.lowest = lowest.or(self.lowest);
        let new = page.deliveries.into_iter();
        self.found.extend(new.filter(|delivery| delivery.id > last));
        while self.found.len() > MAX_LISTED {
            self.found.pop_front();
            self.is_cut = true;
        }
        let is_over = page.next.is_none() || !goes_on;
        self.cursor = page.next;
        (has_reached || is_over).then_some(has_reached)
    }

    /// Begins anew after several failures, because GitHub may no longer take the cursor.
    fn failed(&mut self, failure: &RelayFailure) {
        if !matches!(failure, RelayFailure::Limited { .. }) {
            self.failures += 1;
        }
        if self.failures >= LOOK_TRIES {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: &[u64], next: Option<&str>) -> DeliveryPage {
        let listed = |id: &u64| ListedDelivery {
            id: *id,
            guid: None,
        };
        DeliveryPage {
            deliveries: ids.iter().map(listed).collect(),
            unreadable: 0,
            next: next.map(str::to_owned),
            etag: None,
        }
    }

    #[test]
    fn a_look_ends_at_the_last_relayed_one_at_the_end_of_the_list_or_where_pages_repeat() {
        let mut look = ListLook::default();
        assert_eq!(look.add(page(&[9, 8], Some("a")), 5), None);
        assert_eq!(look.add(page(&[7, 5, 4], Some("b")), 5), Some(true));
        let ids: Vec<_> = look.found.iter().map(|delivery| delivery.id).collect();
        assert_eq!(ids, [9, 8, 7]);
        let mut look = ListLook::default();
        assert_eq!(look.add(page(&[9, 8], Some("a")), 0), None);
        assert_eq!(look.add(page(&[7], None), 0), Some(false));
        for repeated in [&[9, 8][..], &[]] {
            let mut look = ListLook::default();
            assert_eq!(look.add(page(&[9, 8], Some("a")), 0), None);
            assert_eq!(look.add(page(repeated, Some("a")), 0), Some(false));
        }
    }

    #[test]
    fn what_has_no_room_is_the_newest_and_is_found_by_the_next_look() {
        let mut look = ListLook::default();
        let ids: Vec<u64> = (0..=MAX_LISTED as u64).rev().map(|id| id + 10).collect();
        assert_eq!(look.add(page(&ids, None), 5), Some(false));
        assert!(look.is_cut && look.found.len() == MAX_LISTED);
        assert_eq!(look.found.back().map(|delivery| delivery.id), Some(10));
    }

    #[test]
    fn a_look_goes_on_after_a_limit_and_begins_anew_after_several_failures() {
        let mut look = ListLook::default();
        look.add(page(&[9], Some("a")), 0);
        let limit = RelayFailure::Limited {
            what: String::new(),
            wait: None,
        };
        for _ in 0..10 {
            look.failed(&limit);
        }
        assert_eq!(look.cursor.as_deref(), Some("a"));
        for _ in 0..LOOK_TRIES {
            look.failed(&RelayFailure::passing("x"));
        }
        assert_eq!((look.cursor, look.pages), (None, 0));
    }
}
