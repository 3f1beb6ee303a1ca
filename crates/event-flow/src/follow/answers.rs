//! What a follower does with each answer of the log.

use model::{ReadNeed, Sequence, Sequencer};
use ports::{EventLogError, EventPage, LogHead};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    Driver, FollowStart, Followed, LossReason, LostEvents, pause,
    set_back::LogComparison,
    state::{Answer, FollowerState, PageRequest},
    trail::Trail,
};

impl Driver {
    pub(super) fn on_answer(
        &mut self,
        state: &mut FollowerState,
        answer: Result<Answer, EventLogError>,
        sink: &mut impl FnMut(Followed),
    ) {
        match answer {
            Ok(Answer::Page(request, page)) => self.on_page(state, request, page, sink),
            Ok(Answer::Head {
                position,
                head,
                check,
            }) => self.on_head(state, position, (head, check), sink),
            Ok(Answer::Compared(comparison)) => self.on_comparison(state, &comparison, sink),
            Err(error) => {
                warn!(%error, "event log cannot be read, trying again");
                state.failures += 1;
                self.stall(sink);
                state.read_head_first_at(Instant::now() + pause(state.failures));
                let step = state.machine.read_failed();
                self.take(state, step, sink);
            }
        }
    }

    fn on_page(
        &mut self,
        state: &mut FollowerState,
        request: PageRequest,
        page: EventPage,
        sink: &mut impl FnMut(Followed),
    ) {
        state.failures = 0;
        self.recover(sink);
        if let Some(difference) = state.trail.difference(request.after, &page) {
            state.suspect(difference);
        }
        if state.suspect.is_some() {
            // Its events may be those of two states of the log.
            let _ = state.machine.read_failed();
            self.compare(state);
            return;
        }
        if page.at_head && page.through < request.position {
            // Either a replica is behind, or the log was put back: its head tells which.
            state.poll_at = Instant::now();
        }
        let (at_head, through) = (page.at_head, page.through);
        state.overlaps = at_head || through > request.position;
        let (reason, tag) = match page.undecodable.last() {
            None => (LossReason::Trimmed, None),
            Some(last) => (LossReason::Undecodable, Some(last.tag)),
        };
        let mut step = state
            .machine
            .page(page.events, through, at_head, page.resumes_after);
        if let Some(range) = step.lost.take() {
            state.trail.push_undecodable(range.after, &page.undecodable);
            sink(Followed::Lost(LostEvents { range, reason, tag }));
        }
        let caught_up = at_head && step.read == ReadNeed::NotNeeded;
        // What follows the page comes from early hints.
        self.take(state, step, sink);
        state.trail.set_compared(through);
        if caught_up {
            sink(Followed::CaughtUp {
                through: state.machine.position(),
            });
        }
    }

    fn on_head(
        &mut self,
        state: &mut FollowerState,
        position: Sequence,
        (head, check): (LogHead, Option<(Sequence, EventPage)>),
        sink: &mut impl FnMut(Followed),
    ) {
        if head.epoch != state.epoch {
            self.on_replaced(state, head, sink);
            return;
        }
        state.reads_head_first = false;
        if head.last < position {
            state.suspect(head.last.next());
        }
        if let Some((after, page)) = check {
            match state.trail.difference(after, &page) {
                Some(difference) => state.suspect(difference),
                None => state.trail.set_compared(page.through.min(position)),
            }
        }
        if state.suspect.is_some() {
            self.compare(state);
            return;
        }
        let step = state.machine.head(head.last);
        if step.read == ReadNeed::NotNeeded {
            // While a page is due, the log counts as recovered only once that page could be read.
            state.failures = 0;
            self.recover(sink);
        }
        self.take(state, step, sink);
    }

    fn on_replaced(
        &mut self,
        state: &mut FollowerState,
        head: LogHead,
        sink: &mut impl FnMut(Followed),
    ) {
        let followed = (state.machine.position(), std::mem::take(&mut state.trail));
        let returned = self.former.replaced((state.epoch, followed), head.epoch);
        // A reader that wants all of a log gets all of it again.
        match returned.filter(|_| self.options.start != FollowStart::Beginning) {
            Some((position, trail)) => {
                warn!(log = %head.epoch, "the event log was replaced by one that was followed before");
                *state = self.start(head, position, trail, sink);
                // It may have been put back meanwhile.
                self.suspect(state, position);
            }
            None => {
                warn!(log = %head.epoch, "the event log was replaced by a new one");
                *state = self.start(head, head.trimmed_through, Trail::default(), sink);
            }
        }
        self.recover(sink);
    }

    fn on_comparison(
        &mut self,
        state: &mut FollowerState,
        comparison: &LogComparison,
        sink: &mut impl FnMut(Followed),
    ) {
        let head = comparison.head;
        if head.epoch != state.epoch {
            let position = state.machine.position();
            self.on_head(state, position, (head, None), sink);
            return;
        }
        (state.suspect, state.failures) = (None, 0);
        // Not again for each of many false hints.
        state.trusts_at = Instant::now() + self.options.poll;
        let position = state.machine.position();
        let step = match comparison.same_through.filter(|same| *same < position) {
            None => {
                debug!("the event log is still the one that was followed");
                state.machine.gap()
            }
            Some(resumes_after) => {
                warn!(
                    position = position.0,
                    resumes_after = resumes_after.0,
                    log_end = head.last.0,
                    "the event log was put back to an earlier state: events after `resumes_after` up to \
                     `position` were lost and their numbers are given out again; following continues after \
                     `resumes_after`"
                );
                state.trail.step_back(resumes_after);
                state.machine = Sequencer::new(resumes_after, self.options.max_early);
                state.trusts_at = Instant::now();
                sink(Followed::SetBack {
                    was: position,
                    resumes_after,
                    tag: state.trail.tag_at(resumes_after),
                    head: head.last,
                });
                state.machine.gap()
            }
        };
        self.recover(sink);
        self.take(state, step, sink);
    }
}
