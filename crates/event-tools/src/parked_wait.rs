//! A wait for an event of which only its place is left.

use std::{
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use access::Principal;
use event_flow::history::EventHistory;
use fanout::waits::EventWait;
use mcp_server::{
    Caller,
    waiting::{CallWait, WaitPosition, WaitReport},
};
use model::{CursorScope, EventFacts, Sequence};
use tokio::time::Instant;

/// The time of a wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitSpan {
    /// When it began, on whichever edge.
    began: Instant,
    /// When it ends.
    pub(crate) until: Instant,
    /// How long it lasts in all.
    seconds: u32,
}

impl WaitSpan {
    pub(crate) fn begin(caller: &Caller, seconds: u64) -> Self {
        let now = Instant::now();
        let began = now.checked_sub(caller.ran_before).unwrap_or(now);
        let rest = Duration::from_secs(seconds).saturating_sub(caller.ran_before);
        let until = now + rest;
        let until = caller.waits_until.map_or(until, |last| until.min(last));
        // Whole seconds, so that it is the same however often the call is made again.
        let lasts = (until - began).as_secs_f64().round();
        Self {
            began,
            until,
            seconds: lasts as u32,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// How far it is; `None` once its time is over: then its result follows, and progress may not pass its total.
    pub(crate) fn report(&self, cursor: &impl fmt::Display) -> Option<WaitReport> {
        let (waited, most) = (self.began.elapsed().as_secs_f64(), f64::from(self.seconds));
        (waited < most).then(|| WaitReport {
            waited_seconds: waited,
            most_seconds: most,
            text: format!("waiting, 0 of 1, cursor {cursor}"),
        })
    }
}

/// What is left of a call while it waits for an event.
#[derive(Debug)]
pub(crate) struct ParkedWait {
    history: EventHistory,
    place: EventWait,
    /// The position up to which the call read the log, and the log.
    through: Sequence,
    generation: u32,
    span: WaitSpan,
}

impl ParkedWait {
    pub(crate) fn new(
        history: &EventHistory,
        place: EventWait,
        (generation, through): (u32, Sequence),
        span: WaitSpan,
    ) -> Self {
        Self {
            history: history.clone(),
            place,
            through,
            generation,
            span,
        }
    }

    /// The position up to which nothing fits.
    fn examined(&self) -> Sequence {
        let examined = self.place.examined_through(self.generation);
        examined.unwrap_or_default().max(self.through)
    }
}

impl CallWait for ParkedWait {
    fn poll_due(&mut self, reader: &Principal, cx: &mut Context<'_>) -> Poll<()> {
        let history = self.history.of(reader);
        let fits = |event: &EventFacts| history.sees(event);
        let next = self
            .place
            .poll_next(self.generation, self.through, fits, cx);
        next.map(|reached| self.through = self.through.max(reached))
    }

    fn ends_at(&self) -> Instant {
        self.span.until
    }

    fn waited(&self) -> Duration {
        self.span.began.elapsed()
    }

    fn most_seconds(&self) -> u32 {
        self.span.seconds
    }

    fn report(&self, reader: &Principal) -> Option<WaitReport> {
        let hub = self.place.hub();
        let stream = hub.reader(CursorScope::events(&reader.id)).ok()?;
        let cursor = hub.cursor_through(&stream, self.examined());
        self.span.report(&cursor)
    }

    fn position(&self) -> WaitPosition {
        WaitPosition {
            generation: self.generation,
            examined: self.examined(),
            names_at: self.place.began_at(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use super::*;

    /// Ten thousand of them are ten thousand times this.
    #[test]
    fn what_is_left_of_a_call_is_small() {
        assert!(
            size_of::<ParkedWait>() <= 192,
            "{}",
            size_of::<ParkedWait>()
        );
    }
}
