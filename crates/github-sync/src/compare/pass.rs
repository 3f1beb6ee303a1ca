//! One comparison of one place: its lists are read on from where they were read to, what they show goes to the mirror, and a
//! change that no webhook told becomes an event.

mod deriving;
mod details;
mod finding;
mod gone_issues;
mod judging;
mod links;
mod projects;
mod pulls;

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
    held::{HeldList, HeldStep},
    place_records::{PlaceLabel, PlaceState},
    tally::PassTally,
};
use crate::{
    limits::{FOLLOW_TIME, SAVED_AT_ONCE, SWEEP_RESERVE},
    listed::{ListedObject, ListedPlace, is_detail},
    lists::ListStep,
    mirror::{SavedState, ShownAs, ShownOutcome},
    sweep_marks::SweptUntil,
};

/// A comparison under way.
pub(super) struct Pass<'c> {
    comparer: &'c Comparer,
    label: &'c PlaceLabel,
    state: PlaceState,
    revision: Option<Revision>,
    is_changed: bool,
    saved_generation: u64,
    /// Since when the mirror knew each list to be whole as it began, whatever the store has.
    whole_before: BTreeMap<MirroredKind, Timestamp>,
    /// States are stored of which no event tells, and nobody was told.
    has_news: bool,
    /// When the last sweep began that covers the place; `None` if no sweep does, or none has yet.
    pub(super) swept: SweptUntil,
    trace: TraceContext,
    pub(super) tally: PassTally,
}

impl<'c> Pass<'c> {
    /// Reads what is stored of a place.
    pub(super) async fn begin(
        comparer: &'c Comparer,
        label: &'c PlaceLabel,
        known_generation: Option<u64>,
    ) -> Result<Self, CompareError> {
        let stored = comparer.places.load(label).await?;
        let (state, revision) = stored.map_or_else(Default::default, |(state, revision)| {
            (state, Some(revision))
        });
        let saved_generation = state.generation;
        let whole_before = comparer.kinds_of(label).into_iter();
        let whole_before = whole_before.filter_map(|kind| {
            let as_of = comparer.mirror.list_as_of(label.as_str(), kind)?;
            Some((kind, as_of))
        });
        comparer.store_again_if_lost(label, &state, known_generation);
        Ok(Self {
            comparer,
            label,
            state,
            revision,
            is_changed: false,
            saved_generation,
            whole_before: whole_before.collect(),
            has_news: false,
            swept: comparer.swept_until(label).await,
            trace: TraceContext::start(&*comparer.ids),
            tally: PassTally::default(),
        })
    }

    /// What is known of the place.
    pub(super) fn state(&self) -> &PlaceState {
        &self.state
    }

    /// The generation that is stored.
    pub(super) const fn saved_generation(&self) -> u64 {
        self.saved_generation
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
            for kind in kinds.filter(|kind| *kind != MirroredKind::Repository && !is_detail(*kind))
            {
                match self.list(&place, kind).await {
                    Ok(()) => {}
                    Err(error) if error.is_of_list() => self.list_fails(kind, &error),
                    Err(error) => return Err(error),
                }
            }
            let details = match self.look_for_gone_issues(&place).await {
                Ok(()) => self.details(&place).await,
                not_counted => not_counted,
            };
            // What they did not say stays as it was, and what lists say is told all the same.
            self.derive(&place).await?;
            details?;
            // What events changed since is stored as well.
            self.save_states(&place).await?;
        } else {
            self.note_no_repository();
        }
        self.state.finished_at = Some(self.comparer.clock.now());
        self.is_changed = true;
        self.save().await
    }

    /// An organization is known by its repositories. Without one that the credentials may see, its projects are not read.
    fn note_no_repository(&mut self) {
        for kind in self.comparer.kinds_of(self.label) {
            self.list_fails(kind, &CompareError::NoRepository);
        }
    }

    async fn list(&mut self, place: &ListedPlace, kind: MirroredKind) -> Result<(), CompareError> {
        self.begin_request()?;
        if self.comparer.reads_again(self.label, place, kind) {
            self.read_from_start(kind);
            self.save().await?;
        }
        let list = self.state.list(kind);
        let (stored, as_of) = (list.checkpoint.clone(), list.as_of);
        let mut held = self.comparer.held.take(self.label, kind, (&stored, as_of));
        let is_baseline = !stored.is_whole() && !self.was_whole(kind);
        self.judge_held(place, kind, &mut held).await?;
        loop {
            let step = match self.comparer.lists.step(place, kind, &held.cursor).await {
                Err(error @ GithubError::Endless { .. }) => {
                    self.read_from_start(kind);
                    return Err(error.into());
                }
                step => step?,
            };
            self.take(place, kind, &step, (is_baseline, &mut held))
                .await?;
            if step.end {
                break;
            }
            self.begin_request()?;
        }
        self.settle_gone(place, kind).await?;
        self.tally.waiting += held.len() + self.state.list(kind).gone.len();
        if !held.is_over_bound() {
            self.comparer.held.put(self.label, kind, held);
        }
        Ok(())
    }

    /// Judges again what waits.
    async fn judge_held(
        &mut self,
        place: &ListedPlace,
        kind: MirroredKind,
        held: &mut HeldList,
    ) -> Result<(), CompareError> {
        for step in held.take_steps() {
            // It is no newer than the answer that it was in, and that no older than its request.
            let at = (step.as_of, step.seen_at);
            let waiting = self.settle(place, kind, &step.objects, at).await?;
            held.hold(HeldStep {
                objects: waiting,
                ..step
            });
        }
        Ok(())
    }

    /// Whether the mirror has had the list whole, though nothing is stored of it: the store has lost it.
    fn was_whole(&self, kind: MirroredKind) -> bool {
        self.whole_before.contains_key(&kind)
    }

    /// The list is read from its start again, and is not whole until that has ended.
    fn read_from_start(&mut self, kind: MirroredKind) {
        let list = self.state.list(kind);
        list.checkpoint = list.checkpoint.begin_again();
        list.as_of = None;
        self.is_changed = true;
        self.show_progress(kind);
    }

    /// Takes what a step has brought.
    async fn take(
        &mut self,
        place: &ListedPlace,
        kind: MirroredKind,
        step: &ListStep,
        (is_baseline, held): (bool, &mut HeldList),
    ) -> Result<(), CompareError> {
        self.note_step(step);
        let now = self.comparer.clock.now();
        let waiting = match is_baseline {
            true => {
                self.show_all(place, step);
                Vec::new()
            }
            false => {
                let at = (step.as_of, now);
                self.settle(place, kind, &step.objects, at).await?
            }
        };
        let before = std::mem::replace(&mut held.cursor, step.checkpoint.clone());
        held.hold(HeldStep {
            before,
            whole_as_of: held.read_as_of,
            as_of: step.as_of,
            seen_at: now,
            objects: waiting,
        });
        let list = self.state.list(kind);
        for number in &step.gone {
            list.gone_since(*number, now);
        }
        self.is_changed |= !step.gone.is_empty() || list.checkpoint != *held.stored();
        list.checkpoint.clone_from(held.stored());
        self.is_changed |= list.failure.take().is_some();
        if step.end {
            held.read_as_of = Some(step.as_of);
            list.as_of = held.whole_as_of().unwrap_or(Some(step.as_of));
        }
        self.save_states(place).await?;
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

    /// A later reading: events are made of what no webhook told, and stored before the mirror has the change. Gives what waits.
    async fn settle(
        &mut self,
        place: &ListedPlace,
        kind: MirroredKind,
        objects: &[ListedObject],
        (as_of, seen_at): (Timestamp, Timestamp),
    ) -> Result<Vec<ListedObject>, CompareError> {
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        self.follow_log().await?;
        let judging = self.judging(place, kind);
        let judged = judging.judge((objects, seen_at), self.state.list(kind));
        let waiting = judged.waiting.into_iter().cloned().collect();
        self.append(kind, judged.events).await?;
        for object in judged.shown {
            self.show(place, object, as_of, ShownAs::compared);
        }
        Ok(waiting)
    }

    /// What is no longer listed is gone, once its webhook had its time.
    async fn settle_gone(
        &mut self,
        place: &ListedPlace,
        kind: MirroredKind,
    ) -> Result<(), CompareError> {
        if self.state.list(kind).gone.is_empty() {
            return Ok(());
        }
        self.follow_log().await?;
        let judging = self.judging(place, kind);
        let fates = match kind {
            MirroredKind::Issue => {
                let ripe = judging.ripe_of_gone(self.state.list(kind));
                self.fates(place, &ripe).await
            }
            _ => BTreeMap::new(),
        };
        let judged = judging.judge_all_gone(self.state.list(kind), &fates);
        self.append(kind, judged.events).await?;
        let now = self.comparer.clock.now();
        for number in judged.gone {
            let mirror = &self.comparer.mirror;
            mirror.show_gone(place, kind, number, now);
            self.is_changed = true;
        }
        self.save_states(place).await
    }

    fn judging<'j>(&mut self, place: &'j ListedPlace, kind: MirroredKind) -> Judging<'j>
    where
        'c: 'j,
    {
        let known = self.whole_before.get(&kind).copied();
        Judging {
            comparer: self.comparer,
            place,
            kind,
            swept: self.swept,
            listed_before: self.state.list(kind).as_of.or(known),
            now: self.comparer.clock.now(),
            trace: self.trace,
        }
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
            let unstored = self.comparer.states.save(place, &states).await?;
            for kind in unstored {
                self.state.list(kind).is_unstored = true;
            }
            self.comparer.metrics.saved.inc_by(states.len() as u64);
            let ids = states.iter().map(|state| state.record_id().to_string());
            self.state.note_saved(ids);
            // What an event brought has its place in the log.
            self.has_news |= states.iter().any(SavedState::is_eventless);
            self.is_changed = true;
            // Others learn of them by this; what they did not learn of is stored once more.
            self.save().await?;
            self.comparer.mirror.saved(&states);
        }
    }

    /// Stores how far the place was read, unless that has not changed; then tells of what was stored.
    async fn save(&mut self) -> Result<(), CompareError> {
        if self.is_changed {
            let places = &self.comparer.places;
            let saved = places.save(self.label, &self.state, self.revision).await?;
            self.revision = Some(saved);
            self.saved_generation = self.state.generation;
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
            list.failure = Some(text);
            self.is_changed = true;
        }
        self.show_progress(kind);
    }

    /// Whether a list was read whole, and can be read now.
    fn is_read(&mut self, kind: MirroredKind) -> bool {
        let list = self.state.list(kind);
        list.as_of.is_some() && list.failure.is_none()
    }

    fn show_progress(&mut self, kind: MirroredKind) {
        let list = self.state.list(kind);
        let (as_of, failure) = (list.as_of, list.failure.clone());
        let place = self.state.place.clone();
        self.comparer
            .show_list(self.label, place.as_ref(), kind, (as_of, failure));
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
