//! States of pull requests: which are read, and when again.

use model::Timestamp;
use ports::MirroredKind;
use serde::Deserialize;

use super::Pass;
use crate::{
    compare::error::CompareError,
    details::{DetailFacts, DetailToRead},
    limits::{MAX_PULLS_PER_PASS, PULLS_PER_QUERY},
    listed::ListedPlace,
};

const KIND: MirroredKind = MirroredKind::PullState;

/// Why a pull request is read: the first come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PullDue {
    /// It changed, or its state is not known.
    Changed,
    /// Something was pushed to its repository: its base may have moved.
    Pushed,
    /// GitHub was still finding out, or checks had not ended.
    Unsettled,
}

impl Pass<'_> {
    /// Reads the states of open pull requests that may have others now.
    pub(super) async fn pulls(&mut self, place: &ListedPlace) -> Result<(), CompareError> {
        let began_at = self.comparer.clock.now();
        let pushed_at = self.pushed_at(place);
        let mut due = self.due_pulls(place, pushed_at);
        let is_all = due.len() <= MAX_PULLS_PER_PASS;
        due.truncate(MAX_PULLS_PER_PASS);
        let mut fault = None;
        for batch in due.chunks(PULLS_PER_QUERY) {
            self.begin_query()?;
            let details = &self.comparer.details;
            let answer = details.pull_states(&place.owner, batch, pushed_at).await?;
            self.note_points(&answer);
            let (page, asked_at) = (answer.read, answer.asked_at);
            self.take_details(place, &page, asked_at).await?;
            fault = fault.or(page.fault);
        }
        // They are as whole as the list of pull requests.
        let is_whole = is_all && self.is_read(MirroredKind::PullRequest);
        self.note_details(KIND, is_whole.then_some(began_at), fault.as_deref());
        Ok(())
    }

    /// When somebody pushed to the repository last, as far as it is known.
    fn pushed_at(&self, place: &ListedPlace) -> Option<Timestamp> {
        #[derive(Deserialize)]
        struct Pushed {
            pushed_at: Option<Timestamp>,
        }
        let id = place.repository.as_ref()?.id.0;
        let mirror = &self.comparer.mirror;
        let (_, known) = mirror.known(place, MirroredKind::Repository, id)?;
        serde_json::from_slice::<Pushed>(&known.json)
            .ok()?
            .pushed_at
    }

    /// The pull requests to read, the most urgent first. Those of one urgency begin with another one each time, so that at the
    /// bound each has its turn.
    fn due_pulls(&self, place: &ListedPlace, pushed_at: Option<Timestamp>) -> Vec<DetailToRead> {
        let mirror = &self.comparer.mirror;
        let mut due = Vec::new();
        let states = mirror.living(place, KIND);
        for pull in mirror.living(place, MirroredKind::PullRequest) {
            let state = states.binary_search_by_key(&pull.number, |state| state.number);
            let state = state.ok().map(|at| &states[at]);
            // One that was closed since is read once more: then its state is its last one.
            if !pull.is_open && !state.is_some_and(|state| state.is_open) {
                continue;
            }
            let facts = state.map(|state| DetailFacts::of(&state.json));
            let facts = facts.unwrap_or_default();
            let read = DetailToRead {
                number: pull.number,
                node_id: pull.node_id,
                updated_at: pull.updated_at,
            };
            if let Some(why) = due_of(&facts, &read, pushed_at) {
                due.push((why, read));
            }
        }
        let pulls = due.len().max(1) as u64;
        let first = usize::try_from(self.comparer.ids.random_u64() % pulls).unwrap_or(0);
        due.rotate_left(first);
        due.sort_by_key(|(why, _)| *why);
        due.into_iter().map(|(_, pull)| pull).collect()
    }
}

fn due_of(
    facts: &DetailFacts,
    pull: &DetailToRead,
    pushed_at: Option<Timestamp>,
) -> Option<PullDue> {
    let lacks = |known: Option<Timestamp>, at| known.is_none_or(|known| at > known);
    if lacks(facts.read_for, pull.updated_at) {
        return Some(PullDue::Changed);
    }
    if pushed_at.is_some_and(|at| lacks(facts.pushed_at, at)) {
        return Some(PullDue::Pushed);
    }
    facts.is_unsettled.then_some(PullDue::Unsettled)
}
