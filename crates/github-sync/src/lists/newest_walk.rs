//! Descending by the last change, or by the id, down to what is known.
//!
//! Pages have numbers, and what is new or changes goes to the first one: that moves others to later pages, so that objects
//! are repeated and none is left out. Only one that changes on a page which is still to be read moves to one that was
//! read. So after a round of several pages the first one is asked for again, and the pass ends when it has not changed, or
//! when a single page has everything that is new.
//!
//! A round is read down to an object that is older than the newest one of the last whole round, which moves only at the end of a
//! round. Where the first page has nothing older, because many changed in one second, the following ones down to such
//! an object are asked for with their tags as well: in that second they may change without moving.

use github::{RestCall, Validators};
use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::page::{WalkTurn, WalkedPage};

/// What is known of the list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct NewestWalk {
    /// The newest of the last whole round.
    mark: Option<i64>,
    /// The first pages in the last whole round, down to one that has something older than the mark.
    head: Vec<HeadPage>,
    round: NewestRound,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HeadPage {
    tags: Validators,
    oldest: Option<i64>,
}

/// A round that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct NewestRound {
    began_at: Option<Timestamp>,
    /// Pages that were read.
    pages: u32,
    /// The first ones of them, down to one that has something older than the mark.
    head: Vec<HeadPage>,
    newest: Option<i64>,
    is_changed: bool,
}

impl NewestWalk {
    pub(super) fn call(&self, first: RestCall) -> RestCall {
        let page = self.round.pages as usize;
        let known = self.head.get(page).map(|page| page.tags.clone());
        let number = (page + 1).to_string();
        first
            .with("page", &number)
            .unless(known.unwrap_or_default())
    }

    pub(super) fn take(
        &mut self,
        page: WalkedPage,
        asked_at: Timestamp,
        max_pages: Option<u32>,
    ) -> WalkTurn {
        let round = &mut self.round;
        let as_of = *round.began_at.get_or_insert(asked_at);
        let at = round.pages as usize;
        round.pages += 1;
        let (seen, is_last) = match page {
            WalkedPage::Page(page) => {
                round.is_changed = true;
                round.newest = round.newest.max(page.newest);
                let seen = HeadPage {
                    tags: page.tags,
                    oldest: page.oldest,
                };
                (seen, page.next.is_none() || page.items == 0)
            }
            // Its tags were asked with.
            WalkedPage::Unmodified => {
                let is_last = at + 1 >= self.head.len();
                let known = self.head.get(at).cloned();
                let nothing = HeadPage {
                    tags: Validators::default(),
                    oldest: None,
                };
                (known.unwrap_or(nothing), is_last)
            }
        };
        let (mark, oldest) = (self.mark, seen.oldest);
        let is_known = mark.is_some_and(|mark| oldest.is_some_and(|oldest| oldest < mark));
        let newest = round.newest.max(mark);
        if round.head.last().is_none_or(|page| page.oldest >= newest) {
            round.head.push(seen);
        }
        let is_over = is_last || is_known || max_pages.is_some_and(|most| round.pages >= most);
        if !is_over {
            return WalkTurn::of(false, as_of);
        }
        let round = std::mem::take(round);
        (self.mark, self.head) = (newest, round.head);
        WalkTurn::of(!round.is_changed || round.pages == 1, as_of)
    }
}
