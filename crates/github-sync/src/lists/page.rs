//! A page of a list as walks see it, and what it means to them.

use github::{PageLink, Validators};
use model::Timestamp;

/// A page as walks see it.
#[derive(Debug)]
pub(super) struct ReadPage {
    /// Its items, those that are left out among them.
    pub(super) items: usize,
    /// Items that make no sense.
    pub(super) unreadable: usize,
    /// The numbers of its objects, in their order.
    pub(super) numbers: Vec<u64>,
    /// The greatest and the least of what the list is ordered by.
    pub(super) newest: Option<i64>,
    pub(super) oldest: Option<i64>,
    pub(super) tags: Validators,
    pub(super) next: Option<PageLink>,
}

/// An answer.
#[derive(Debug)]
pub(super) enum WalkedPage {
    /// The page is as it was when its tags were given.
    Unmodified,
    Page(ReadPage),
}

/// What an answer means.
#[derive(Debug)]
pub(super) struct WalkTurn {
    /// The pass is at its end.
    pub(super) end: bool,
    /// Whether a pass at its end has read the whole list.
    pub(super) is_whole: bool,
    pub(super) gone: Vec<u64>,
    pub(super) as_of: Timestamp,
}

impl WalkTurn {
    /// A pass goes on, or is at its end.
    pub(super) fn of(end: bool, as_of: Timestamp) -> Self {
        Self {
            end,
            is_whole: end,
            gone: Vec::new(),
            as_of,
        }
    }
}
