//! The sources of a feed's events: the ring, or pages of the log.

use std::{sync::Arc, task::Context, time::Duration};

use model::Sequence;
use stream_driver::OutgoingFrames;
use tracing::{debug, warn};

use super::{Feed, Rewind};
use crate::{
    format::{StreamFormat, StreamReader},
    interest::StreamInterest,
    limits::{BATCH_BYTES, BATCH_EVENTS, CATCH_UP_PAUSE},
    pages::PageResult,
    ring::{RingEntry, RingRead},
    stream::OpenStream,
};

/// One stream in this many has its latency measured: reading the clock and updating the histogram
/// for each stream would cost as much as matching.
const LATENCY_SAMPLE: usize = 8;

/// Parts of the ring without wanted events that a stream reads in one turn before it yields to
/// others.
const TURNS: usize = 4;

/// The result of reading the ring.
enum ReadStep {
    Send,
    /// The position has fallen off the ring.
    ReadLog,
    /// The log was put back meanwhile.
    StepBack,
    /// Nothing now; the next mark or change wakes the stream.
    Idle,
}

/// The next part to examine.
struct NextRead {
    /// An event that is known to be wanted.
    wanted: Option<Sequence>,
}

impl Feed {
    /// Adds the next events; returns whether it added any.
    pub(super) fn fill_events(&mut self, cx: &mut Context<'_>, out: &mut OutgoingFrames) -> bool {
        loop {
            if self.step_back(out) {
                return true;
            }
            if let Some(log) = &mut self.log {
                let std::task::Poll::Ready(page) = log.as_mut().poll(cx) else {
                    return false;
                };
                self.log = None;
                self.take_page(page, out);
            } else if self.page.is_some() {
                self.read_page(out);
            } else {
                match self.read_ring(out) {
                    ReadStep::Send | ReadStep::ReadLog | ReadStep::StepBack => {}
                    ReadStep::Idle => return false,
                }
            }
            if !out.is_empty() {
                return true;
            }
        }
    }

    /// The distance between the position and this edge's head, counting only events since the
    /// stream began.
    pub(super) fn events_behind(&self) -> u64 {
        let from = self.position.max(self.began_at);
        self.hub.ring.head().0.saturating_sub(from.0)
    }

    /// Takes the marks and changes left by other components; `None` if there is nothing to examine.
    fn take_news(&mut self) -> Option<NextRead> {
        // Loaded before the mark is taken: an event that is not marked by then did not concern this
        // stream.
        let marked_through = self.hub.streams.marked_through();
        let pending = self.stream.take_pending();
        if let Some(interest) = self.stream.take_changed_interest() {
            self.change_interest(interest);
        } else if !self.more {
            let before = pending.map(|pending| Sequence(pending.first.0 - 1));
            self.move_to(before.unwrap_or(marked_through));
        }
        // The interest of an events stream that follows no subscriptions never changes, so the comparison that
        // marked it is still valid.
        let is_fixed =
            matches!(self.stream.format, StreamFormat::Events) && self.progress.is_none();
        let sure = pending.filter(|p| p.is_sure && is_fixed);
        (self.more || pending.is_some()).then_some(NextRead {
            wanted: sure.map(|pending| pending.first),
        })
    }

    /// Examines the ring after the position.
    fn read_ring(&mut self, out: &mut OutgoingFrames) -> ReadStep {
        for _ in 0..TURNS {
            let Some(look) = self.take_news() else {
                return ReadStep::Idle;
            };
            if self.hub.generation() != self.generation {
                // The mark just taken may be one of the present generation.
                self.more = true;
                return ReadStep::StepBack;
            }
            let generation = self.generation;
            let how = (&*self.interest, &*self.rewinds, &self.reader);
            let measures = self.slot.is_multiple_of(LATENCY_SAMPLE);
            let (newest, id_is_behind) = (&mut self.newest, &mut self.id_is_behind);
            let writes = &mut self.writes;
            let window = self.hub.ring.read(self.position, BATCH_EVENTS, |entry| {
                // The ring may be of a later generation than the mark.
                let is_sure = look.wanted == Some(entry.sequence) && entry.generation <= generation;
                let is_wanted = visit(&self.stream, how, entry, is_sure, out);
                if is_wanted {
                    *id_is_behind = how.1.iter().any(|rewind| rewind.is_ahead(entry.sequence));
                }
                if is_wanted {
                    let begun = writes.iter().find(|(at, _)| *at == entry.sequence);
                    let span = match begun {
                        Some((_, span)) => span.clone(),
                        None => entry.write_span(),
                    };
                    if measures {
                        *newest = Some((entry.event.facts.received_at, span.clone()));
                    }
                    if begun.is_none() && span.is_recorded() {
                        self.stream.describe_write(&span, entry.sequence);
                        writes.push((entry.sequence, span));
                    }
                }
                out.len() < BATCH_BYTES
            });
            match window {
                RingRead::Behind => {
                    self.more = true;
                    self.read_log(None);
                    return ReadStep::ReadLog;
                }
                RingRead::Read { through, more } => {
                    self.more = more;
                    if !out.is_empty() {
                        out.set_position(through.0);
                        return ReadStep::Send;
                    }
                    self.move_to(through);
                }
            }
        }
        // A long stretch without wanted events: yield to other streams.
        self.stream.rescan_after(self.position);
        ReadStep::Idle
    }

    /// Adds events from the page after the position, as many as fit.
    fn read_page(&mut self, out: &mut OutgoingFrames) {
        let Some(page) = &self.page else {
            return;
        };
        let how = (&*self.interest, &*self.rewinds, &self.reader);
        let id_is_behind = &mut self.id_is_behind;
        let window = page.read(self.position, BATCH_EVENTS, |entry| {
            if visit(&self.stream, how, entry, false, out) {
                *id_is_behind = how.1.iter().any(|rewind| rewind.is_ahead(entry.sequence));
            }
            out.len() < BATCH_BYTES
        });
        match window {
            RingRead::Behind => self.page = None,
            RingRead::Read { through, more } => {
                if !more {
                    self.page = None;
                }
                match out.is_empty() {
                    true => self.move_to(through),
                    false => out.set_position(through.0),
                }
            }
        }
    }

    /// Reads the log after the position, at once or after a pause.
    fn read_log(&mut self, pause: Option<Duration>) {
        let (hub, position) = (Arc::clone(&self.hub), self.position);
        let principal = self.stream.principal.id.clone();
        self.log = Some(Box::pin(async move {
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            hub.page_after(position, &principal).await
        }));
    }

    /// Takes a page of the log, and reports to the client if events before it are gone.
    fn take_page(&mut self, page: PageResult, out: &mut OutgoingFrames) {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                warn!(%error, "a stream cannot read the log, trying again");
                self.read_log(Some(CATCH_UP_PAUSE));
                return;
            }
        };
        let (gone, reason) = (page.gap_after(self.position), page.gap_reason());
        if page.through() <= self.position && gone.is_none() {
            // The ring had something here and the log does not: that cannot last, so retry slowly.
            self.read_log(Some(CATCH_UP_PAUSE));
            return;
        }
        self.page = Some(page);
        if let Some(resumes_after) = gone {
            self.hub.metrics.gap(reason);
            self.move_to(resumes_after);
            self.name_position();
            let (cursor, now) = (self.cursor(), self.hub.clock.now());
            let format = &self.stream.format;
            out.push_unrepeatable(|out| format.truncated(&self.interest, &cursor, now, out));
        }
    }
}

/// Adds an event's frames if the stream wants it; returns whether it does.
fn visit(
    stream: &OpenStream,
    (interest, rewinds, reader): (&StreamInterest, &[Rewind], &StreamReader),
    entry: &RingEntry,
    is_sure: bool,
    out: &mut OutgoingFrames,
) -> bool {
    if !is_sure && !interest.wants(entry) {
        return false;
    }
    let had = rewinds.iter().filter(|rewind| rewind.covers(entry));
    let had: Vec<_> = had.map(|rewind| &*rewind.before).collect();
    if had.is_empty() {
        stream.format.event(interest, entry, reader, out);
    } else {
        let rest = interest.without(entry, &had);
        if !rest.wants(entry) {
            return false;
        }
        stream.format.event(&rest, entry, reader, out);
    }
    if let Some(trace) = entry.event.trace {
        debug!(event_id = %entry.event.facts.id, trace_id = %trace.trace, kind = stream.kind.as_str(), "event written to a stream");
    }
    true
}
