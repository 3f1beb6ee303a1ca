//! A walk through a list: what is asked for next, and what an answer means. No I/O.

use github::{PageLink, RestCall, Validators};
use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    address::{ListAddress, WalkKind},
    newest_walk::NewestWalk,
    one_walk::OneWalk,
    since_walk::SinceWalk,
    whole_walk::WholeWalk,
};

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

/// A walk, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ListWalk {
    Since(Box<SinceWalk>),
    Newest(NewestWalk),
    Whole(WholeWalk),
    One(OneWalk),
}

impl ListWalk {
    /// The first walk through a list.
    pub(super) fn begin(kind: WalkKind) -> Self {
        match kind {
            WalkKind::Since => Self::Since(Box::default()),
            WalkKind::Newest { .. } => Self::Newest(NewestWalk::default()),
            WalkKind::Whole { .. } => Self::Whole(WholeWalk::default()),
            WalkKind::One => Self::One(OneWalk::default()),
        }
    }

    /// Whether a list is read like this.
    pub(super) fn fits(&self, kind: WalkKind) -> bool {
        matches!(
            (self, kind),
            (Self::Since(_), WalkKind::Since)
                | (Self::Newest(_), WalkKind::Newest { .. })
                | (Self::Whole(_), WalkKind::Whole { .. })
                | (Self::One(_), WalkKind::One)
        )
    }

    /// What is asked for next.
    pub(super) fn call(&self, list: &ListAddress, page_items: usize) -> RestCall {
        let first = list.call(page_items);
        match self {
            Self::Since(walk) => walk.call(first),
            Self::Newest(walk) => walk.call(first),
            Self::Whole(walk) => walk.call(first),
            Self::One(walk) => walk.call(first),
        }
    }

    /// Goes back to a page that has no link, if the present one has a link.
    pub(super) fn forget_link(&mut self) -> bool {
        match self {
            Self::Since(walk) => walk.forget_link(),
            Self::Whole(walk) => walk.forget_link(),
            Self::Newest(_) | Self::One(_) => false,
        }
    }

    /// Takes the answer to the call.
    pub(super) fn take(
        &mut self,
        page: WalkedPage,
        asked_at: Timestamp,
        list: &ListAddress,
        page_items: usize,
    ) -> WalkTurn {
        match (self, list.walk()) {
            (Self::Newest(walk), WalkKind::Newest { max_pages }) => {
                walk.take(page, asked_at, max_pages)
            }
            (Self::Whole(walk), WalkKind::Whole { is_numbered }) => {
                walk.take(page, asked_at, (is_numbered, page_items))
            }
            (Self::Since(walk), _) => walk.take(page, asked_at, page_items),
            (Self::One(walk), _) => {
                walk.take(page);
                WalkTurn::of(true, asked_at)
            }
            _ => unreachable!("a walk is made for the list"),
        }
    }
}
