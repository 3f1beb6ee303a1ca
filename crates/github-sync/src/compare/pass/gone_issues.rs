//! Issues that GitHub no longer has, though no webhook said so: the list of changes does not show what is no longer there.
//!
//! The repository says how many issues and pull requests are open. More of them in the mirror, and each day, is the reason to ask
//! how many issues there are: one point of GraphQL's limit. Only if that is fewer than the mirror has, their numbers are
//! read, 100 for a point, and what is not among them is asked for by itself before it is said to be gone.

use std::collections::{BTreeMap, BTreeSet};

use ports::MirroredKind;
use serde::Deserialize;
use tracing::{debug, info};

use super::Pass;
use crate::{
    compare::{
        comparer::ItemWalk,
        error::CompareError,
        place_records::{IssueCount, PlaceLabel},
    },
    limits::{COUNT_ISSUES_EVERY, MAX_FATES_PER_PASS, MAX_NUMBER_PAGES},
    listed::ListedPlace,
    lists::IssueFate,
    mirror::LivingState,
};

const KIND: MirroredKind = MirroredKind::Issue;

#[derive(Deserialize)]
struct WrittenRepository {
    open_issues_count: usize,
}

impl Pass<'_> {
    /// Looks for issues that are gone, if there is a reason to. What it finds waits for its webhook like anything else.
    pub(super) async fn look_for_gone_issues(
        &mut self,
        place: &ListedPlace,
    ) -> Result<(), CompareError> {
        let mirror = &self.comparer.mirror;
        if !self.comparer.kinds_of(self.label).contains(&KIND)
            || mirror.is_missing(place, KIND)
            || !self.is_read(KIND)
        {
            return Ok(());
        }
        let issues = mirror.living(place, KIND);
        let count = IssueCount {
            at: self.comparer.clock.now(),
            too_many_open: self.too_many_open(place, &issues),
        };
        let is_due = self.is_count_due(count);
        if is_due && !self.read_numbers(place, &issues).await? {
            // What GitHub did not give is asked for at the next comparison.
            return Ok(());
        }
        self.note_count(count, is_due);
        Ok(())
    }

    /// By how many the mirror has more open issues and pull requests than the repository says; 0 if that is not known.
    fn too_many_open(&mut self, place: &ListedPlace, issues: &[LivingState]) -> usize {
        let mirror = &self.comparer.mirror;
        let repository = place.repository.as_ref().map_or(0, |known| known.id.0);
        let repository = mirror.known(place, MirroredKind::Repository, repository);
        let written = repository
            .and_then(|(_, known)| serde_json::from_slice::<WrittenRepository>(&known.json).ok());
        let pulls = mirror.living(place, MirroredKind::PullRequest);
        let open = |states: &[LivingState]| states.iter().filter(|it| it.is_open).count();
        let here = open(issues) + open(&pulls);
        written.map_or(0, |it| here.saturating_sub(it.open_issues_count))
    }

    /// Whether there is another reason than at the last time.
    fn is_count_due(&mut self, count: IssueCount) -> bool {
        let last = self.state.issue_count;
        let is_other = last.is_none_or(|last| count.too_many_open != last.too_many_open);
        let is_old = last.is_some_and(|last| count.at >= last.at.plus(COUNT_ISSUES_EVERY));
        is_old || (is_other && count.too_many_open > 0)
    }

    fn note_count(&mut self, count: IssueCount, is_read: bool) {
        let last = self.state.issue_count;
        let is_same = last.is_some_and(|last| last.too_many_open == count.too_many_open);
        if is_read || !is_same {
            let at = last.map_or(count.at, |last| last.at);
            let at = if is_read { count.at } else { at };
            self.state.issue_count = Some(IssueCount { at, ..count });
            self.is_changed = true;
        }
    }

    /// Asks how many issues there are and, if there are fewer than here, which; whether GitHub has said it.
    async fn read_numbers(
        &mut self,
        place: &ListedPlace,
        issues: &[LivingState],
    ) -> Result<bool, CompareError> {
        match self.walk_numbers(place, issues).await {
            Ok(is_read) => Ok(is_read),
            Err(error) if error.is_of_list() => {
                // As a rule it is the credentials: they are asked with again in a day.
                debug!(place = %self.label, %error, "issues are not counted");
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    async fn walk_numbers(
        &mut self,
        place: &ListedPlace,
        issues: &[LivingState],
    ) -> Result<bool, CompareError> {
        let Some(repository) = &place.repository else {
            return Ok(true);
        };
        // No project has this number, and none is in a repository.
        let key: (PlaceLabel, u64) = (self.label.clone(), 0);
        let walk = self.comparer.walks.lock().remove(&key);
        let mut walk = walk.unwrap_or_else(|| ItemWalk {
            after: None,
            seen: BTreeSet::new(),
            pages: 0,
            read_for: self.comparer.clock.now(),
        });
        loop {
            self.begin_query()?;
            let details = &self.comparer.details;
            let name = (place.owner.as_str(), repository.name.as_str());
            let answer = details.issue_numbers(name, walk.after.as_deref()).await?;
            self.note_points(&answer);
            let Some(page) = answer.read else {
                return Ok(false);
            };
            let waiting = self.state.list(KIND).gone.len();
            if page.total >= issues.len().saturating_sub(waiting) {
                return Ok(true);
            }
            walk.seen.extend(page.numbers);
            walk.pages += 1;
            walk.after = page.next;
            if walk.after.is_none() {
                break;
            }
            if walk.pages >= MAX_NUMBER_PAGES {
                info!(place = %self.label, "there are too many issues to look for those that are gone");
                return Ok(true);
            }
            // A comparison that is ended at its time limit goes on there.
            self.comparer.walks.lock().insert(key.clone(), walk.clone());
        }
        self.comparer.walks.lock().remove(&key);
        let missing = issues.iter().filter(|issue| {
            issue.updated_at <= walk.read_for && !walk.seen.contains(&issue.number)
        });
        let now = self.comparer.clock.now();
        let list = self.state.list(KIND);
        for issue in missing {
            if list.gone_since(issue.number, now).is_some() {
                self.tally.waiting += 1;
            }
        }
        self.is_changed = true;
        Ok(true)
    }

    /// What became of issues that are missing, of which the webhook had its time: a request for each.
    pub(super) async fn fates(
        &mut self,
        place: &ListedPlace,
        ripe: &[u64],
    ) -> Result<BTreeMap<u64, IssueFate>, CompareError> {
        let mut fates = BTreeMap::new();
        let Some(repository) = &place.repository else {
            return Ok(fates);
        };
        for number in ripe.iter().take(MAX_FATES_PER_PASS) {
            let known = self.comparer.mirror.known(place, KIND, *number);
            let Some((node_id, _)) = known.filter(|(_, known)| !known.deleted) else {
                continue;
            };
            self.begin_request()?;
            let name = (place.owner.as_str(), repository.name.as_str());
            let fate = self
                .comparer
                .lists
                .issue_fate(name, (*number, &node_id))
                .await;
            match fate.map_err(CompareError::from) {
                Ok(fate) => {
                    fates.insert(*number, fate);
                }
                Err(error) if error.is_of_list() => {
                    debug!(place = %self.label, number, %error, "it is not known what became of an issue");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(fates)
    }
}
