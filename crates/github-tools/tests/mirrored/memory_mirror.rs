//! A mirror in memory that keeps the contract of [`ports::MirrorReads`].

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Mutex,
};

use async_trait::async_trait;
use model::{LogPosition, PlaceId, Timestamp, TraceContext};
use ports::{
    MAX_PAGE_BYTES, MirrorAddress, MirrorFilter, MirrorListing, MirrorOrder, MirrorPage,
    MirrorProgress, MirrorReads, MirroredKind, MirroredState, ResourceError,
};
use serde_json::Value;

/// Changes the states before each list is read.
type Unrest = Box<dyn FnMut(&mut Vec<MirroredState>) + Send>;

#[derive(Default)]
pub(crate) struct MemoryMirror {
    pub(crate) states: Mutex<Vec<MirroredState>>,
    /// By place (`owner/repo`, or an owner) and kind.
    pub(crate) as_of: Mutex<BTreeMap<(String, MirroredKind), Timestamp>>,
    pub(crate) unrest: Mutex<Option<Unrest>>,
    /// The reads so far.
    pub(crate) reads: Mutex<usize>,
}

impl std::fmt::Debug for MemoryMirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryMirror").finish_non_exhaustive()
    }
}

fn place(owner: &str, repo: Option<&str>) -> String {
    let name = repo.map_or_else(|| owner.to_owned(), |repo| format!("{owner}/{repo}"));
    name.to_ascii_lowercase()
}

fn is_same(one: &Value, other: &str) -> bool {
    one.as_str()
        .is_some_and(|one| one.eq_ignore_ascii_case(other))
}

fn fits(filter: &MirrorFilter, state: &MirroredState) -> bool {
    if *filter == MirrorFilter::default() {
        return !state.deleted;
    }
    let object: Value = serde_json::from_slice(&state.json).unwrap();
    let has_label = |label: &String| {
        let mut labels = object["labels"].as_array().into_iter().flatten();
        labels.any(|known| is_same(&known["name"], label))
    };
    let has_assignee = |login: &String| {
        let assignees = object["assignees"].as_array().cloned().unwrap_or_default();
        match login.as_str() {
            "*" => !assignees.is_empty(),
            "none" => assignees.is_empty(),
            login => assignees
                .iter()
                .any(|known| is_same(&known["login"], login)),
        }
    };
    let texts =
        [&object["title"], &object["body"]].map(|t| t.as_str().unwrap_or_default().to_lowercase());
    let has_word = |word: &String| texts.iter().any(|text| text.contains(&word.to_lowercase()));
    let has_state = |wanted: &String| match wanted.as_str() {
        "merged" => object["merged_at"].is_string(),
        wanted => is_same(&object["state"], wanted),
    };
    (filter.with_deleted || !state.deleted)
        && filter.state.as_ref().is_none_or(has_state)
        && filter.labels.iter().all(has_label)
        && filter.assignee.as_ref().is_none_or(has_assignee)
        && filter
            .creator
            .as_ref()
            .is_none_or(|login| is_same(&object["user"]["login"], login))
        && filter
            .milestone
            .is_none_or(|number| object["milestone"]["number"] == number)
        && filter
            .updated_since
            .is_none_or(|since| state.updated_at >= since)
        && filter.words.iter().all(has_word)
        && filter.branch.as_ref().is_none_or(|branch| {
            object["base"]["ref"] == branch.as_str() || object["head_branch"] == branch.as_str()
        })
}

/// What a list is, without where its page begins and how long it is.
fn fingerprint(listing: &MirrorListing) -> String {
    let listing = MirrorListing {
        limit: 0,
        after: None,
        owner: listing.owner.to_ascii_lowercase(),
        ..listing.clone()
    };
    let mut hasher = DefaultHasher::new();
    format!("{listing:?}").hash(&mut hasher);
    format!("{:x}", hasher.finish())
}

type Place = (i64, u64, String);

fn read_cursor(listing: &MirrorListing) -> Result<Option<Place>, ResourceError> {
    let Some(after) = &listing.after else {
        return Ok(None);
    };
    let refused = || ResourceError::Refused {
        field: "after",
        problem: "not a cursor of this list; leave it out to begin again".to_owned(),
    };
    let mut parts = after.splitn(4, ':');
    let mut part = || parts.next().ok_or_else(refused);
    if part()? != fingerprint(listing) {
        return Err(refused());
    }
    let time = part()?.parse().map_err(|_| refused())?;
    let number = part()?.parse().map_err(|_| refused())?;
    Ok(Some((time, number, part()?.to_owned())))
}

#[async_trait]
impl MirrorReads for MemoryMirror {
    async fn list(
        &self,
        listing: &MirrorListing,
        seen: Option<LogPosition>,
        _: Option<TraceContext>,
    ) -> Result<MirrorPage, ResourceError> {
        assert!(
            seen.is_some(),
            "a caller may have been notified of an event"
        );
        assert!(
            (1..=MirrorListing::MAX_LIMIT).contains(&listing.limit),
            "{listing:?}"
        );
        *self.reads.lock().unwrap() += 1;
        let mut states = self.states.lock().unwrap();
        if let Some(unrest) = &mut *self.unrest.lock().unwrap() {
            unrest(&mut states);
        }
        let after = read_cursor(listing)?;
        let at = |state: &MirroredState| {
            let time = match listing.order {
                MirrorOrder::Number => 0,
                MirrorOrder::Updated => state.updated_at.unix_millis(),
            };
            let address = &state.address;
            (
                time,
                address.number,
                place(&address.owner, address.repo.as_deref()),
            )
        };
        let is_there = |state: &&MirroredState| {
            let address = &state.address;
            address.kind == listing.kind
                && address.owner.eq_ignore_ascii_case(&listing.owner)
                && listing.repo.as_ref().is_none_or(|repo| {
                    address
                        .repo
                        .as_ref()
                        .is_some_and(|known| known.eq_ignore_ascii_case(repo))
                })
                && after.as_ref().is_none_or(|after| match listing.descending {
                    true => at(state) < *after,
                    false => at(state) > *after,
                })
                && fits(&listing.filter, state)
        };
        let mut found: Vec<_> = states.iter().filter(is_there).collect();
        found.sort_by_cached_key(|state| at(state));
        if listing.descending {
            found.reverse();
        }
        let (mut bytes, all) = (0, found.len());
        let fitting = found.iter().take(listing.limit).take_while(|state| {
            let is_first = bytes == 0;
            bytes += state.json.len();
            is_first || bytes <= MAX_PAGE_BYTES
        });
        let fitting = fitting.count();
        found.truncate(fitting);
        let found: Vec<MirroredState> = found.into_iter().cloned().collect();
        let last = found.last().filter(|_| fitting < all);
        let next = last.map(|state| {
            let (time, number, place) = at(state);
            format!("{}:{time}:{number}:{place}", fingerprint(listing))
        });
        let key = (place(&listing.owner, listing.repo.as_deref()), listing.kind);
        let as_of = self.as_of.lock().unwrap().get(&key).copied();
        Ok(MirrorPage {
            states: found,
            next,
            as_of,
        })
    }

    async fn get_many(
        &self,
        addresses: &[MirrorAddress],
        seen: Option<LogPosition>,
        _: Option<TraceContext>,
    ) -> Result<Vec<Option<MirroredState>>, ResourceError> {
        assert!(
            seen.is_some(),
            "a caller may have been notified of an event"
        );
        let states = self.states.lock().unwrap();
        let is = |state: &MirroredState, wanted: &MirrorAddress| {
            let at = |a: &MirrorAddress| place(&a.owner, a.repo.as_deref());
            let known = &state.address;
            (known.kind, known.number, at(known)) == (wanted.kind, wanted.number, at(wanted))
        };
        let find = |wanted| states.iter().find(|state| is(state, wanted)).cloned();
        Ok(addresses.iter().map(find).collect())
    }

    async fn holders(
        &self,
        names: &[String],
        _: Option<LogPosition>,
        _: Option<TraceContext>,
    ) -> Result<Vec<Option<PlaceId>>, ResourceError> {
        Ok(vec![None; names.len()])
    }

    async fn progress(
        &self,
        _: Option<TraceContext>,
    ) -> Result<Vec<MirrorProgress>, ResourceError> {
        let as_of = self.as_of.lock().unwrap();
        let progress = as_of.iter().map(|((place, kind), as_of)| MirrorProgress {
            place: place.clone(),
            kind: *kind,
            as_of: Some(*as_of),
            failure: None,
        });
        Ok(progress.collect())
    }

    async fn compare_now(
        &self,
        _: Option<&str>,
        _: Option<TraceContext>,
    ) -> Result<bool, ResourceError> {
        Ok(false)
    }
}
