//! A walk through a list: what is asked for next, and what an answer means. No I/O.

use github::RestCall;
use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    address::{ListAddress, WalkKind},
    newest_walk::NewestWalk,
    one_walk::OneWalk,
    page::{WalkTurn, WalkedPage},
    since_walk::SinceWalk,
    whole_walk::WholeWalk,
};

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

    /// The same walk from its start; of a list that is always read whole, with what was in it.
    pub(super) fn begin_again(&self) -> Self {
        match self {
            Self::Since(_) => Self::Since(Box::default()),
            Self::Newest(_) => Self::Newest(NewestWalk::default()),
            Self::Whole(walk) => Self::Whole(walk.begin_again()),
            Self::One(_) => Self::One(OneWalk::default()),
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
