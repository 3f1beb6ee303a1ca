//! The mirror, restricted to what one caller may see. What may not be seen is as if it did not exist.

use std::sync::Arc;

use access::Visibility;
use mcp_server::{CallError, Caller};
use model::{PlaceName, ResourceUri, Timestamp};
use ports::{
    MirrorAddress, MirrorFilter, MirrorListing, MirrorOrder, MirrorPage, MirrorProgress,
    MirrorReads, MirroredKind, MirroredState,
};

use crate::page_cursor::PageCursors;

/// The mirror for callers. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct MirrorAccess {
    mirror: Arc<dyn MirrorReads>,
    pub(crate) cursors: PageCursors,
}

impl MirrorAccess {
    pub(crate) fn new(mirror: Arc<dyn MirrorReads>, cursors: PageCursors) -> Self {
        Self { mirror, cursors }
    }

    /// Whether a list is looked through for a caller. One that shows nothing to it is not: that would take as long as the
    /// list is, and tell that it is there. A look at one state takes as long as one at none.
    ///
    /// # Errors
    /// The mirror does not answer; the caller may not read any more.
    pub(crate) async fn is_readable(
        &self,
        caller: &Caller,
        listing: &MirrorListing,
    ) -> Result<bool, CallError> {
        let reader = caller.reader()?;
        let (sees, is_search) = (&reader.sees, !listing.filter.words.is_empty());
        if sees.is_all() || (allows_list(sees, listing) && !is_search) {
            return Ok(true);
        }
        let first = MirrorListing {
            filter: MirrorFilter {
                with_deleted: true,
                ..MirrorFilter::default()
            },
            limit: 1,
            after: None,
            ..listing.clone()
        };
        let page = self.page(caller, &first).await?;
        let sees = &caller.reader()?.sees;
        let is_absent = page.states.is_empty();
        let mut states = page.states.into_iter();
        let is_visible = states.any(|state| visible(sees, state).is_some());
        // An owner's first state may be that of a repository which this caller may not see.
        let may_have_others = is_absent || listing.repo.is_none();
        Ok(is_visible || (may_have_others && allows_list(sees, listing)))
    }

    /// A page as the mirror has it, for a reader that selects what the caller may see.
    ///
    /// # Errors
    /// The mirror does not answer, or refuses the cursor.
    pub(crate) async fn page(
        &self,
        caller: &Caller,
        listing: &MirrorListing,
    ) -> Result<MirrorPage, CallError> {
        // The caller may have been notified of an event up to here.
        let page = self.mirror.list(listing, Some(caller.since), caller.trace);
        page.await.map_err(CallError::failed)
    }

    /// Looks through what the caller may see of a list, up to this many reads.
    ///
    /// # Errors
    /// The mirror does not answer; the caller may not read any more.
    pub(crate) async fn walk(
        &self,
        caller: &Caller,
        mut listing: MirrorListing,
        max_reads: usize,
        each: &mut (dyn FnMut(&MirroredState) + Send),
    ) -> Result<WalkedList, CallError> {
        let mut walked = WalkedList {
            as_of: None,
            is_whole: false,
        };
        if !self.is_readable(caller, &listing).await? {
            // As one that does not exist.
            walked.is_whole = true;
            return Ok(walked);
        }
        for read in 0..max_reads {
            let page = self.page(caller, &listing).await?;
            if read == 0 {
                walked.as_of = page.as_of;
            }
            // Asked after the read: the token may have been narrowed meanwhile.
            let sees = &caller.reader()?.sees;
            let states = page.states.into_iter();
            for state in states.filter_map(|state| visible(sees, state)) {
                each(&state);
            }
            listing.after = page.next;
            if listing.after.is_none() {
                walked.is_whole = true;
                break;
            }
        }
        Ok(walked)
    }

    /// What is mirrored of places that the caller may see, by place.
    ///
    /// # Errors
    /// The mirror does not answer; the caller may not read any more.
    pub(crate) async fn places(&self, caller: &Caller) -> Result<Vec<MirrorProgress>, CallError> {
        let read = self.mirror.progress(caller.trace);
        let mut all = read.await.map_err(CallError::failed)?;
        let sees = &caller.reader()?.sees;
        all.retain(|progress| {
            let (owner, repo) = match progress.place.split_once('/') {
                Some((owner, repo)) => (owner, Some(repo)),
                None => (&*progress.place, None),
            };
            let listing = MirrorListing {
                repo: repo.map(str::to_owned),
                ..owners_list(progress.kind, owner)
            };
            allows_list(sees, &listing)
        });
        all.sort_by(|one, other| (&one.place, one.kind).cmp(&(&other.place, other.kind)));
        Ok(all)
    }

    /// The states at these addresses as the caller may see them, without those that were deleted.
    ///
    /// # Errors
    /// The mirror does not answer.
    pub(crate) async fn get_many(
        &self,
        caller: &Caller,
        addresses: &[MirrorAddress],
    ) -> Result<Vec<Option<MirroredState>>, CallError> {
        let read = self
            .mirror
            .get_many(addresses, Some(caller.since), caller.trace);
        let states = read.await.map_err(CallError::failed)?;
        // Asked after the read: the token may have been narrowed meanwhile.
        let reader = caller.reader()?;
        let sees = |state: MirroredState| visible(&reader.sees, state).filter(|s| !s.deleted);
        Ok(states
            .into_iter()
            .map(|state| state.and_then(sees))
            .collect())
    }

    /// Since when the list of a place is known to be whole, for a caller that may see the place.
    ///
    /// # Errors
    /// The mirror does not answer.
    pub(crate) async fn as_of(
        &self,
        caller: &Caller,
        address: &MirrorAddress,
        is_seen: bool,
    ) -> Result<Option<Timestamp>, CallError> {
        let listing = MirrorListing {
            kind: address.kind,
            owner: address.owner.clone(),
            repo: address.repo.clone(),
            filter: MirrorFilter::default(),
            order: MirrorOrder::Number,
            descending: true,
            limit: 1,
            after: None,
        };
        let page = self.page(caller, &listing).await?;
        let sees = &caller.reader()?.sees;
        // What is there now may be that of another holder of the name.
        let may_know = match page.states.into_iter().next() {
            _ if is_seen => true,
            Some(state) => visible(sees, state).is_some(),
            None => allows_list(sees, &listing),
        };
        Ok(page.as_of.filter(|_| may_know))
    }
}

/// A list that was looked through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WalkedList {
    /// As [`MirrorPage::as_of`].
    pub(crate) as_of: Option<Timestamp>,
    /// Whether its end was reached.
    pub(crate) is_whole: bool,
}

/// What is known of an owner, of all its repositories, the newest first.
pub(crate) fn owners_list(kind: MirroredKind, owner: &str) -> MirrorListing {
    MirrorListing {
        kind,
        owner: owner.to_owned(),
        repo: None,
        filter: MirrorFilter::default(),
        order: MirrorOrder::Number,
        descending: true,
        limit: MirrorListing::MAX_LIMIT,
        after: None,
    }
}

/// Whether a reader may see a repository by its full name: what a project shows has no ids.
pub(crate) fn allows_repository(sees: &Visibility, full_name: &str) -> bool {
    let name = full_name.to_ascii_lowercase();
    name.split_once('/').is_some_and(|(owner, repo)| {
        sees.allows_uri(&ResourceUri::Events {
            owner: Some(owner.to_owned()),
            repo: Some(repo.to_owned()),
        })
    })
}

/// Where a state is.
pub(crate) fn place_of(address: &MirrorAddress) -> PlaceName<'_> {
    PlaceName {
        owner: &address.owner,
        repo: address.repo.as_deref(),
    }
}

/// The state as a reader may see it; `None` if it may not. What is read of it is judged by its ids.
pub(crate) fn visible(sees: &Visibility, state: MirroredState) -> Option<MirroredState> {
    let place = place_of(&state.address);
    if !sees.allows_place_with(place, state.ids) {
        return None;
    }
    let json = sees.cut_object(Some(place), state.ids, &state.json);
    Some(MirroredState { json, ..state })
}

/// Whether a list may be read page by page: of all repositories of an owner only by who sees the whole owner, since a cursor stands
/// behind what was looked at, and would tell others what is there.
pub(crate) fn allows_pages(sees: &Visibility, listing: &MirrorListing) -> bool {
    let owner = listing.owner.to_ascii_lowercase();
    let is_whole_owner = ResourceUri::Project { owner, number: 1 };
    listing.repo.is_some() || sees.is_all() || sees.allows_uri(&is_whole_owner)
}

/// Whether a reader may know of a list, by the names of this moment.
pub(crate) fn allows_list(sees: &Visibility, listing: &MirrorListing) -> bool {
    let owner = listing.owner.to_ascii_lowercase();
    sees.allows_uri(&match listing.kind {
        // In no repository.
        MirroredKind::Project
        | MirroredKind::DraftIssue
        | MirroredKind::ProjectField
        | MirroredKind::ProjectView
        | MirroredKind::ProjectItem => ResourceUri::Project { owner, number: 1 },
        _ => ResourceUri::Events {
            owner: Some(owner),
            repo: listing.repo.as_ref().map(|repo| repo.to_ascii_lowercase()),
        },
    })
}
