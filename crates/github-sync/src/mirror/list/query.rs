//! What is asked for, in the form in which it is compared.

use model::Timestamp;
use ports::{MirrorFilter, MirrorListing, MirrorOrder, MirroredKind, ResourceError};

use crate::{
    limits::{MAX_FILTER_TEXT_BYTES, MAX_FILTER_TEXTS},
    mirror::{
        facts::{ListFacts, folded},
        kept::Entry,
        key::is_of_owner,
        table::{Carrier, Table},
    },
};

/// A listing, with names and words in lower case.
#[derive(Debug)]
pub(super) struct ListQuery {
    pub(super) kind: MirroredKind,
    pub(super) owner: String,
    /// `owner/repo`.
    address: Option<String>,
    pub(super) by_update: bool,
    pub(super) descending: bool,
    /// Maximum number of states in a page.
    pub(super) limit: usize,
    pub(super) words: Vec<Box<str>>,
    state: Option<Box<str>>,
    labels: Vec<Box<str>>,
    assignee: Option<Box<str>>,
    creator: Option<Box<str>>,
    milestone: Option<u64>,
    updated_since: Option<Timestamp>,
    branch: Option<String>,
    with_deleted: bool,
}

/// A request that cannot be answered.
pub(super) fn refused(field: &'static str, problem: &str) -> ResourceError {
    ResourceError::Refused {
        field,
        problem: problem.to_owned(),
    }
}

impl ListQuery {
    /// Checks a listing.
    ///
    /// # Errors
    /// A member is out of its bounds.
    pub(super) fn of(listing: &MirrorListing) -> Result<Self, ResourceError> {
        if !(1..=MirrorListing::MAX_LIMIT).contains(&listing.limit) {
            let problem = format!("1 to {}", MirrorListing::MAX_LIMIT);
            return Err(refused("limit", &problem));
        }
        if listing.repo.is_some() && is_of_owner(listing.kind) {
            let problem = format!("{} belong to an owner, not to a repository", listing.kind);
            return Err(refused("repo", &problem));
        }
        let filter = &listing.filter;
        check(filter)?;
        let owner = listing.owner.to_ascii_lowercase();
        let repo = listing.repo.as_ref();
        let fold = |text: &Option<String>| text.as_deref().map(folded);
        Ok(Self {
            kind: listing.kind,
            address: repo.map(|repo| format!("{owner}/{}", repo.to_ascii_lowercase())),
            owner,
            by_update: listing.order == MirrorOrder::Updated,
            descending: listing.descending,
            limit: listing.limit,
            words: filter.words.iter().map(|word| folded(word)).collect(),
            state: fold(&filter.state),
            labels: filter.labels.iter().map(|label| folded(label)).collect(),
            assignee: fold(&filter.assignee),
            creator: fold(&filter.creator),
            milestone: filter.milestone,
            updated_since: filter.updated_since,
            branch: filter.branch.clone(),
            with_deleted: filter.with_deleted,
        })
    }

    /// The address of the repository; `None` for all of the owner, and for what belongs to the owner itself.
    pub(super) fn repo_address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// Whether what is asked for belongs to the owner itself.
    pub(super) fn is_of_owner(&self) -> bool {
        is_of_owner(self.kind)
    }

    /// Whether a state fits in what it carries: labels under their present names, and a milestone that is still there.
    pub(super) fn fits_carried(&self, table: &Table, carrier: Carrier<'_>) -> bool {
        let mut labels = self.labels.iter();
        labels.all(|label| table.carries_label(carrier, label))
            && self
                .milestone
                .is_none_or(|number| table.is_in_milestone(carrier, number))
    }

    /// Whether a state fits everything but the words and what it carries.
    pub(super) fn fits(&self, entry: &Entry) -> bool {
        let (state, facts) = (&entry.state, &*entry.state.facts);
        let is_since = |since| state.updated_at >= since;
        let is_creator = |who: &str| facts.creator.as_deref() == Some(who);
        (self.with_deleted || !state.deleted)
            && self.updated_since.is_none_or(is_since)
            && self.has_state(facts)
            && self.is_assigned(facts)
            && self.creator.as_deref().is_none_or(is_creator)
            && self
                .branch
                .as_deref()
                .is_none_or(|branch| facts.branch.as_deref() == Some(branch))
    }

    fn has_state(&self, facts: &ListFacts) -> bool {
        match self.state.as_deref() {
            None => true,
            Some("merged") => facts.merged,
            state => facts.state.as_deref() == state,
        }
    }

    fn is_assigned(&self, facts: &ListFacts) -> bool {
        match self.assignee.as_deref() {
            None => true,
            Some("*") => !facts.assignees.is_empty(),
            Some("none") => facts.assignees.is_empty(),
            Some(login) => facts.assignees.iter().any(|who| **who == *login),
        }
    }
}

/// The filter's bounds: every state is compared with it.
fn check(filter: &MirrorFilter) -> Result<(), ResourceError> {
    for (field, texts) in [("labels", &filter.labels), ("words", &filter.words)] {
        if texts.len() > MAX_FILTER_TEXTS {
            return Err(refused(field, &format!("up to {MAX_FILTER_TEXTS} of them")));
        }
        if texts.iter().any(String::is_empty) {
            return Err(refused(field, "one of them is empty"));
        }
    }
    let texts = [
        &filter.state,
        &filter.assignee,
        &filter.creator,
        &filter.branch,
    ];
    let texts = texts.into_iter().flatten();
    let mut texts = texts.chain(&filter.labels).chain(&filter.words);
    if texts.any(|text| text.len() > MAX_FILTER_TEXT_BYTES) {
        let problem = format!("a text is longer than {MAX_FILTER_TEXT_BYTES} bytes");
        return Err(refused("filter", &problem));
    }
    Ok(())
}
