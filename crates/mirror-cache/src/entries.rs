//! Keys, answers and their sizes.

use bytes::Bytes;
use model::ResourceUri;
use ports::{MirrorAddress, MirrorListing, MirrorPage, MirroredKind, MirroredState, ResourceState};
use tokio::time::Instant;

use crate::{
    changes::{ChangeKeys, ChangeMoment},
    dependencies::Dependencies,
    limits::{ENTRY_BYTES, MAX_AGE, MAX_NONE_AGE},
};

/// A question. All spellings of one are one key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum CacheKey {
    /// The state at a URI.
    Resource(ResourceUri),
    /// The state at an address, in lower case.
    State(MirrorAddress),
    /// A page, with its place in lower case.
    Page(Box<MirrorListing>),
}

impl CacheKey {
    pub(crate) fn of_address(address: &MirrorAddress) -> Self {
        let mut address = lower_case(address);
        if address.kind == MirroredKind::Repository {
            // Its name is enough.
            address.number = 0;
        }
        Self::State(address)
    }

    pub(crate) fn of_listing(listing: &MirrorListing) -> Self {
        Self::Page(Box::new(MirrorListing {
            owner: listing.owner.to_ascii_lowercase(),
            repo: listing.repo.as_deref().map(str::to_ascii_lowercase),
            ..listing.clone()
        }))
    }

    fn bytes(&self) -> usize {
        let of_place = |owner: &str, repo: Option<&str>| owner.len() + repo.map_or(0, str::len);
        match self {
            Self::Resource(uri) => uri.place().map_or(0, |it| of_place(it.owner, it.repo)),
            Self::State(it) => of_place(&it.owner, it.repo.as_deref()),
            Self::Page(it) => {
                let filter = &it.filter;
                let texts = filter.labels.iter().chain(&filter.words);
                let singles = [
                    &filter.state,
                    &filter.assignee,
                    &filter.creator,
                    &filter.branch,
                ];
                of_place(&it.owner, it.repo.as_deref())
                    + size_of::<MirrorListing>()
                    + texts
                        .map(|text| text.capacity() + size_of::<String>())
                        .sum::<usize>()
                    + singles
                        .into_iter()
                        .flatten()
                        .map(String::capacity)
                        .sum::<usize>()
                    + it.after.as_ref().map_or(0, String::capacity)
            }
        }
    }
}

fn lower_case(address: &MirrorAddress) -> MirrorAddress {
    MirrorAddress {
        owner: address.owner.to_ascii_lowercase(),
        repo: address.repo.as_deref().map(str::to_ascii_lowercase),
        ..address.clone()
    }
}

/// The answer to a question.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum CachedAnswer {
    Resource(Option<ResourceState>),
    State(Option<MirroredState>),
    Page(MirrorPage),
}

impl CachedAnswer {
    /// The same, without a share in the buffer that it came in: a small state may be a slice of megabytes.
    fn detached(mut self) -> Self {
        let detach = |json: &mut Bytes| *json = Bytes::copy_from_slice(json);
        match &mut self {
            Self::Resource(state) => state.iter_mut().for_each(|state| detach(&mut state.json)),
            Self::State(state) => state.iter_mut().for_each(|state| detach(&mut state.json)),
            Self::Page(page) => {
                let states = page.states.iter_mut();
                states.for_each(|state| detach(&mut state.json));
            }
        }
        self
    }

    /// Whether nothing was found.
    pub(crate) const fn is_none(&self) -> bool {
        matches!(self, Self::Resource(None) | Self::State(None))
    }

    fn bytes(&self) -> usize {
        let of_state = |state: &MirroredState| {
            let address = &state.address;
            let names = address.owner.len() + address.repo.as_ref().map_or(0, String::len);
            size_of::<MirroredState>() + names + state.node_id.as_str().len() + state.json.len()
        };
        match self {
            Self::Resource(state) => state.as_ref().map_or(0, |state| state.json.len()),
            Self::State(state) => state.as_ref().map_or(0, of_state),
            Self::Page(page) => page.states.iter().map(of_state).sum(),
        }
    }
}

/// An answer that is kept.
#[derive(Debug)]
pub(crate) struct CacheEntry {
    pub(crate) answer: CachedAnswer,
    pub(crate) dependencies: Dependencies,
    /// The last change before the reading began.
    pub(crate) began: ChangeMoment,
    pub(crate) began_at: Instant,
    /// What it counts for, in bytes.
    pub(crate) bytes: u32,
}

impl CacheEntry {
    /// Keeps the answer to a question of which the reading began at these moments.
    pub(crate) fn new(
        keys: &ChangeKeys,
        key: &CacheKey,
        answer: CachedAnswer,
        (began, began_at): (ChangeMoment, Instant),
    ) -> Self {
        let dependencies = match (key, &answer) {
            (CacheKey::Resource(uri), CachedAnswer::Resource(state)) => {
                keys.of_resource(uri, state.as_ref())
            }
            (CacheKey::State(address), CachedAnswer::State(state)) => {
                keys.of_state(address, state.as_ref())
            }
            (CacheKey::Page(listing), CachedAnswer::Page(page)) => keys.of_page(listing, page),
            // No such answer is given.
            _ => Box::default(),
        };
        let bytes = ENTRY_BYTES + key.bytes() + answer.bytes();
        Self {
            answer: answer.detached(),
            dependencies,
            began,
            began_at,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        }
    }

    /// Whether it is read again though nothing is known to have changed.
    pub(crate) fn is_too_old(&self, now: Instant) -> bool {
        let max = match self.answer.is_none() {
            true => MAX_NONE_AGE,
            false => MAX_AGE,
        };
        now.duration_since(self.began_at) >= max
    }
}
