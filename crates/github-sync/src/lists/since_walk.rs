//! Ascending by the last change, from the time up to which everything has been read.
//!
//! After a page, `since` becomes the time of its last item, so that the list before it is not asked for again. GitHub's times are
//! whole seconds and `since` includes its own: items of that second come again. Where a page ends in the second
//! that it begins with, the link leads on. Issues that change meanwhile move to the end, where they are read.
//!
//! A link may count its pages by number (Enterprise Server). Then an issue that moves to the end pulls the others
//! forward, one of them to a page that has been read. So after each page the one before it is asked for once more,
//! with its tags: it has what was pulled onto it.
//!
//! What is new is not settled: an issue may change once more in the same second, and thus without moving, and GitHub's
//! servers may write a change after a later one. So before a pass ends, it reads what was less than [`SETTLED_AFTER`] old when it
//! began once more, unless its last page has all of that. The next pass begins with this page and its tags; or reads the same
//! once more, if that takes several pages.

use github::{PageLink, RestCall, Validators};
use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::page::{ReadPage, WalkTurn, WalkedPage};
use crate::limits::SETTLED_AFTER;

/// What is known of the list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct SinceWalk {
    /// The present page.
    here: PageSpot,
    /// Its tags, if it was read at the end of a pass.
    tags: Validators,
    /// The time of the last change that was read.
    newest: Option<Timestamp>,
    /// The page before the present one, if pages are counted by number.
    before: Option<EarlierPage>,
    /// A page that is asked for once more, before the present one.
    check: Option<EarlierPage>,
    /// The pass is at its end after this check; when its last page was asked for.
    over_at: Option<Timestamp>,
    /// When the first page was read from which these pages go on.
    began_at: Option<Timestamp>,
    /// What is new is being read once more.
    is_repeating: bool,
}

/// Where a page is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct PageSpot {
    /// Where the list begins; `None` for all of it.
    since: Option<Timestamp>,
    /// A page after the first one.
    link: Option<PageLink>,
}

/// A page that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EarlierPage {
    spot: PageSpot,
    tags: Validators,
}

impl SinceWalk {
    pub(super) fn call(&self, first: RestCall) -> RestCall {
        let (spot, tags) = match &self.check {
            Some(earlier) => (&earlier.spot, &earlier.tags),
            None => (&self.here, &self.tags),
        };
        let call = match (&spot.link, spot.since) {
            (Some(link), _) => first.at(link),
            (None, Some(since)) => first.with("since", &whole_seconds(since)),
            (None, None) => first,
        };
        call.unless(tags.clone())
    }

    pub(super) fn forget_link(&mut self) -> bool {
        let had_link = self.here.link.take().is_some();
        if had_link {
            (self.before, self.check, self.over_at) = (None, None, None);
            self.tags = Validators::default();
        }
        had_link
    }

    pub(super) fn take(
        &mut self,
        page: WalkedPage,
        asked_at: Timestamp,
        page_items: usize,
    ) -> WalkTurn {
        if self.check.take().is_some() {
            let over_at = self.over_at.take();
            return WalkTurn::of(over_at.is_some(), over_at.unwrap_or(asked_at));
        }
        let WalkedPage::Page(mut page) = page else {
            return WalkTurn::of(true, asked_at);
        };
        let shown = page.newest.map(Timestamp::from_unix_millis);
        self.newest = self.newest.max(shown);
        self.check = self.before.take();
        self.tags = Validators::default();
        let began_at = *self.began_at.get_or_insert(asked_at);
        let is_over = match page.next.take() {
            Some(_) if shown > self.here.since => self.begin_at(shown),
            Some(next) => self.follow(next, page.tags),
            None => self.finish(page, began_at, page_items),
        };
        if is_over && self.check.is_some() {
            self.over_at = Some(asked_at);
        }
        WalkTurn::of(is_over && self.check.is_none(), asked_at)
    }

    // These three say whether the pass is over.

    fn begin_at(&mut self, since: Option<Timestamp>) -> bool {
        self.here = PageSpot { since, link: None };
        false
    }

    fn follow(&mut self, next: PageLink, tags: Validators) -> bool {
        if !next.is_by_cursor() {
            let spot = self.here.clone();
            self.before = Some(EarlierPage { spot, tags });
        }
        self.here.link = Some(next);
        false
    }

    /// The last page was read.
    fn finish(&mut self, page: ReadPage, began_at: Timestamp, page_items: usize) -> bool {
        self.began_at = None;
        let settled_to = Some(whole_second(began_at.minus(SETTLED_AFTER)));
        let new_from = self.newest.min(settled_to);
        let has_all = self.here.link.is_none() && self.here.since <= new_from;
        // The next pass begins with this page. It is left where it is until it is half full: moving it costs a request.
        let has_room = page.items * 2 < page_items || self.here.since == new_from;
        let was_repeating = std::mem::replace(&mut self.is_repeating, false);
        let is_enough = was_repeating || (has_all && has_room);
        if !is_enough {
            self.is_repeating = true;
            return self.begin_at(new_from);
        }
        if !has_all && self.newest >= settled_to {
            self.begin_at(new_from);
        } else if page.items < page_items {
            // The tags of a full page would hide the first item of the next one.
            self.tags = page.tags;
        }
        true
    }
}

/// GitHub's times are whole seconds.
fn whole_second(at: Timestamp) -> Timestamp {
    let millis = at.unix_millis();
    Timestamp::from_unix_millis(millis - millis.rem_euclid(1_000))
}

/// As GitHub writes times.
fn whole_seconds(at: Timestamp) -> String {
    at.to_string().replace(".000Z", "Z")
}
