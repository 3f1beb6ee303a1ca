//! Where a list has been read to, as it is stored.

use serde::{Deserialize, Serialize};

use super::{address::ListAddress, page::WalkTurn, walk::ListWalk};

/// The version of what is stored.
const VERSION: u32 = 1;

/// Where a list has been read to. The default is that nothing has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListCheckpoint {
    version: u32,
    whole: bool,
    /// Requests of this pass.
    pub(super) pages: u32,
    walk: Option<ListWalk>,
}

impl Default for ListCheckpoint {
    fn default() -> Self {
        Self {
            version: VERSION,
            whole: false,
            pages: 0,
            walk: None,
        }
    }
}

impl ListCheckpoint {
    /// From what [`Self::to_json`] gave; anything else, another version among it, is as if nothing had been read.
    pub(crate) fn from_json(json: &[u8]) -> Self {
        let read: Option<Self> = serde_json::from_slice(json).ok();
        read.filter(|it| it.version == VERSION).unwrap_or_default()
    }

    /// For the store.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts are JSON")
    }

    /// The list was read to its end once. Never true of a list that is beyond its bound ([`crate::limits::MAX_WHOLE_PAGES`]), nor of
    /// one that GitHub does not have.
    pub(crate) const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Reads the list from its start again. That it was whole, and what was in it, stays known.
    pub(crate) fn begin_again(&self) -> Self {
        Self {
            version: VERSION,
            whole: self.whole,
            pages: 0,
            walk: self.walk.as_ref().map(ListWalk::begin_again),
        }
    }

    /// The walk that goes on, or a first one.
    pub(super) fn walk_of(&self, list: &ListAddress) -> ListWalk {
        let kind = list.walk();
        let own = self.walk.clone().filter(|walk| walk.fits(kind));
        own.unwrap_or_else(|| ListWalk::begin(kind))
    }

    /// After a step.
    pub(super) fn after(&self, walk: ListWalk, turn: &WalkTurn) -> Self {
        Self {
            version: VERSION,
            whole: self.whole || turn.is_whole,
            pages: if turn.end { 0 } else { self.pages + 1 },
            walk: Some(walk),
        }
    }
}
