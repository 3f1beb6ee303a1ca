//! The output of an open stream: a position in the ring, and the log once the position has fallen
//! off the ring.
//!
//! A feed is driven by hyper's body or by a reactor ([`stream_driver`]), and does not know which.
//! Its position covers only what the client's socket took, so nothing is stored for a slow client.

mod reading;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut, Bytes};
use futures_util::future::BoxFuture;
use instruments::TraceSpan;
use model::{CursorText, EntryTag, LogPosition, PrincipalId, Sequence, Timestamp};
use stream_driver::{FillResult, OutgoingFrames, SendProgress, StreamSource};
use tracing::info;

use super::{
    followed::{TaskFollower, TaskSource},
    followed_stream::{FollowedStream, StreamProgress, TakenPosition},
    format::{StreamEnd, StreamFormat, StreamReader},
    hub::Hub,
    inbox::{Inbox, MailStream, MailUpdate, answers, set_back_notice},
    interest::StreamInterest,
    pages::{LogPage, PageResult},
    ring::RingEntry,
    stream::OpenStream,
};
use crate::{
    limits::{BURST_GRACE, FAREWELL_GRACE, RETRY_MILLIS, SMALL_UNREAD_BYTES},
    metrics::{CutReason, GapReason},
};

/// Changes of interest that moved the stream back and are remembered until it has caught up again.
/// If a session changes more often than that, some events are sent twice, and none is missed.
const MAX_REWINDS: usize = 8;

/// A comment line: it keeps proxies from cutting an idle stream (MCP 2026-07-28, Streamable HTTP).
const HEARTBEAT: &[u8] = b":\n\n";

/// An open stream as its driver sees it. Dropping it closes the stream.
pub struct Feed {
    hub: Arc<Hub>,
    stream: Arc<OpenStream>,
    slot: usize,
    reader: StreamReader,
    /// The client's socket has taken every wanted event up to here.
    position: Sequence,
    /// The tag of the entry after which the stream began, which may be older than what this edge has in
    /// memory; `None` once the stream has moved.
    resumed: Option<EntryTag>,
    /// The edge's position when the stream began: events that the client had missed before do not
    /// count as lag.
    began_at: Sequence,
    opened_at: Timestamp,
    interest: Arc<StreamInterest>,
    /// The generation of the log to which the position belongs.
    generation: u32,
    /// Empty except for the short time after the stream was moved back.
    rewinds: Vec<Rewind>,
    /// There is more between the position and the head, regardless of the marks.
    more: bool,
    opening: Option<OpeningFrames>,
    log: Option<BoxFuture<'static, PageResult>>,
    /// The page that a stream behind the ring is reading.
    page: Option<Arc<LogPage>>,
    /// The session's mailbox; only the streams of sessions have one.
    inbox: Option<Box<Inbox>>,
    /// Only listen streams follow tasks.
    tasks: Option<Box<TaskFollower>>,
    /// The time at which the newest of the events being sent was received, and the span of its write, if this
    /// stream is measured.
    newest: Option<(Timestamp, TraceSpan)>,
    /// Positions and spans of the events being sent, for those of recorded traces.
    writes: Vec<(Sequence, TraceSpan)>,
    wrote_since_beat: bool,
    /// The newest subscription that an event id of this stream covers, as recorded in the stream.
    covered_subscription: Option<u64>,
    /// The client knows that an id may come without a message.
    is_primed: bool,
    /// The last id was sent on the way back ([`Rewind`]), and names less than what the client has.
    id_is_behind: bool,
    /// What names meant when the ids were last compared with that ([`NameDirectory::meanings`](access::NameDirectory::meanings)).
    meanings: u64,
    /// Bytes of a frame that the driver holds, as far as they count.
    unread_bytes: usize,
    /// Where the stream says how far it has come; only a stream that follows subscriptions has one.
    progress: Option<Arc<StreamProgress>>,
}

/// The first frames of a stream.
#[derive(Debug)]
pub struct OpeningFrames {
    /// May be empty.
    pub frames: Bytes,
    /// Whether a client that has read them has an event id to resume from.
    pub has_event_id: bool,
}

/// Frames without an event id.
impl From<Bytes> for OpeningFrames {
    fn from(frames: Bytes) -> Self {
        Self {
            frames,
            has_event_id: false,
        }
    }
}

/// The stream moved back: its session added a subscription while it was open, or the log was put back to
/// an earlier state. Events that match its earlier interest have already been sent.
struct Rewind {
    before: Arc<StreamInterest>,
    /// The position from which the stream moved back.
    until: Sequence,
    /// Events that the log has in these places since a later generation have not been sent.
    generation: u32,
}

impl Rewind {
    /// Whether a client that names this position would get again what it had before the stream moved back.
    fn is_ahead(&self, named: Sequence) -> bool {
        named < self.until
    }

    fn covers(&self, entry: &RingEntry) -> bool {
        entry.sequence <= self.until && entry.generation <= self.generation
    }
}

impl Feed {
    pub(crate) fn new(
        hub: Arc<Hub>,
        stream: Arc<OpenStream>,
        slot: usize,
        reader: StreamReader,
    ) -> Self {
        hub.metrics.stream_opened(stream.kind);
        let opened_at = hub.clock.now();
        let interest = stream.interest();
        let mut feed = Self {
            generation: hub.generation(),
            interest,
            hub,
            stream,
            slot,
            reader,
            position: Sequence::START,
            resumed: None,
            began_at: Sequence::START,
            opened_at,
            rewinds: Vec::new(),
            more: true,
            opening: None,
            log: None,
            page: None,
            inbox: None,
            tasks: None,
            newest: None,
            writes: Vec::new(),
            wrote_since_beat: false,
            covered_subscription: None,
            is_primed: false,
            id_is_behind: false,
            meanings: 0,
            unread_bytes: 0,
            progress: None,
        };
        feed.name_in_ids();
        feed
    }

    /// A client that comes back with an id means its names as this stream does.
    fn name_in_ids(&mut self) {
        self.meanings = self.hub.names.meanings();
        if matches!(self.stream.format, StreamFormat::Events) {
            let names = self.interest.names_for_ids(&self.hub.names);
            let before = std::mem::replace(&mut self.reader.inbox, names);
            self.id_is_behind |= before != names;
        }
    }

    /// Begins at a position; `resumed` is the tag of the entry there, if it is known.
    pub(crate) fn begin_at(&mut self, position: Sequence, resumed: Option<EntryTag>) {
        (self.position, self.resumed) = (position, resumed);
        self.mark_told();
        self.began_at = self.hub.ring.head();
    }

    pub(crate) fn begin(&mut self, truncated: bool, opening: OpeningFrames) {
        self.is_primed = opening.has_event_id;
        let mut out = bytes::BytesMut::from(opening.frames);
        if truncated {
            let (cursor, now) = (self.cursor(), self.hub.clock.now());
            self.stream
                .format
                .truncated(&self.interest, &cursor, now, &mut out);
        }
        self.opening = (!out.is_empty()).then(|| OpeningFrames {
            frames: out.freeze(),
            has_event_id: opening.has_event_id || truncated,
        });
    }

    /// The client knows of all gaps that were known in the generation of this stream: it is told of them now, or was when it
    /// got the cursor with which it came, or it begins behind them.
    fn mark_told(&mut self) {
        let timeline = self.hub.timeline();
        self.reader.told = timeline.newest_gap(self.position, self.generation);
    }

    /// The client's cursor after the present position, which names the entry there if it is known.
    #[must_use]
    pub fn cursor(&self) -> CursorText {
        self.hub
            .cursor_at(&self.reader, self.position, self.tag_here())
    }

    /// The tag of the entry at the present position.
    fn tag_here(&self) -> Option<EntryTag> {
        let position = self.position;
        let in_memory = self.hub.ring.known_tag(position);
        // Of the position's own generation: the ring of the next one may have another entry there.
        let in_memory = in_memory.filter(|_| self.hub.generation() == self.generation);
        let on_page = || self.page.as_ref()?.tag_at(position).known();
        in_memory.or_else(on_page).or(self.resumed)
    }

    pub(crate) fn principal_id(&self) -> &PrincipalId {
        &self.stream.principal.id
    }

    /// Makes the stream read the session's mailbox too.
    pub fn read_inbox(&mut self, inbox: Inbox) {
        if inbox.has_answers() {
            self.hub.streams.carry_answers(self.slot);
        }
        self.inbox = Some(Box::new(inbox));
    }

    /// Makes the stream tell the states of the tasks that it wants, as `source` knows them.
    pub fn follow_tasks(&mut self, source: Arc<dyn TaskSource>) {
        let reader = Arc::clone(&self.stream.principal);
        self.tasks = Some(Box::new(TaskFollower::new(source, reader)));
    }

    /// Makes the stream follow subscriptions: its interest changes while it is open, through the handle, which also
    /// tells how far its client's socket has taken their events.
    pub fn follow_subscriptions(&mut self) -> FollowedStream {
        let progress = Arc::new(StreamProgress::default());
        self.progress = Some(Arc::clone(&progress));
        self.record_position();
        FollowedStream::new(&self.hub, &self.stream, progress)
    }

    /// Says how far the client's socket has taken the events that it wants.
    fn record_position(&self) {
        let Some(progress) = &self.progress else {
            return;
        };
        // On the way back, the position names less than what the client has; but not for what was added.
        progress.record(TakenPosition {
            revision: self.interest.revision,
            generation: self.generation,
            position: LogPosition {
                epoch: self.reader.keys.epoch(),
                sequence: self.position,
                tag: self.tag_here(),
            },
        });
    }

    /// Adds what the session's mailbox has; returns whether it added anything.
    fn fill_mail(&mut self, cx: &mut Context<'_>, out: &mut OutgoingFrames) -> bool {
        let Some(inbox) = self.inbox.as_mut() else {
            return false;
        };
        let (of, page) = match inbox.poll(cx, self.stream.take_mail()) {
            None => return false,
            Some(MailUpdate::Page(of, page)) => (of, page),
            Some(MailUpdate::WentBack(of)) => {
                self.hub.record_set_back();
                if of == MailStream::Inbox {
                    self.reader.inbox = Sequence::START;
                }
                self.push_set_back_notice(out);
                return true;
            }
            Some(MailUpdate::SessionGone) => {
                // Wakes this stream, which then sends its farewell.
                self.stream.end(StreamEnd::SessionEnded);
                return false;
            }
        };
        if page.resumes_after.is_some() {
            self.hub.metrics.gap(GapReason::Trimmed);
        }
        if of == MailStream::Answers {
            out.push_unrepeatable(|out| answers(&page, out));
            return true;
        }
        self.name_position();
        let tag = self.tag_here();
        let reader = &mut self.reader;
        let (hub, position, format) = (&self.hub, self.position, &self.stream.format);
        let now = hub.clock.now();
        out.push_unrepeatable(|out| {
            if let Some(resumes_after) = page.resumes_after {
                reader.inbox = resumes_after;
                format.lost_mail(&hub.cursor_at(reader, position, tag), now, out);
            }
            for message in &page.messages {
                reader.inbox = message.sequence;
                let cursor = hub.cursor_at(reader, position, tag);
                format.mail(&cursor, &message.item, now, out);
            }
        });
        if let Some(inbox) = &self.inbox {
            inbox.report_delivery();
        }
        true
    }

    /// The stream as the other components see it.
    #[cfg(test)]
    pub(crate) fn stream(&self) -> &OpenStream {
        &self.stream
    }

    /// Tells the client that the store of its session went back to an earlier state.
    pub fn report_set_back(&self) {
        self.stream.report_set_back();
    }

    /// Ends the stream; the first reason stays.
    pub fn end(&self, ending: StreamEnd) {
        self.stream.end(ending);
    }

    /// Replaces the interest of the stream; a revision older than the present one is ignored.
    pub fn set_interest(&self, interest: StreamInterest) {
        self.stream.set_interest(interest);
        self.stream.follow_names(&self.hub.names);
    }

    /// The session changed its subscriptions: moves back to where the added ones begin. The events
    /// from there on are compared again, because a mark does not cover subscriptions that were
    /// added since.
    fn change_interest(&mut self, interest: Arc<StreamInterest>) {
        let before = std::mem::replace(&mut self.interest, interest);
        self.reader.newest_subscription = self.interest.newest_subscription;
        self.name_in_ids();
        if before.newest_subscription != self.interest.newest_subscription {
            // The last id says that the client has what this stream did not know then.
            self.id_is_behind |= matches!(self.stream.format, StreamFormat::Events);
        }
        self.more = true;
        let Some(since) = self.interest.earliest_added(&before) else {
            return;
        };
        if since < self.position {
            self.move_back(before, self.generation, since);
        }
    }

    /// Moves back to a position; events that `before` wants were sent up to the present one, as the log had
    /// them in `generation`.
    fn move_back(&mut self, before: Arc<StreamInterest>, generation: u32, to: Sequence) {
        if self.rewinds.len() == MAX_REWINDS {
            self.rewinds.remove(0);
        }
        self.rewinds.push(Rewind {
            before,
            until: self.position,
            generation,
        });
        (self.position, self.resumed) = (to, None);
    }

    /// Moves back if the log was put back to an earlier state, and tells the client; returns whether it
    /// was.
    fn step_back(&mut self, out: &mut OutgoingFrames) -> bool {
        let generation = self.hub.generation();
        if generation == self.generation {
            return false;
        }
        let before = std::mem::replace(&mut self.generation, generation);
        let timeline = self.hub.timeline();
        if timeline.epoch() != self.reader.keys.epoch() {
            // Another log: this stream is about to end.
            return false;
        }
        (self.page, self.log, self.more) = (None, None, true);
        self.resumed = None;
        // Their positions may have other events now.
        self.writes.clear();
        let to = timeline.moved_since(before, self.position);
        if to < self.position {
            self.move_back(Arc::clone(&self.interest), before, to);
        }
        self.hub.metrics.gap(GapReason::LogSetBack);
        self.name_position();
        self.mark_told();
        let (cursor, now) = (self.cursor(), self.hub.clock.now());
        let format = &self.stream.format;
        out.push_unrepeatable(|out| format.truncated(&self.interest, &cursor, now, out));
        true
    }

    /// Moves forward to a position, never back.
    fn move_to(&mut self, position: Sequence) {
        if position > self.position {
            (self.position, self.resumed) = (position, None);
        }
        if !self.rewinds.is_empty() {
            self.rewinds.retain(|rewind| rewind.until > self.position);
        }
    }

    /// The reason to cut a client that takes nothing and has been behind for this long; `None` to
    /// keep waiting.
    fn cut_reason(&self, behind: Duration) -> Option<CutReason> {
        let (ending, lag) = (self.stream.ending(), self.hub.bounds.lag);
        // A reader without the right to read gets no further time; the others may still read their
        // farewell.
        if matches!(ending, Some(StreamEnd::Revoked | StreamEnd::RightsChanged)) {
            Some(CutReason::Revoked)
        } else if lag.is_too_long(behind) {
            Some(CutReason::Time)
        } else if lag.is_too_many(self.events_behind(), behind) {
            Some(CutReason::Lag)
        } else if ending.is_some_and(|ending| behind >= farewell_grace(ending)) {
            Some(CutReason::Ended)
        } else {
            None
        }
    }

    /// Adds the news other than events; returns whether it added anything.
    fn fill_news(&mut self, cx: &mut Context<'_>, out: &mut OutgoingFrames) -> bool {
        if let Some(mut news) = self.stream.take_news() {
            if let Some(tasks) = &mut self.tasks {
                tasks.add(std::mem::take(&mut news.tasks));
            }
            let (format, now) = (&self.stream.format, self.hub.clock.now());
            out.push_unrepeatable(|out| format.news(&news, now, out));
            for waiting in news.announcements {
                out.push_unrepeatable(|out| format.announcement(&waiting, out));
                waiting.taken();
            }
        }
        !out.is_empty() || self.fill_task(cx, out)
    }

    /// Adds the state of one task that changed; returns whether it added anything.
    fn fill_task(&mut self, cx: &mut Context<'_>, out: &mut OutgoingFrames) -> bool {
        let Some((task, notice)) = self.tasks.as_mut().and_then(|tasks| tasks.poll(cx)) else {
            return false;
        };
        if notice.is_over {
            self.hub.streams.unfollow(&self.stream, &task);
        }
        out.push_unrepeatable(|out| self.stream.format.task(&notice.message, out));
        true
    }

    /// Adds the id of the present position, if the last one was sent on the way back: a client that is cut now
    /// would get again what it had before the stream moved back.
    fn fill_id(&mut self, out: &mut OutgoingFrames) -> bool {
        let may_be_sent = self.rewinds.is_empty() && self.stream.format.has_event_ids();
        if !self.id_is_behind || !may_be_sent {
            return false;
        }
        self.name_position();
        let cursor = self.cursor();
        let (format, is_primed) = (&self.stream.format, self.is_primed);
        out.push_unrepeatable(|out| format.id_alone(&cursor, is_primed, out));
        true
    }

    /// Before the end of what it followed, a stream of subscriptions says in an id that it followed some: a page comes
    /// back with its last id, and that may be from before.
    fn fill_last_id(&mut self, ending: StreamEnd, out: &mut OutgoingFrames) {
        let newest = self.stream.interest().newest_subscription;
        if !ending.is_final() || newest == 0 {
            return;
        }
        self.reader.newest_subscription = newest;
        let (format, cursor) = (&self.stream.format, self.cursor());
        out.push_unrepeatable(|out| format.id_alone(&cursor, false, out));
    }

    /// The next id names the present position.
    fn name_position(&mut self) {
        let mut rewinds = self.rewinds.iter();
        self.id_is_behind = rewinds.any(|rewind| rewind.is_ahead(self.position));
    }

    /// The frames just added have an event id, from which the client can resume.
    fn record_event_id(&mut self) {
        let covers = Some(self.reader.newest_subscription);
        if self.covered_subscription != covers {
            self.covered_subscription = covers;
            self.stream.record_event_id(self.reader.newest_subscription);
        }
    }

    fn fill(&mut self, cx: &mut Context<'_>, out: &mut OutgoingFrames) -> bool {
        // Before anything is sent that came after the change.
        if self.meanings != self.hub.names.meanings() {
            self.name_in_ids();
        }
        if let Some(opening) = self.opening.take() {
            out.push_unrepeatable(|out| out.put_slice(&opening.frames));
            if opening.has_event_id {
                self.record_event_id();
            }
            return true;
        }
        if self.stream.take_set_back() {
            self.push_set_back_notice(out);
            return true;
        }
        if self.fill_news(cx, out) {
            self.wrote_since_beat = true;
            return true;
        }
        // Mail before events: there is little of it, and a stream that is behind has many events.
        if self.fill_mail(cx, out) || self.fill_events(cx, out) || self.fill_id(out) {
            self.wrote_since_beat = true;
            self.record_event_id();
            return true;
        }
        if self.stream.take_named_beat() {
            let active = self.hub.streams.connections_of(self.principal_id());
            let (format, now) = (&self.stream.format, self.hub.clock.now());
            out.push_unrepeatable(|out| format.heartbeat(active, now, out));
            self.wrote_since_beat = true;
            return true;
        }
        if self.stream.take_beat() && !std::mem::take(&mut self.wrote_since_beat) {
            out.push_unrepeatable(|out| out.put_slice(HEARTBEAT));
            return true;
        }
        false
    }

    fn push_set_back_notice(&self, out: &mut OutgoingFrames) {
        let (format, now) = (&self.stream.format, self.hub.clock.now());
        out.push_unrepeatable(|out| format.message(&set_back_notice(), now, out));
    }
}

/// The time that a client has for its farewell. A client whose session goes on elsewhere, or is over, needs
/// none; and what it was sent from its mailbox no longer counts for its owner.
const fn farewell_grace(ending: StreamEnd) -> Duration {
    match ending {
        StreamEnd::TakenOver | StreamEnd::SessionEnded => BURST_GRACE,
        _ => FAREWELL_GRACE,
    }
}

impl StreamSource for Feed {
    fn poll_fill(&mut self, cx: &mut Context<'_>, out: &mut OutgoingFrames) -> Poll<FillResult> {
        self.stream.register(cx.waker());
        if let Some(tasks) = &mut self.tasks {
            tasks.record_sent();
        }
        // At the moment of delivery: the revocation may not have come to this stream yet.
        self.stream.end_if_revoked();
        if self.opening.is_none()
            && let Some(ending) = self.stream.ending()
        {
            self.fill_last_id(ending, out);
            let (format, now) = (&self.stream.format, self.hub.clock.now());
            out.push_unrepeatable(|out| format.farewell(ending, RETRY_MILLIS, now, out));
            return Poll::Ready(FillResult::Last);
        }
        match self.fill(cx, out) {
            true => Poll::Ready(FillResult::Frames),
            false => Poll::Pending,
        }
    }

    fn record_progress(&mut self, progress: SendProgress) {
        if let Some(position) = progress.position {
            self.move_to(Sequence(position));
        }
        self.record_position();
        let late = self.newest.take().filter(|_| progress.is_all);
        let late = late.map(|(received, span)| (self.hub.clock.now().since(received), span));
        let metrics = &self.hub.metrics;
        metrics.events_delivered(self.stream.kind, progress.events, late);
        // The spans of what was not handed to the socket go on, until it is.
        let sent_through = self.position;
        self.writes
            .retain(|(at, _)| !progress.is_all && *at > sent_through);
        if !progress.is_all {
            self.more = true;
        }
    }

    /// A client that does not read holds no page of the log, nor a read that would bring one; the stream asks
    /// for it again.
    fn release(&mut self) {
        if self.page.is_some() || self.log.is_some() {
            (self.page, self.log, self.more) = (None, None, true);
        }
    }

    /// A frame that is in the ring is held once for all of its streams.
    fn hold(&mut self, bytes: usize, is_shared: bool) -> bool {
        if bytes <= SMALL_UNREAD_BYTES && self.unread_bytes == 0 {
            return true;
        }
        let is_in_ring = is_shared && self.position > self.hub.ring.base();
        let own = if is_in_ring { 0 } else { bytes };
        let principal = &self.stream.principal.id;
        let changed = self.hub.unread.change(principal, self.unread_bytes, own);
        match changed {
            Some(held) => self.unread_bytes = held,
            None => {
                let kind = self.stream.kind.as_str();
                info!(
                    kind,
                    bytes, "stream cut: no room for what its client has not read"
                );
                self.hub.metrics.stream_cut(CutReason::Memory);
            }
        }
        changed.is_some()
    }

    fn is_catching_up(&self) -> bool {
        self.log.is_some() || self.page.is_some()
    }

    fn should_give_up(&self, behind: Duration) -> bool {
        let Some(why) = self.cut_reason(behind) else {
            return false;
        };
        info!(
            position = self.position.0,
            kind = self.stream.kind.as_str(),
            why = why.as_str(),
            behind_seconds = behind.as_secs(),
            "stream cut: its client does not read"
        );
        self.hub.metrics.stream_cut(why);
        true
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.hold(0, false);
        self.hub.streams.remove(self.slot);
        let cost = self.hub.streams.budget.total();
        self.hub.metrics.set_match_cost(cost);
        let age = self.hub.clock.now().since(self.opened_at);
        self.hub.metrics.stream_closed(self.stream.kind, age);
    }
}

#[cfg(test)]
mod tests;
