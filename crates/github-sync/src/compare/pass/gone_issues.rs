//! Issues that GitHub no longer has, though no webhook said so: the list of changes does not show what is no longer there.
//!
//! The repository says how many issues and pull requests are open. More of them in the mirror, and each day, is the reason to ask
//! how many issues there are: one point of GraphQL's limit. Only if that is fewer than the mirror has, their numbers are
//! read, 100 for a point, and what is not among them is asked for by itself before it is said to be gone.
//!
//! A repository whose issues are switched off has none, and has them again when they are switched on: of it nothing is judged.
//! Nor of one that shows not a single issue, because that is what credentials see that may not read issues any more.

use std::collections::BTreeMap;

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
    details::IssueNumbers,
    limits::{COUNT_ISSUES_EVERY, MAX_FATE_FAILURES, MAX_FATES_PER_PASS, MAX_NUMBER_PAGES},
    listed::ListedPlace,
    lists::IssueFate,
    mirror::LivingState,
};

const KIND: MirroredKind = MirroredKind::Issue;

/// Under this number is the walk through the numbers of issues: no project has it, and none is in a repository.
const NUMBERS: u64 = 0;

#[derive(Deserialize)]
struct WrittenRepository {
    open_issues_count: usize,
}

/// How a look at the numbers of all issues has ended.
enum NumbersEnd {
    /// All of them were read.
    Read(ItemWalk),
    /// There is no need to read them, or no way.
    NotRead,
    /// The repository's issues are switched off.
    SwitchedOff,
    /// GitHub does not give all of it now.
    InPart,
}

impl Pass<'_> {
    /// Looks for issues that are gone, if there is a reason to. What it finds waits for its webhook like anything else.
    ///
    /// # Errors
    /// Those of a limit alone: whatever else GitHub does not give is asked for again.
    pub(super) async fn look_for_gone_issues(
        &mut self,
        place: &ListedPlace,
    ) -> Result<(), CompareError> {
        if !self.comparer.kinds_of(self.label).contains(&KIND)
            || self.comparer.mirror.is_missing(place, KIND)
            || !self.is_read(KIND)
        {
            return Ok(());
        }
        let count = IssueCount {
            at: self.comparer.clock.now(),
            too_many_open: self.too_many_open(place),
        };
        let is_due = self.is_count_due(count);
        if is_due && !self.count_issues(place).await? {
            // What GitHub did not give is asked for at the next comparison.
            return Ok(());
        }
        self.note_count(count, is_due);
        Ok(())
    }

    /// By how many the mirror has more open issues and pull requests than the repository says; 0 if that is not known.
    fn too_many_open(&self, place: &ListedPlace) -> usize {
        let mirror = &self.comparer.mirror;
        let repository = place.repository.as_ref().map_or(0, |known| known.id.0);
        let repository = mirror.known(place, MirroredKind::Repository, repository);
        let written = repository
            .and_then(|(_, known)| serde_json::from_slice::<WrittenRepository>(&known.json).ok());
        let pulls = mirror.count_open(place, MirroredKind::PullRequest);
        let here = mirror.count_open(place, KIND) + pulls;
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

    /// Asks how many issues there are and, if there are fewer than here, which; whether it is known, as far as it can be.
    async fn count_issues(&mut self, place: &ListedPlace) -> Result<bool, CompareError> {
        let issues = self.comparer.mirror.living(place, KIND);
        let key: (PlaceLabel, u64) = (self.label.clone(), NUMBERS);
        match self.walk_numbers(place, &key, issues.len()).await {
            // Then the next comparison goes on there.
            Ok(NumbersEnd::InPart) => return Ok(false),
            Err(error) if error.is_of_limit() => return Err(error),
            Err(error) if error.is_of_outage() => {
                debug!(place = %self.label, %error, "issues are not counted now");
                return Ok(false);
            }
            Err(error) => {
                // As a rule it is the credentials: they are asked with again in a day.
                debug!(place = %self.label, %error, "issues are not counted");
            }
            Ok(NumbersEnd::Read(walk)) => self.note_missing(&issues, &walk),
            Ok(NumbersEnd::NotRead) => {}
            Ok(NumbersEnd::SwitchedOff) => self.forget_missing(),
        }
        self.comparer.walks.lock().remove(&key);
        Ok(true)
    }

    async fn walk_numbers(
        &mut self,
        place: &ListedPlace,
        key: &(PlaceLabel, u64),
        known: usize,
    ) -> Result<NumbersEnd, CompareError> {
        let Some(repository) = &place.repository else {
            return Ok(NumbersEnd::NotRead);
        };
        let walk = self.comparer.walks.lock().get(key).cloned();
        let mut walk = walk.unwrap_or_else(|| ItemWalk::from_start(self.comparer.clock.now()));
        loop {
            self.begin_query()?;
            let details = &self.comparer.details;
            let name = (place.owner.as_str(), repository.name.as_str());
            let answer = details.issue_numbers(name, walk.after.as_deref()).await?;
            self.note_points(&answer);
            let page = match answer.read {
                IssueNumbers::Page(page) => page,
                IssueNumbers::SwitchedOff => return Ok(NumbersEnd::SwitchedOff),
                IssueNumbers::Refused => return Ok(NumbersEnd::NotRead),
                IssueNumbers::InPart => return Ok(NumbersEnd::InPart),
            };
            let waiting = self.state.list(KIND).gone.len();
            if page.total >= known.saturating_sub(waiting) {
                return Ok(NumbersEnd::NotRead);
            }
            walk.seen.extend(page.numbers);
            walk.pages += 1;
            walk.after = page.next;
            if walk.after.is_none() {
                return Ok(NumbersEnd::Read(walk));
            }
            if walk.pages >= MAX_NUMBER_PAGES {
                info!(place = %self.label, "there are too many issues to look for those that are gone");
                return Ok(NumbersEnd::NotRead);
            }
            // A comparison that is ended at its time limit goes on there.
            self.comparer.walks.lock().insert(key.clone(), walk.clone());
        }
    }

    /// Notes which issues are not among the numbers that were read.
    fn note_missing(&mut self, issues: &[LivingState], walk: &ItemWalk) {
        if walk.seen.is_empty() {
            info!(place = %self.label, "GitHub shows no issue of a repository that had some: none is said to be gone");
            return;
        }
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
    }

    /// The repository's issues are switched off: that they are missing says nothing.
    fn forget_missing(&mut self) {
        debug!(place = %self.label, "issues are switched off");
        self.state.list(KIND).gone.clear();
        self.is_changed = true;
    }

    /// What became of issues that are missing, of which the webhook had its time: a request for each. One that GitHub does
    /// not answer keeps no other one waiting. A limit, or an outage, leaves the others to the next comparison.
    pub(super) async fn fates(
        &mut self,
        place: &ListedPlace,
        ripe: &[u64],
    ) -> BTreeMap<u64, IssueFate> {
        let mut fates = BTreeMap::new();
        let mut failures = 0;
        for number in in_turn(ripe, self.state.last_fate_asked).take(MAX_FATES_PER_PASS) {
            let fate = self.fate(place, number).await;
            if let Err(error) = &fate {
                debug!(place = %self.label, number, %error, "it is not known what became of an issue");
                if error.is_of_all() {
                    break;
                }
                failures += usize::from(error.is_of_outage());
            }
            self.state.last_fate_asked = number;
            self.is_changed = true;
            match fate {
                Ok(Some(IssueFate::SwitchedOff)) => {
                    self.forget_missing();
                    return BTreeMap::new();
                }
                Ok(Some(fate)) => {
                    fates.insert(number, fate);
                }
                Ok(None) => {}
                Err(_) if failures >= MAX_FATE_FAILURES => break,
                Err(_) => {}
            }
        }
        fates
    }

    /// What became of an issue; `None` if it is not in the mirror.
    async fn fate(
        &mut self,
        place: &ListedPlace,
        number: u64,
    ) -> Result<Option<IssueFate>, CompareError> {
        let known = self.comparer.mirror.known(place, KIND, number);
        let known = known.filter(|(_, known)| !known.deleted);
        let (Some((node_id, _)), Some(repository)) = (known, &place.repository) else {
            return Ok(None);
        };
        self.begin_request()?;
        let name = (place.owner.as_str(), repository.name.as_str());
        let lists = &self.comparer.lists;
        Ok(Some(lists.issue_fate(name, (number, &node_id)).await?))
    }
}

/// Numbers, which are in order, from that after the last one on.
fn in_turn(numbers: &[u64], last: u64) -> impl Iterator<Item = u64> {
    let (before, after) = numbers.split_at(numbers.partition_point(|number| *number <= last));
    after.iter().chain(before).copied()
}

#[cfg(test)]
mod tests {
    use super::in_turn;

    #[test]
    fn numbers_that_cannot_be_asked_for_have_their_turn_and_no_other() {
        let turn = |last| in_turn(&[2, 5, 9], last).take(2).collect::<Vec<_>>();
        assert_eq!(turn(0), [2, 5]);
        assert_eq!(turn(5), [9, 2]);
        assert_eq!(turn(7), [9, 2]);
        assert_eq!(turn(9), [2, 5]);
        assert_eq!(in_turn(&[], 3).next(), None);
    }
}
