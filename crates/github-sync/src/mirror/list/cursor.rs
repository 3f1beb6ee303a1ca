//! Where a list goes on.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ports::{MirrorListing, ResourceError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::query::refused;
use crate::{limits::MAX_CURSOR_BYTES, mirror::key::MirroredPlace};

/// The place of a state in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum PagePosition {
    /// Among the states in their order.
    At(SortKey),
    /// Among those that changed since the list began, and may have moved to a part that was read: by the number of the
    /// change.
    Changed(u64),
}

/// What a list is ordered by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SortKey {
    /// The time of the last change in milliseconds; 0 in a list by number.
    pub(super) updated: i64,
    pub(super) number: u64,
    pub(super) place: MirroredPlace,
}

/// A moment in the life of a table: its number of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableMoment {
    /// Another process, and a restarted one, has another table.
    pub(super) table: u64,
    pub(super) change: u64,
}

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MirrorCursor {
    /// When its first page was read.
    pub(super) began: TableMoment,
    pub(super) position: PagePosition,
}

/// The form in which roles pass it on, as JSON: the list, the table and the change at which it began, and the position.
/// Edges seal it before a client gets it.
type CursorForm = (String, u64, u64, PagePosition);

impl TableMoment {
    /// The same moment in the table that is now; its beginning if this was in another one.
    pub(super) fn in_table(self, now: Self) -> Self {
        match self.table == now.table {
            true => self,
            false => Self { change: 0, ..now },
        }
    }
}

impl MirrorCursor {
    /// Up to which change of the present table the changed states were read.
    pub(super) fn change_in(&self, now: TableMoment) -> u64 {
        match self.position {
            PagePosition::Changed(change) if self.began.table == now.table => change,
            _ => 0,
        }
    }

    /// The cursor of a listing; `None` for its first page.
    ///
    /// # Errors
    /// It is another list's, or none.
    pub(super) fn of(listing: &MirrorListing) -> Result<Option<Self>, ResourceError> {
        let Some(text) = &listing.after else {
            return Ok(None);
        };
        let refusal = || {
            let problem = "not a cursor of this list; read the list from its beginning";
            refused("after", problem)
        };
        if text.len() > MAX_CURSOR_BYTES {
            return Err(refusal());
        }
        let form = serde_json::from_str::<CursorForm>(text);
        let (list, table, change, position) = form.map_err(|_| refusal())?;
        if list != digest(listing) {
            return Err(refusal());
        }
        let began = TableMoment { table, change };
        Ok(Some(Self { began, position }))
    }

    /// The form in which roles pass it on.
    pub(super) fn encode(self, listing: &MirrorListing) -> String {
        let TableMoment { table, change } = self.began;
        let form: CursorForm = (digest(listing), table, change, self.position);
        serde_json::to_string(&form).expect("numbers and texts")
    }
}

/// What tells lists apart: everything but the size of a page and where it begins.
fn digest(listing: &MirrorListing) -> String {
    let list = MirrorListing {
        owner: listing.owner.to_ascii_lowercase(),
        repo: listing.repo.as_ref().map(|repo| repo.to_ascii_lowercase()),
        limit: 0,
        after: None,
        ..listing.clone()
    };
    let digest = Sha256::digest(format!("{list:?}"));
    URL_SAFE_NO_PAD.encode(&digest[..12])
}
