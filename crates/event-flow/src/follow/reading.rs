//! The reads that a follower starts: of pages, of the head, and for a comparison.

use std::sync::Arc;

use model::{ReadNeed, Sequence, Sequencer, SequencerStep, StoredEvent};
use tokio::time::Instant;

use super::{
    Driver, Followed,
    deadline::within,
    receipt, set_back,
    state::{Answer, FollowerState, PageRequest},
};

/// Maximum number of entries that one poll compares; the next poll goes on from there.
const COMPARED_ENTRIES: usize = 512;

impl Driver {
    /// Passes on the entries that a step delivers, and starts or schedules the read that it requests.
    pub(super) fn take(
        &self,
        state: &mut FollowerState,
        mut step: SequencerStep<StoredEvent>,
        sink: &mut impl FnMut(Followed),
    ) {
        if !step.deliver.is_empty() {
            // What is awaited now is another one, and has a grace of its own.
            state.read_at = None;
            state.trail.push(&step.deliver);
            let spans = receipt::begin(&mut step.deliver, state.old_through);
            sink(Followed::Events(step.deliver));
            drop(spans);
        }
        match step.read {
            ReadNeed::NotNeeded => state.read_at = None,
            ReadNeed::Soon => {
                state
                    .read_at
                    .get_or_insert_with(|| Instant::now() + state.grace);
            }
            ReadNeed::Now if state.reads_head_first || state.suspect.is_some() => {
                state.read_at = None;
            }
            ReadNeed::Now => {
                state.read_at = None;
                let position = state.machine.start_reading();
                let after = match state.overlaps {
                    true => state.trail.overlap(position),
                    false => position,
                };
                let limit = self.options.page_events + state.trail.count_after(after);
                let log = Arc::clone(&self.log);
                state.read = Some(Box::pin(async move {
                    let request = PageRequest { after, position };
                    within(&*log, "read", log.read_after(after, limit))
                        .await
                        .map(|page| Answer::Page(request, page))
                }));
            }
        }
    }

    /// Nothing is passed on before the log was compared: an interruption may be a restart of its store, in
    /// an earlier state.
    pub(super) fn compare_first(&self, state: &mut FollowerState) {
        self.forget_early_hints(state);
        self.suspect(state, state.machine.position());
    }

    /// Compares the log from this position on, once the read in progress has ended; until then nothing is
    /// passed on.
    pub(super) fn suspect(&self, state: &mut FollowerState, at: Sequence) {
        state.suspect(at);
        if state.read.is_none() {
            self.compare(state);
        }
    }

    /// Hints from before an interruption may be of a state that the log has lost.
    pub(super) fn forget_early_hints(&self, state: &mut FollowerState) {
        state.machine = Sequencer::new(state.machine.position(), self.options.max_early);
    }

    /// Compares the log with what was followed.
    pub(super) fn compare(&self, state: &mut FollowerState) {
        let (log, trail) = (Arc::clone(&self.log), state.trail.clone());
        let position = state.machine.position();
        let suspect = state.suspect.unwrap_or(position);
        state.read = Some(Box::pin(async move {
            set_back::compare(&*log, &trail, position, suspect)
                .await
                .map(Answer::Compared)
        }));
    }

    /// Reads the head, and compares the newest entries.
    pub(super) fn poll_head(&self, state: &mut FollowerState) {
        state.poll_at = Instant::now() + self.options.poll;
        let log = Arc::clone(&self.log);
        let (epoch, position) = (state.epoch, state.machine.position());
        let after = state.trail.overlap(position);
        let count = state.trail.count_after(after).min(COMPARED_ENTRIES);
        state.read = Some(Box::pin(async move {
            let head = within(&*log, "read the head", log.head()).await?;
            let mut check = None;
            if count > 0 && head.epoch == epoch && head.last >= position {
                // Without the comparison the head is still an answer.
                let page = within(&*log, "read", log.read_after(after, count)).await;
                check = page.ok().map(|page| (after, page));
            }
            Ok(Answer::Head {
                position,
                head,
                check,
            })
        }));
    }
}
