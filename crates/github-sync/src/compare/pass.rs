//! One comparison of one place: its lists are read on from where they were read to, what they show goes to the mirror, and a
//! change that no webhook told becomes an event.

mod judging;

use std::collections::BTreeMap;

use github::GithubError;
use model::{StoredEvent, Timestamp, TraceContext};
use ports::{MirroredKind, Revision};
use tokio::time::timeout;
use tracing::{info, warn};

use self::judging::Judging;
use super::{
    comparer::Comparer,
    error::CompareError,
    place_records::{PlaceLabel, PlaceState},
};
use crate::{
    limits::{FOLLOW_TIME, MAX_REPOSITORIES_OF_OWNER, SAVED_AT_ONCE, SWEEP_RESERVE},
    listed::{ListedObject, ListedPlace},
    lists::{ListCheckpoint, ListStep},
    mirror::{SavedState, ShownAs, ShownOutcome},
};

/// The numbers of a comparison.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PassTally {
    pub(super) requests: u32,
    pub(super) unmodified: u32,
    pub(super) listed: usize,
    pub(super) newer: usize,
    pub(super) events: usize,
    /// Changes whose webhooks may still arrive.
    pub(super) waiting: usize,
}

/// A comparison under way.
pub(super) struct Pass<'c> {
    comparer: &'c Comparer,
    label: &'c PlaceLabel,
    state: PlaceState,
    revision: Option<Revision>,
    is_changed: bool,
    /// States are stored of which no event tells, and nobody was told.
    has_news: bool,
    /// When the last sweep began that covers the place; `None` if no sweep does, or none has yet.
    pub(super) swept: SweptUntil,
    trace: TraceContext,
    pub(super) tally: PassTally,
    pub(super) list_failures: BTreeMap<MirroredKind, String>,
}

/// Up to when the webhooks of a place are known to be in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SweptUntil {
    /// Nobody looks at GitHub's lists of deliveries.
    NotSwept,
    /// Somebody does and has not been through yet.
    NotYet,
    /// The last sweep began then.
    At(Timestamp),
}

impl<'c> Pass<'c> {
    /// Reads what is stored of a place.
    pub(super) async fn begin(
        comparer: &'c Comparer,
        label: &'c PlaceLabel,
    ) -> Result<Self, CompareError> {
        let stored = comparer.places.load(label).await?;
        let (state, revision) = stored.map_or_else(Default::default, |(state, revision)| {
            (state, Some(revision))
        });
        Ok(Self {
            comparer,
            label,
            state,
            revision,
            is_changed: false,
            has_news: false,
            swept: comparer.swept_until(label).await,
            trace: TraceContext::start(&*comparer.ids),
            tally: PassTally::default(),
            list_failures: BTreeMap::new(),
        })
    }

    /// What is stored of the place.
    pub(super) fn state(&self) -> &PlaceState {
        &self.state
    }

    /// Compares all lists. What fails concerns one list alone or ends the comparison; what was read until then is kept.
    pub(super) async fn run(&mut self) -> Result<(), CompareError> {
        let found = match self.label.parts() {
            (owner, Some(repo)) => self.find_repository(owner, repo).await,
            (owner, None) => self.find_repositories(owner).await,
        };
        found?;
        if let Some(place) = self.state.place.clone() {
            let kinds = self.comparer.kinds_of(self.label).into_iter();
            for kind in kinds.filter(|kind| *kind != MirroredKind::Repository) {
                match self.list(&place, kind).await {
                    Ok(()) => {}
                    Err(error) if error.is_of_list() => self.list_fails(kind, &error),
                    Err(error) => return Err(error),
                }
            }
            // What events changed since is stored as well.
            self.save_states(&place).await?;
        }
        self.state.finished_at = Some(self.comparer.clock.now());
        self.is_changed = true;
        self.save().await
    }

    /// The repository as GitHub knows it now.
    async fn find_repository(&mut self, owner: &str, repo: &str) -> Result<(), CompareError> {
        const KIND: MirroredKind = MirroredKind::Repository;
        let cursor = match &self.state.place {
            Some(_) => self.state.list(KIND).checkpoint.clone(),
            None => ListCheckpoint::default(),
        };
        self.begin_request()?;
        let lists = &self.comparer.lists;
        let found = lists.repository(owner, repo, &cursor).await?;
        if let Some(place) = found.places.first()
            && self.state.place.as_ref() != Some(place)
        {
            self.state.place = Some(place.clone());
            self.is_changed = true;
        }
        let Some(place) = self.state.place.clone() else {
            return Err(CompareError::NoPlace);
        };
        if self.comparer.kinds.contains(&KIND) {
            let mut is_waiting = false;
            let is_baseline = !cursor.is_whole();
            self.take(&place, KIND, &found.step, (is_baseline, &mut is_waiting))
                .await?;
        }
        Ok(())
    }

    /// The repositories of an organization, which are places of their own.
    async fn find_repositories(&mut self, owner: &str) -> Result<(), CompareError> {
        const KIND: MirroredKind = MirroredKind::Repository;
        loop {
            let cursor = self.state.list(KIND).checkpoint.clone();
            self.begin_request()?;
            let lists = &self.comparer.lists;
            let found = lists.repositories_of(owner, &cursor).await?;
            if let Some(place) = found.owner() {
                self.is_changed |= self.state.place.as_ref() != Some(&place);
                self.state.place = Some(place);
            }
            let repositories = &mut self.state.repositories;
            for place in &found.places {
                if let Some(repository) = &place.repository
                    && repositories.len() < MAX_REPOSITORIES_OF_OWNER
                {
                    repositories.insert(repository.id.0, repository.name.clone());
                }
            }
            for id in &found.step.gone {
                repositories.remove(id);
            }
            self.note_step(&found.step);
            let list = self.state.list(KIND);
            self.is_changed |= list.checkpoint != found.step.checkpoint;
            list.checkpoint = found.step.checkpoint;
            if found.step.end {
                return Ok(());
            }
        }
    }

    async fn list(&mut self, place: &ListedPlace, kind: MirroredKind) -> Result<(), CompareError> {
        let mut cursor = self.state.list(kind).checkpoint.clone();
        let is_baseline = !cursor.is_whole();
        if self.comparer.reads_again(self.label, place, kind) {
            cursor = ListCheckpoint::default();
        }
        let mut is_waiting = false;
        loop {
            self.begin_request()?;
            let step = self.comparer.lists.step(place, kind, &cursor).await?;
            self.take(place, kind, &step, (is_baseline, &mut is_waiting))
                .await?;
            if step.end {
                return Ok(());
            }
            cursor = step.checkpoint;
        }
    }

    /// Takes what a step has brought. If something of the pass waits, the list is read again from where it was read to
    /// before that.
    async fn take(
        &mut self,
        place: &ListedPlace,
        kind: MirroredKind,
        step: &ListStep,
        (is_baseline, is_waiting): (bool, &mut bool),
    ) -> Result<(), CompareError> {
        self.note_step(step);
        let waited_before = self.tally.waiting;
        match is_baseline {
            true => self.show_all(place, step),
            false => self.settle(place, kind, step).await?,
        }
        *is_waiting |= self.tally.waiting > waited_before;
        self.save_states(place).await?;
        let list = self.state.list(kind);
        if !*is_waiting {
            self.is_changed |= list.checkpoint != step.checkpoint || list.failure.is_some();
            list.checkpoint.clone_from(&step.checkpoint);
            list.failure = None;
            if step.end {
                list.as_of = Some(step.as_of);
            }
        }
        if !step.objects.is_empty() {
            self.save().await?;
        }
        if step.end {
            self.show_progress(kind);
        }
        Ok(())
    }

    fn note_step(&mut self, step: &ListStep) {
        let metrics = &self.comparer.metrics;
        metrics.listed.inc_by(step.objects.len() as u64);
        metrics.unreadable_items.inc_by(step.unreadable as u64);
        self.tally.listed += step.objects.len();
        if step.was_unmodified {
            metrics.unmodified.inc();
            self.tally.unmodified += 1;
        }
    }

    /// The first reading of a list: what it shows is no news.
    fn show_all(&mut self, place: &ListedPlace, step: &ListStep) {
        for object in &step.objects {
            self.show(place, object, step.as_of, ShownAs::baseline);
        }
    }

    fn show(&mut self, place: &ListedPlace, object: &ListedObject, at: Timestamp, how: ShownAs) {
        let outcome = self.comparer.mirror.show(place, object, at, how);
        if matches!(outcome, ShownOutcome::New | ShownOutcome::Newer { .. }) {
            self.tally.newer += 1;
        }
    }

    /// A later reading: events are made of what no webhook told, and stored before the mirror has the change.
    async fn settle(
        &mut self,
        place: &ListedPlace,
        kind: MirroredKind,
        step: &ListStep,
    ) -> Result<(), CompareError> {
        if step.objects.is_empty() && step.gone.is_empty() {
            return Ok(());
        }
        self.follow_log().await?;
        let judging = Judging {
            comparer: self.comparer,
            place,
            kind,
            swept: self.swept,
            now: self.comparer.clock.now(),
            trace: self.trace,
        };
        let judged = judging.judge(step, self.state.list(kind));
        self.tally.waiting += judged.waiting;
        self.is_changed |= !step.gone.is_empty();
        self.append(kind, judged.events).await?;
        for object in judged.shown {
            self.show(place, object, step.as_of, ShownAs::compared);
        }
        for number in judged.gone {
            let mirror = &self.comparer.mirror;
            mirror.show_gone(place, kind, number, step.as_of);
        }
        Ok(())
    }

    async fn append(
        &mut self,
        kind: MirroredKind,
        events: Vec<StoredEvent>,
    ) -> Result<(), CompareError> {
        let count = events.len();
        for event in events {
            // One at a time: an event may have half a megabyte.
            let appended = self.comparer.recorder.append(vec![event]).await?;
            if let Some(hint) = appended.hint {
                self.comparer.recorder.hint(hint, self.trace).await;
            }
            self.tally.events += 1;
        }
        if count > 0 {
            self.is_changed = true;
            info!(place = %self.label, %kind, count, "changes that no webhook told are in the log now");
        }
        Ok(())
    }

    /// Waits until the mirror has all that the log has: whatever webhook came is known then.
    async fn follow_log(&self) -> Result<(), CompareError> {
        let log = &self.comparer.log;
        let head = timeout(log.deadline(), log.head()).await;
        let head = head.map_err(|_| CompareError::Behind)??;
        let mut followed = self.comparer.mirror.followed();
        let reached =
            followed.wait_for(|now| now.epoch == Some(head.epoch) && now.sequence >= head.last);
        match timeout(FOLLOW_TIME, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(CompareError::Behind),
        }
    }

    /// Stores the states of the place that are not stored yet.
    async fn save_states(&mut self, place: &ListedPlace) -> Result<(), CompareError> {
        loop {
            let states = self.comparer.mirror.unsaved(place, SAVED_AT_ONCE);
            if states.is_empty() {
                return Ok(());
            }
            self.comparer.states.save(place, &states).await?;
            self.comparer.mirror.saved(&states);
            self.comparer.metrics.saved.inc_by(states.len() as u64);
            let ids = states.iter().map(|state| state.record_id().to_string());
            self.state.note_saved(ids);
            // What an event brought has its place in the log.
            self.has_news |= states.iter().any(SavedState::is_eventless);
            self.is_changed = true;
        }
    }

    /// Stores how far the place was read, unless that has not changed; then tells of what was stored.
    async fn save(&mut self) -> Result<(), CompareError> {
        if self.is_changed {
            let places = &self.comparer.places;
            let saved = places.save(self.label, &self.state, self.revision).await?;
            self.revision = Some(saved);
            self.is_changed = false;
        }
        if let Some(place) = self.state.place.as_ref().filter(|_| self.has_news) {
            self.comparer.news.tell(place).await;
            self.has_news = false;
        }
        Ok(())
    }

    fn list_fails(&mut self, kind: MirroredKind, error: &CompareError) {
        let text = model::error_chain(error);
        let list = self.state.list(kind);
        if list.failure.as_deref() != Some(&text) {
            // GitHub's answer for a repository without issues is no fault of anybody.
            match error {
                CompareError::Github(GithubError::Gone { .. }) => {
                    info!(place = %self.label, %kind, %error, "a list is not mirrored");
                }
                _ => warn!(place = %self.label, %kind, %error, "a list cannot be read"),
            }
            list.failure = Some(text.clone());
            self.is_changed = true;
        }
        self.list_failures.insert(kind, text);
        self.show_progress(kind);
    }

    fn show_progress(&mut self, kind: MirroredKind) {
        let list = self.state.list(kind);
        let (as_of, failure) = (list.as_of, list.failure.clone());
        let mirror = &self.comparer.mirror;
        mirror.note_progress(self.label.as_str(), kind, as_of, failure);
    }

    /// Counts a request; ends the comparison while others with the same credentials need what is left of the limit.
    fn begin_request(&mut self) -> Result<(), CompareError> {
        let left = self.comparer.client.budget_left();
        if left.is_some_and(|left| left < SWEEP_RESERVE) {
            return Err(CompareError::BudgetLow);
        }
        self.tally.requests += 1;
        Ok(())
    }
}
