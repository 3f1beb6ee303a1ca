//! All pages of a short list, each with its tags: what changed is read, and what vanished shows.
//!
//! The objects of a list move between its pages when one vanishes or its order changes. So a pass ends after a round in which
//! each page had the objects that it had in the round before, or after a list of one page: then the list was like
//! that at one moment, and an object that was in it before, and is on none of its pages, is gone.
//!
//! A full page may be followed by another one without any change of its own, so that a numbered list is asked for the page after a
//! full one. A list that counts by links has none there: its last page is asked for without tags if it is full.
//! [`MAX_WHOLE_PAGES`] pages are read of a list. Beyond it nothing is ever said to be gone, and the list counts as not whole.

use std::collections::BTreeSet;

use github::{PageLink, RestCall, Validators};
use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::page::{ReadPage, WalkTurn, WalkedPage};
use crate::limits::MAX_WHOLE_PAGES;

/// What is known of the list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct WholeWalk {
    pages: Vec<KnownPage>,
    /// The numbers of the list at the end of the last pass that has read it whole, and those that were read since.
    known: BTreeSet<u64>,
    /// Pages of the present round that were read.
    read: usize,
    began_at: Option<Timestamp>,
    /// The objects of a page are others than in the round before.
    is_moving: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KnownPage {
    tags: Validators,
    numbers: Vec<u64>,
    /// It has items that make no sense, which may be objects that are not gone.
    is_doubtful: bool,
    is_last: bool,
    next: Option<PageLink>,
}

impl WholeWalk {
    /// From its start, with what was in the list.
    pub(super) fn begin_again(&self) -> Self {
        Self {
            known: self.known.clone(),
            ..Self::default()
        }
    }

    pub(super) fn call(&self, first: RestCall) -> RestCall {
        let call = match (self.read, self.link()) {
            (0, _) => first,
            (_, Some(link)) => first.at(link),
            (read, None) => first.with("page", &(read + 1).to_string()),
        };
        let known = self.pages.get(self.read).map(|page| page.tags.clone());
        call.unless(known.unwrap_or_default())
    }

    /// That of the page to read now.
    fn link(&self) -> Option<&PageLink> {
        let before = self.pages.get(self.read.checked_sub(1)?)?;
        before.next.as_ref()
    }

    pub(super) fn forget_link(&mut self) -> bool {
        let had_link = self.link().is_some();
        if had_link {
            self.pages.clear();
            (self.read, self.is_moving, self.began_at) = (0, false, None);
        }
        had_link
    }

    pub(super) fn take(
        &mut self,
        page: WalkedPage,
        asked_at: Timestamp,
        (is_numbered, page_items): (bool, usize),
    ) -> WalkTurn {
        let as_of = *self.began_at.get_or_insert(asked_at);
        if let WalkedPage::Page(page) = page {
            self.put(KnownPage::of(page, is_numbered, page_items));
        }
        self.read += 1;
        let is_last = self
            .pages
            .get(self.read - 1)
            .is_none_or(|page| page.is_last);
        if !is_last && self.read < MAX_WHOLE_PAGES {
            return WalkTurn::of(false, as_of);
        }
        self.pages.truncate(self.read);
        let is_stable = !self.is_moving || self.read == 1;
        (self.read, self.is_moving, self.began_at) = (0, false, None);
        match (is_stable, is_last) {
            (false, _) => WalkTurn::of(false, as_of),
            (true, false) => {
                self.known.clear();
                WalkTurn {
                    is_whole: false,
                    ..WalkTurn::of(true, as_of)
                }
            }
            (true, true) => WalkTurn {
                gone: self.settle(),
                ..WalkTurn::of(true, as_of)
            },
        }
    }

    fn put(&mut self, page: KnownPage) {
        let known = self.pages.get(self.read);
        self.is_moving |= known.is_none_or(|known| known.numbers != page.numbers);
        self.known.extend(&page.numbers);
        match self.pages.get_mut(self.read) {
            Some(known) => *known = page,
            None => self.pages.push(page),
        }
    }

    /// Notes what the list has now; what it had and has no longer.
    fn settle(&mut self) -> Vec<u64> {
        let is_doubtful = self.pages.iter().any(|page| page.is_doubtful);
        if is_doubtful {
            return Vec::new();
        }
        let numbers = self.pages.iter().flat_map(|page| &page.numbers);
        let known = std::mem::replace(&mut self.known, numbers.copied().collect());
        known.difference(&self.known).copied().collect()
    }
}

impl KnownPage {
    fn of(page: ReadPage, is_numbered: bool, page_items: usize) -> Self {
        let is_full = page.items >= page_items;
        let has_next = page.next.is_some() || (is_numbered && is_full);
        let next = page.next.filter(|_| !is_numbered);
        Self {
            tags: match is_full && !has_next {
                true => Validators::default(),
                false => page.tags,
            },
            numbers: page.numbers,
            is_doubtful: page.unreadable > 0,
            is_last: !has_next,
            next,
        }
    }
}
