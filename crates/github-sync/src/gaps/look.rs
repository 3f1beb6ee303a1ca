//! A look through a webhook's list of deliveries, the newest first, down to what is known: it goes on in the next sweep
//! where a bound or a failure has interrupted it.

use std::collections::HashSet;

use github::{GithubClient, RestAnswer, RestCall, RestPages, Validators};
use model::{Classified, ErrorClass, Timestamp};
use serde_json::value::RawValue;
use tracing::warn;

use super::{delivery::SweptDelivery, error::GapError};
use crate::limits::{LIST_OVERLAP, MAX_SETTLED};

/// What is known of a webhook's deliveries.
#[derive(Debug, Default)]
pub(super) struct HookHistory {
    /// Everything that was delivered up to then is settled, or waits for its repair: in the log, given up by name, or pending.
    pub(super) through: Option<Timestamp>,
    /// When the last look that came to its end began.
    looked_at: Option<Timestamp>,
    /// Those of the newest page, if the same is true of everything on it.
    tags: Validators,
    /// Such deliveries in the part of the list that is read again, by their ids.
    settled: HashSet<u64>,
    /// A look that is not over.
    look: Option<HookLook>,
    /// Not every missing delivery had room in the last look.
    is_cut: bool,
    /// The last sweep in which GitHub gave a delivery of this webhook, by its number.
    given_in: Option<u64>,
}

#[derive(Debug)]
struct HookLook {
    pages: RestPages,
    began_at: Timestamp,
    floor: Timestamp,
    /// The first delivery of each page, by its id.
    first_ids: HashSet<u64>,
    found: FinishedLook,
}

/// What a look has found out about the list.
#[derive(Debug, Default)]
struct FinishedLook {
    tags: Validators,
    newest: Option<Timestamp>,
    listed: Vec<(u64, Timestamp)>,
    /// Not every missing delivery had room: the next look has to find those from then on.
    cut_at: Option<Timestamp>,
}

/// A page of a look.
#[derive(Debug)]
pub(super) enum LookedPage {
    /// Deliveries of which nothing is known yet.
    Deliveries {
        unknown: Vec<SweptDelivery>,
        unreadable: usize,
        listed: usize,
        /// Whether nothing unknown comes after this page.
        is_last: bool,
    },
    /// The list is as it was.
    Unchanged,
}

impl HookHistory {
    /// Whether the list was read to its end, so that the oldest missing delivery is known.
    pub(super) fn is_looked_through(&self) -> bool {
        self.look.is_none()
    }

    /// Whether the next look needs room for what the last one had none for.
    pub(super) fn lacks_room(&self) -> bool {
        self.is_cut && self.look.is_none()
    }

    /// GitHub gave a delivery in this sweep.
    pub(super) fn gives(&mut self, sweep: u64) {
        self.given_in = Some(sweep);
    }

    /// Whether GitHub gave a delivery in this sweep or a later one.
    pub(super) fn has_given_since(&self, sweep: u64) -> bool {
        self.given_in.is_some_and(|given| given >= sweep)
    }

    /// The next page of the list. `floor` is the time before which nothing can be missing; `now` is the log's time.
    pub(super) async fn next_page(
        &mut self,
        client: &GithubClient,
        list: &RestCall,
        (now, floor): (Timestamp, Timestamp),
    ) -> Result<LookedPage, GapError> {
        let floor = self.floor(floor);
        let tags = self.tags.clone();
        let look = self.look.get_or_insert_with(|| HookLook {
            pages: client.pages(list.clone().unless(tags)),
            began_at: now,
            floor,
            first_ids: HashSet::new(),
            found: FinishedLook::default(),
        });
        let page = match look.pages.next_page::<Vec<Box<RawValue>>>().await {
            Ok(page) => page,
            Err(error) => {
                // What passes is asked for again. GitHub may also not take the cursor of a page any longer: then the look
                // begins anew.
                let passes = matches!(
                    error.class(),
                    ErrorClass::Overloaded | ErrorClass::Transient
                );
                if !passes {
                    self.look = None;
                }
                return Err(error.into());
            }
        };
        let (entries, tags) = match page {
            Some(RestAnswer::Modified { value, tags }) => (value, tags),
            Some(RestAnswer::NotModified) => {
                self.look = None;
                self.looked_at = Some(now);
                return Ok(LookedPage::Unchanged);
            }
            None => (Vec::new(), Validators::default()),
        };
        if look.found.newest.is_none() && look.found.listed.is_empty() {
            look.found.tags = tags;
        }
        let (read, unreadable) = SweptDelivery::read_page(&entries);
        // Links that lead back to a page: the rest of the list cannot be had, and would be read for ever.
        let is_circle = read
            .first()
            .is_some_and(|first| !look.first_ids.insert(first.id));
        if is_circle {
            warn!("GitHub's list of deliveries leads in a circle; it is read no further");
        }
        let is_last = is_circle
            || entries.is_empty()
            || read
                .last()
                .is_some_and(|oldest| oldest.delivered_at < look.floor);
        let listed = read.len();
        let unknown = look.unknown(read, &self.settled, now);
        Ok(LookedPage::Deliveries {
            unknown,
            unreadable,
            listed,
            is_last,
        })
    }

    /// The time of the last look, if the list goes back no further than to a later time now. It is told once.
    pub(super) fn missed_since(&mut self, listed_from: Timestamp) -> Option<Timestamp> {
        self.looked_at.take_if(|looked| *looked < listed_from)
    }

    /// Where the next look may end.
    fn floor(&self, floor: Timestamp) -> Timestamp {
        let through = self.through.map(|through| through.minus(LIST_OVERLAP));
        through.map_or(floor, |through| through.max(floor))
    }

    /// There was no room for a missing delivery: a later look has to find it.
    pub(super) fn forget(&mut self, delivery: &SweptDelivery) {
        self.is_cut = true;
        self.tags = Validators::default();
        self.settled.remove(&delivery.id);
        let before = delivery.delivered_at;
        self.through = self.through.map(|through| through.min(before));
        if let Some(look) = &mut self.look {
            let cut_at = &mut look.found.cut_at;
            *cut_at = Some(cut_at.map_or(before, |at| at.min(before)));
        }
    }

    /// The look is over, and everything that it found missing waits for its repair.
    pub(super) fn finish_look(&mut self) {
        let Some(look) = self.look.take() else {
            return;
        };
        self.looked_at = Some(look.began_at);
        let looked = look.found;
        self.is_cut = looked.cut_at.is_some();
        if let Some(cut_at) = looked.cut_at {
            self.tags = Validators::default();
            // At most the log's time, as the newest one.
            self.through = looked.newest.min(Some(cut_at)).max(self.through);
            return;
        }
        self.tags = looked.tags;
        self.through = looked.newest.max(self.through);
        let kept_from = self.floor(Timestamp::default());
        let kept = looked.listed.iter();
        let kept = kept.filter(|(_, at)| *at >= kept_from);
        self.settled = kept.map(|(id, _)| *id).collect();
    }
}

impl HookLook {
    /// Those of a page of which nothing is known yet.
    fn unknown(
        &mut self,
        page: Vec<SweptDelivery>,
        settled: &HashSet<u64>,
        now: Timestamp,
    ) -> Vec<SweptDelivery> {
        let mut unknown = Vec::new();
        for delivery in page {
            // A clock of GitHub that is ahead (Enterprise Server) does not end the looks before what comes next.
            let at = delivery.delivered_at.min(now);
            self.found.newest = self.found.newest.max(Some(at));
            if self.found.listed.len() < MAX_SETTLED {
                self.found.listed.push((delivery.id, delivery.delivered_at));
            }
            let is_old = delivery.delivered_at < self.floor;
            // GitHub tests a webhook with it, and no event comes of it.
            let is_ping = &*delivery.event == "ping";
            if !is_old && !is_ping && !settled.contains(&delivery.id) {
                unknown.push(delivery);
            }
        }
        unknown
    }
}
