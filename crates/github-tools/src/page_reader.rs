//! A page of a list within its bytes, with the cursor that continues it.
//!
//! The mirror's cursors stand after whole pages of the mirror. A page of an answer may end within one: by its bytes, or
//! because states that the caller may not see, or that the mirror could not select, were between. Then the mirror is asked
//! again for exactly as many as there is room for, and its cursor, sealed, is that of the answer. So nothing is left out,
//! also if the list changes meanwhile.

use access::Visibility;
use github_events::{JsonSelection, pick};
use mcp_server::{CallError, Caller};
use model::Timestamp;
use ports::{MirrorListing, MirrorPage, MirroredState, ResourceError};
use serde_json::{Value, value::RawValue};

use crate::{
    limits::MAX_READS,
    mirror::{MirrorAccess, allows_list, allows_pages, visible},
};

/// Makes an item of a state and the selected parts of its JSON; `None` if it is not in the list.
pub(crate) type ShowItem<'s> = &'s (dyn Fn(&MirroredState, &Value) -> Option<String> + Send + Sync);

/// A page that is asked for.
pub(crate) struct PageQuestion<'s> {
    /// The list, and where its page begins. Its limit is not used.
    pub(crate) listing: MirrorListing,
    /// Maximum number of items.
    pub(crate) max_items: usize,
    /// Maximum JSON of the items with their commas, in bytes.
    pub(crate) max_bytes: usize,
    /// The parts of GitHub's object that items are made of.
    pub(crate) selection: &'static JsonSelection,
    /// Whether `show` leaves out states that the mirror could not leave out itself.
    pub(crate) is_selective: bool,
    /// Makes the items.
    pub(crate) show: ShowItem<'s>,
}

/// A page as the caller may see it.
#[derive(Debug, Default)]
pub(crate) struct ListedItems {
    pub(crate) items: Vec<Box<RawValue>>,
    /// Continues the list; `None` at its end.
    pub(crate) next: Option<String>,
    /// As [`MirrorPage::as_of`].
    pub(crate) as_of: Option<Timestamp>,
}

/// A page that is being read.
struct Progress {
    listed: ListedItems,
    /// The mirror is asked for this next.
    listing: MirrorListing,
    left: usize,
    /// What has been read shows that the list is not that of somebody else.
    is_seen: bool,
    has_states: bool,
    /// The next read has as many states as there is room for.
    is_cut: bool,
}

fn whole_owner_refused() -> ResourceError {
    ResourceError::Refused {
        field: "repo",
        problem: "name the repository: all repositories of an owner are listed to whoever may see the whole owner".to_owned(),
    }
}

impl MirrorAccess {
    /// Reads a page.
    ///
    /// # Errors
    /// The mirror does not answer, or refuses the cursor; the caller may not read any more.
    pub(crate) async fn read_page(
        &self,
        caller: &Caller,
        question: &PageQuestion<'_>,
    ) -> Result<ListedItems, CallError> {
        let after = question.listing.after.as_deref();
        let after = after.map(|after| self.cursors.open(caller, after));
        let listing = MirrorListing {
            after: after.transpose()?,
            ..question.listing.clone()
        };
        let began_after = listing.after.clone();
        let mut progress = Progress {
            listed: ListedItems::default(),
            listing,
            left: question.max_bytes,
            is_seen: false,
            has_states: false,
            is_cut: false,
        };
        let sees = &caller.reader()?.sees;
        if !allows_pages(sees, &question.listing) {
            // Who may see nothing of it learns nothing of it.
            return match allows_list(sees, &question.listing) {
                true => Err(CallError::failed(whole_owner_refused())),
                false => Ok(ListedItems::default()),
            };
        }
        if !self.is_readable(caller, &progress.listing).await? {
            return Ok(ListedItems::default());
        }
        let mut is_over = false;
        for read in 0..MAX_READS {
            if !progress.is_cut {
                let selects = question.is_selective || !caller.reader()?.sees.is_all();
                progress.listing.limit = match selects {
                    true => MirrorListing::MAX_LIMIT,
                    false => question.max_items - progress.listed.items.len(),
                };
            }
            let page = self.page(caller, &progress.listing).await?;
            // Reads may go to several replicas.
            progress.listed.as_of = match read {
                0 => page.as_of,
                _ => progress.listed.as_of.zip(page.as_of).map(|(a, b)| a.min(b)),
            };
            // Asked after the read: the token may have been narrowed meanwhile.
            is_over = progress.add(page, &caller.reader()?.sees, question);
            if is_over || progress.is_of_another() {
                break;
            }
        }
        if !is_over && progress.listing.after == began_after {
            // It has never held still.
            return Err(CallError::failed(ResourceError::Behind));
        }
        let next = progress.listing.after.take();
        let next = next.map(|next| self.cursors.seal(caller, &next));
        progress.listed.next = next.transpose()?;
        let sees = &caller.reader()?.sees;
        Ok(progress.into_seen(sees))
    }
}

impl Progress {
    /// Adds a page of the mirror; whether the answer is complete. If only its beginning has room, the next read is of that.
    fn add(&mut self, page: MirrorPage, sees: &Visibility, question: &PageQuestion<'_>) -> bool {
        let MirrorPage { states, next, .. } = page;
        self.has_states |= !states.is_empty();
        let (mut items, mut bytes) = (Vec::new(), 0);
        for (place, state) in states.into_iter().enumerate() {
            let Some(state) = visible(sees, state) else {
                continue;
            };
            self.is_seen = true;
            let picked = pick(&state.json, question.selection).unwrap_or_default();
            let Some(item) = (question.show)(&state, &picked) else {
                continue;
            };
            bytes += item.len() + 1;
            let has_room =
                self.listed.items.len() + items.len() < question.max_items && bytes <= self.left;
            if !has_room {
                (self.is_cut, self.listing.limit) = (true, place);
                // Nothing more fits.
                return place == 0;
            }
            items.extend(RawValue::from_string(item));
        }
        self.left -= bytes;
        self.listed.items.extend(items);
        let is_end = next.is_none();
        self.listing.after = next;
        is_end || self.is_cut || self.listed.items.len() >= question.max_items
    }

    /// Whether what has been read is in a repository that the caller may not see: the rest is there, too.
    fn is_of_another(&self) -> bool {
        self.has_states && !self.is_seen && self.listing.repo.is_some()
    }

    /// The page, unless it is that of a place which the caller may not see: then it is as if there were none.
    fn into_seen(self, sees: &Visibility) -> ListedItems {
        let is_owners = self.listing.repo.is_none();
        let may_know = || (!self.has_states || is_owners) && allows_list(sees, &self.listing);
        match self.is_seen || may_know() {
            true => self.listed,
            false => ListedItems::default(),
        }
    }
}
