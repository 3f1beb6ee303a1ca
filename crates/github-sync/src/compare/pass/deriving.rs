//! Events of what no webhook says, at the end of a comparison: no request is made for them.

use model::Timestamp;
use ports::MirroredKind;
use tracing::debug;

use super::Pass;
use crate::{
    compare::{
        derived::{ConditionEvent, ConditionLook, DerivedCondition},
        error::CompareError,
    },
    derived_kind::DerivedKind,
    listed::ListedPlace,
};

impl Pass<'_> {
    /// Tells what has begun to hold, and which conflicts have ended. What begins is stored before it is told, so that whoever
    /// tells it again does so under the same id.
    pub(super) async fn derive(&mut self, place: &ListedPlace) -> Result<(), CompareError> {
        if place.repository.is_none() {
            return Ok(());
        }
        let now = self.comparer.clock.now();
        let look = self.look(place, now);
        let (mut begun, mut ended) = (Vec::new(), Vec::new());
        for kind in DerivedKind::ALL {
            if !self.comparer.derived.kinds.contains(&kind) {
                self.is_changed |= self.state.conditions.leave_out(kind);
            } else if self.is_known(source(kind)) {
                let before = self.state.conditions.clone();
                let news = self.state.conditions.take_in(kind, &look);
                self.is_changed |= news.is_noted || before != self.state.conditions;
                begun.extend(news.begun);
                ended.extend(news.ended);
            }
        }
        if !begun.is_empty() {
            self.save().await?;
        }
        for condition in ended {
            self.tell(place, &condition, now).await?;
            self.state.conditions.forget(&condition.key());
            self.is_changed = true;
        }
        for condition in begun {
            self.tell(place, &condition, now).await?;
            self.state.conditions.note_told(&condition.key());
            self.is_changed = true;
        }
        self.save().await
    }

    /// Whether a list is compared, and has been read whole.
    fn is_known(&mut self, kind: MirroredKind) -> bool {
        self.comparer.kinds.contains(&kind) && self.state.list(kind).as_of.is_some()
    }

    fn look(&self, place: &ListedPlace, now: Timestamp) -> ConditionLook {
        let (mirror, rules) = (&self.comparer.mirror, &self.comparer.derived);
        let mut look = ConditionLook::default();
        let states = mirror.living(place, MirroredKind::PullState);
        let pulls = mirror.living(place, MirroredKind::PullRequest);
        for pull in pulls.iter().filter(|pull| pull.is_open) {
            let state = states.binary_search_by_key(&pull.number, |state| state.number);
            let state = state.ok().map(|at| &states[at]);
            look.pull(pull.number, state, rules, now);
        }
        let milestones = mirror.living(place, MirroredKind::Milestone);
        for milestone in milestones.iter().filter(|milestone| milestone.is_open) {
            look.milestone(milestone, rules, now);
        }
        look
    }

    async fn tell(
        &mut self,
        place: &ListedPlace,
        condition: &DerivedCondition,
        now: Timestamp,
    ) -> Result<(), CompareError> {
        let kind = condition.kind.subject();
        let known = self.comparer.mirror.known(place, kind, condition.number);
        let Some((node_id, known)) = known else {
            return Ok(());
        };
        let Ok(object) = serde_json::from_slice(&known.json) else {
            return Ok(());
        };
        let event = ConditionEvent {
            condition,
            place,
            node_id: &node_id,
            object,
            found_at: now,
        };
        match event.store(self.trace, self.comparer.recorder.max_event_bytes()) {
            Ok(event) => self.append(kind, vec![event]).await,
            Err(error) => {
                debug!(%error, %kind, number = condition.number, "no event is made of a condition");
                self.comparer.metrics.eventless.inc();
                Ok(())
            }
        }
    }
}

/// The states that show a kind.
const fn source(kind: DerivedKind) -> MirroredKind {
    match kind {
        DerivedKind::MergeConflicts | DerivedKind::PendingChecks | DerivedKind::WaitingReviews => {
            MirroredKind::PullState
        }
        DerivedKind::DueMilestones => MirroredKind::Milestone,
    }
}
