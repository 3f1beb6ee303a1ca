//! The hub: receives events and opens streams.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use event_flow::{
    follow::{Followed, LostEvents},
    former_logs::FormerLogs,
};
use model::{
    Clock, Cursor, CursorKeys, CursorScope, EntryTag, Epoch, GapMark, IdSource, LogPosition,
    PlaceId, PrincipalId, Sequence, Sequenced, StoredEvent, Timestamp,
};
use parking_lot::{Mutex, RwLock};
use ports::EventLog;
use service_kit::line_allowance::LineAllowance;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    audience::ClientLabels,
    bounds::StreamBounds,
    error::HubError,
    format::{StreamEnd, StreamFormat, StreamReader},
    interest::StreamInterest,
    log_end::LogEnd,
    log_turns::LogTurns,
    lost_times::LostTimes,
    news::NewsSelection,
    pages::{PageResult, Pages},
    ring::{Ring, RingEntry},
    stream::OpenStream,
    streams::{MarkWork, OpenStreams},
    timeline::{LogTimeline, PositionComparison, SetBackRange},
    unread::UnreadBytes,
    waits::EventWaits,
};
use crate::{
    limits::{EVENT_LINES_PER_SECOND, RING_BYTES, RING_EVENTS},
    metrics::{FanoutMetrics, GapReason, StreamKind},
};
use access::{NameDirectory, NamesAt, Principal};

/// The fan-out of one edge.
#[derive(Debug)]
pub struct Hub {
    pub(crate) ring: Ring,
    pub(crate) streams: OpenStreams,
    pub(crate) metrics: FanoutMetrics,
    /// What streams hold for clients that do not read.
    pub(crate) unread: UnreadBytes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) log_end: LogEnd,
    /// Which name is which id.
    pub(super) names: Arc<NameDirectory>,
    /// The calls that wait for an event.
    pub(super) waits: EventWaits,
    /// The turns of queries that read the log.
    pub(super) log_turns: Arc<LogTurns>,
    pub(super) pages: Arc<Pages>,
    timeline: RwLock<Arc<LogTimeline>>,
    former_timelines: Mutex<FormerLogs<Arc<LogTimeline>>>,
    /// The keys of the cursors of this log.
    cursor_keys: RwLock<Arc<CursorKeys>>,
    /// Increases when the log is replaced or put back. Changed after everything else of the new generation
    /// except its events.
    generation: AtomicU32,
    /// The events after the place to which the log was last put back, by position: those that it still has
    /// are of the generation in which this edge first had them.
    set_back_entries: Mutex<HashMap<Sequence, (EntryTag, u32)>>,
    started: AtomicBool,
    /// When events were received that the log does not have, or no longer.
    pub(crate) lost_times: LostTimes,
    /// The ring is empty, because the edge began to follow a log.
    pub(super) ring_restarted: Notify,
    /// The position of the newest event, for requests that wait for one.
    pub(super) published: watch::Sender<Sequence>,
    pub(super) draining: CancellationToken,
    pub(crate) bounds: StreamBounds,
    /// Whether clients with channels get them.
    pub(super) has_channels: bool,
    ids: Arc<dyn IdSource>,
    started_at: Instant,
    /// Which events have a line in the log.
    lines: LineAllowance,
}

/// The point from which a new stream starts.
#[derive(Debug)]
pub enum StreamStart {
    /// With the next event.
    Head,
    /// After a cursor.
    After(Cursor),
    /// After a position of this log.
    Position(Sequence),
    /// As [`Self::Position`], with a notice to the reader: events after its own position were lost.
    AfterLoss(Sequence),
    /// With the first event received at or after a time.
    Since(Timestamp),
    /// With the next event; a notice to the reader says that its cursor is not valid here.
    UnknownCursor,
}

/// A stream to open.
#[derive(Debug)]
pub struct StreamRequest {
    /// For metrics.
    pub kind: StreamKind,
    /// The format of its frames.
    pub format: StreamFormat,
    /// The scope of its cursors.
    pub scope: CursorScope,
    /// The session that it belongs to, with the tag of this stream.
    pub session: Option<(model::SessionId, u64)>,
    /// What is known of the client of the session, for messages to some clients.
    pub labels: Option<ClientLabels>,
    /// The client has its session's inbox up to here, which every event id of the stream says.
    pub inbox: Sequence,
    /// The reader.
    pub principal: Arc<Principal>,
    /// The events and resources that it wants.
    pub interest: StreamInterest,
    /// The point from which it starts.
    pub begin: StreamStart,
    /// The news that it wants in addition to events.
    pub wants: NewsSelection,
    /// Whether the stream ends at the maximum age; false if its end would cost the client more than
    /// a reconnect.
    pub ages: bool,
}

/// The dependencies of a hub.
#[derive(Debug)]
pub struct HubParts {
    /// The event log, for streams that are behind the ring.
    pub log: Arc<dyn EventLog>,
    /// Which name is which id: the hub follows renames with it.
    pub names: Arc<NameDirectory>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for the ages of streams.
    pub ids: Arc<dyn IdSource>,
    /// The instruments.
    pub metrics: FanoutMetrics,
    /// The bounds on the number, age and lag of streams.
    pub bounds: StreamBounds,
    /// The keys that seal cursors; those of the log are made when it is known.
    pub cursor_keys: CursorKeys,
    /// Whether clients with channels get their events as notifications of a channel.
    pub has_channels: bool,
    /// Cancelled when the process drains: requests that wait for an event return.
    pub draining: CancellationToken,
}

impl Hub {
    /// A hub that has not begun to follow the log; it serves streams after [`Followed::Started`].
    #[must_use]
    pub fn new(parts: HubParts) -> Self {
        Self::with_ring(Ring::new(RING_EVENTS, RING_BYTES), parts)
    }

    /// As [`Hub::new`] with a ring of the given size.
    pub(crate) fn with_ring(ring: Ring, parts: HubParts) -> Self {
        let HubParts {
            log,
            names,
            clock,
            ids,
            metrics,
            bounds,
            cursor_keys,
            has_channels,
            draining,
        } = parts;
        metrics.set_max_streams(bounds);
        Self {
            ring,
            pages: Pages::new(Arc::clone(&log), metrics.clone()),
            log_turns: LogTurns::new(Arc::clone(&log)),
            streams: OpenStreams::new(metrics.ended_streams.clone()),
            unread: UnreadBytes::new(metrics.unread_bytes.clone()),
            metrics,
            clock,
            log,
            log_end: LogEnd::default(),
            names,
            waits: EventWaits::default(),
            timeline: RwLock::new(Arc::new(LogTimeline::new(Epoch(0), 0))),
            former_timelines: Mutex::default(),
            cursor_keys: RwLock::new(Arc::new(cursor_keys)),
            generation: AtomicU32::new(0),
            set_back_entries: Mutex::default(),
            started: AtomicBool::new(false),
            lost_times: LostTimes::default(),
            ring_restarted: Notify::new(),
            published: watch::Sender::new(Sequence::START),
            draining,
            bounds,
            has_channels,
            ids,
            started_at: Instant::now(),
            lines: LineAllowance::new(EVENT_LINES_PER_SECOND),
        }
    }

    /// Applies an update of the follower. Never blocks.
    pub fn apply(&self, followed: Followed) {
        match followed {
            Followed::Started {
                epoch,
                position,
                tag,
                ..
            } => self.start(epoch, position, tag),
            Followed::SetBack {
                was,
                resumes_after,
                tag,
                ..
            } => self.set_back(was, (resumes_after, tag)),
            Followed::Events(events) => events.into_iter().for_each(|event| self.publish(event)),
            Followed::Lost(lost) => self.lose(lost),
            Followed::CaughtUp { .. }
            | Followed::Stalled
            | Followed::Recovered
            | Followed::Other(_)
            | Followed::OtherGap => {}
        }
    }

    /// The follower could not read some events. Each stream finds that it is behind, reads the log and
    /// reports the gap to its client.
    fn lose(&self, lost: LostEvents) {
        let (range, reason) = (lost.range, lost.reason.as_str());
        let (after, resumes_after) = (range.after, range.resumes_after);
        self.waits.unsettle();
        warn!(%after, %resumes_after, reason, "events were gone before this edge read them");
        self.metrics.gap(lost.reason.into());
        self.ring.restart(resumes_after, lost.tag);
        self.pages.set_followed(resumes_after);
        self.streams
            .for_slice(0, 1, |stream| stream.rescan_after(after));
        self.waits.wake_all();
    }

    /// Seconds since the hub began: the unit in which stream ages are counted.
    pub(crate) fn second(&self) -> u32 {
        u32::try_from(self.started_at.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    fn start(&self, epoch: Epoch, position: Sequence, tag: Option<EntryTag>) {
        let replaced = self.started.load(Ordering::Acquire);
        let generation = self.generation() + 1;
        self.waits.unsettle();
        if replaced {
            self.lost_times.replaced(self.clock.now());
        }
        self.names.begin_log(epoch);
        self.streams.restart(position);
        self.ring.restart(position, tag);
        self.pages.set_followed(position);
        self.pages.clear(generation);
        let keys = self.cursor_keys().for_log(epoch);
        *self.cursor_keys.write() = Arc::new(keys);
        // Last: a reader that sees the new epoch sees positions of the new log only.
        let former = replaced.then(|| {
            let before = self.timeline();
            let mut former = self.former_timelines.lock();
            former.replaced((before.epoch(), before), epoch)
        });
        let timeline = match former.flatten() {
            Some(former) => former.returned(generation),
            None => LogTimeline::new(epoch, generation),
        };
        *self.timeline.write() = Arc::new(timeline);
        self.generation.store(generation, Ordering::Release);
        if replaced {
            self.metrics.gap(GapReason::LogReplaced);
            self.streams.end_all(StreamEnd::LogReplaced);
        }
        self.started.store(true, Ordering::Release);
        self.published.send_replace(position);
        self.ring_restarted.notify_one();
        self.waits.wake_all();
    }

    /// The log no longer has what came after `resumes_after`, where it has the entry with this tag. No event of
    /// the new generation is published before every stream can see the generation.
    fn set_back(&self, was: Sequence, (resumes_after, tag): (Sequence, Option<EntryTag>)) {
        let generation = self.generation() + 1;
        self.waits.unsettle();
        let found = self.clock.now();
        let range = SetBackRange {
            generation,
            was,
            resumes_after,
            mark: GapMark::of_found(resumes_after, found),
        };
        {
            let mut timeline = self.timeline.write();
            let mut longer = LogTimeline::clone(&timeline);
            longer.push(range);
            *timeline = Arc::new(longer);
        }
        self.names.set_back(resumes_after);
        let removed = self.ring.set_back(resumes_after, tag);
        let first = removed.front();
        let first = first.filter(|first| first.sequence == resumes_after.next());
        let first = first.map(|first| (first.tag, first.event.facts.received_at));
        {
            let mut timeline = self.timeline.write();
            let mut known = LogTimeline::clone(&timeline);
            let tags = removed.iter().map(|entry| (entry.sequence, entry.tag));
            let mark = first.map_or(range.mark, |(tag, at)| GapMark::of_lost(tag, at));
            known.remember_removed(tags.collect(), mark);
            *timeline = Arc::new(known);
        }
        if was > resumes_after {
            self.lost_times.set_back(first.map(|(_, at)| at), found);
        }
        let removed = removed
            .iter()
            .map(|entry| (entry.sequence, (entry.tag, entry.generation)));
        *self.set_back_entries.lock() = removed.collect();
        self.pages.set_followed(resumes_after);
        self.pages.clear(generation);
        self.streams.restart(resumes_after);
        self.generation.store(generation, Ordering::Release);
        self.metrics.gap(GapReason::LogSetBack);
        self.published.send_replace(resumes_after);
        self.waits.wake_all();
        self.streams
            .for_slice(0, 1, |stream| stream.set_back(&range));
    }

    /// The generation in which this edge first had this event at this position.
    fn generation_of(&self, event: &Sequenced<StoredEvent>) -> u32 {
        let mut before = self.set_back_entries.lock();
        let known = match before.is_empty() {
            true => None,
            false => before.remove(&event.sequence),
        };
        match known {
            Some((tag, generation)) if tag == EntryTag::of(&event.item.facts.id) => generation,
            _ => self.generation(),
        }
    }

    fn publish(&self, event: Sequenced<StoredEvent>) {
        let generation = self.generation_of(&event);
        // Before anything is shown of it: it may say whose name it has.
        let position = LogPosition {
            epoch: self.epoch(),
            sequence: event.sequence,
            tag: None,
        };
        let observed = self.names.observe(position, &event.item.facts);
        self.count_renames(&observed.renamed);
        let entry = Arc::new(RingEntry::live(event, generation));
        if observed.has_followed {
            // Before a stream can read it: it may be the first under the new name.
            self.follow_names();
        }
        self.ring.push(Arc::clone(&entry));
        if observed.has_followed {
            self.waits.wake_all();
        }
        self.pages.set_followed(entry.sequence);
        self.published.send_replace(entry.sequence);
        let MarkWork {
            streams,
            comparisons,
        } = self.streams.mark(&entry);
        let woken = self.waits.wake(&entry);
        self.waits.settle(entry.sequence);
        self.metrics.calls_woken(woken.calls);
        self.metrics.matched(comparisons + woken.comparisons);
        self.metrics.set_match_cost(self.streams.budget.total());
        if streams > 0 && self.lines.has_room() {
            self.tell(&entry, streams);
        }
    }

    fn tell(&self, entry: &RingEntry, streams: usize) {
        let trace_id = entry.event.trace.map(|trace| trace.trace.to_string());
        let left_out = self.lines.take_left_out();
        info!(
            event_id = %entry.event.facts.id,
            sequence = entry.sequence.0,
            streams,
            trace_id,
            lines_left_out = (left_out > 0).then_some(left_out),
            "event goes to streams"
        );
    }

    /// A number by which an edge knows what it has stored.
    #[must_use]
    pub fn new_mark(&self) -> u64 {
        self.random()
    }

    /// Counts what was renamed: followed here, or while this edge was away.
    pub fn count_renames(&self, renamed: &[PlaceId]) {
        renamed.iter().for_each(|id| self.metrics.renamed(*id));
    }

    /// Streams go on with what they named, before the event is compared that says so.
    fn follow_names(&self) {
        let follow = |stream: &OpenStream| stream.follow_names(&self.names);
        self.streams.for_slice(0, 1, follow);
    }

    /// Which name is which id.
    #[must_use]
    pub fn names(&self) -> &Arc<NameDirectory> {
        &self.names
    }

    /// Names as a stream means them that begins here, and the position of that: one that is resumed means what they
    /// meant when it began.
    #[must_use]
    pub fn names_at(&self, begin: &StreamStart) -> (NamesAt<'_>, Sequence) {
        match begin {
            StreamStart::After(cursor) if cursor.epoch == self.epoch() => {
                let named_at = cursor.named_at();
                (self.names.at(named_at), named_at)
            }
            _ => {
                // Before the names: what is renamed in between is followed.
                let position = self.position().sequence;
                (self.names.now(), position)
            }
        }
    }

    pub(crate) fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// A random number, for the ages of streams.
    pub(crate) fn random(&self) -> u64 {
        self.ids.random_u64()
    }

    /// The identity of the log that this edge follows.
    pub fn epoch(&self) -> Epoch {
        self.timeline.read().epoch()
    }

    /// The log, and when it was put back: stored positions are resolved by it.
    pub fn timeline(&self) -> Arc<LogTimeline> {
        Arc::clone(&self.timeline.read())
    }

    /// Changes when the log is replaced or put back to an earlier state.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Remembers what became of the entry of a stored position.
    pub(crate) fn learn(&self, comparison: PositionComparison) {
        let mut timeline = self.timeline.write();
        let mut longer = LogTimeline::clone(&timeline);
        longer.learn(comparison);
        *timeline = Arc::new(longer);
    }

    /// As [`Self::position`], for whatever is stored with it: an edge that does not follow the log yet would
    /// begin it with the oldest event.
    ///
    /// # Errors
    /// [`HubError::NotReady`].
    pub fn started_position(&self) -> Result<LogPosition, HubError> {
        match self.has_started() {
            true => Ok(self.position()),
            false => Err(HubError::NotReady),
        }
    }

    /// This edge's position in the log; never ahead of the log.
    pub fn position(&self) -> LogPosition {
        let sequence = self.ring.head();
        LogPosition {
            epoch: self.epoch(),
            sequence,
            tag: self.ring.known_tag(sequence),
        }
    }

    /// The keys of the cursors of the log that this edge follows.
    ///
    /// # Errors
    /// [`HubError::NotReady`]: it does not follow one yet.
    pub fn started_keys(&self) -> Result<Arc<CursorKeys>, HubError> {
        match self.has_started() {
            true => Ok(self.cursor_keys()),
            false => Err(HubError::NotReady),
        }
    }

    fn cursor_keys(&self) -> Arc<CursorKeys> {
        Arc::clone(&self.cursor_keys.read())
    }

    /// A reader of this log at its beginning, for cursors of `scope`.
    ///
    /// # Errors
    /// As [`Self::started_keys`].
    pub fn reader(&self, scope: CursorScope) -> Result<StreamReader, HubError> {
        Ok(StreamReader {
            keys: self.started_keys()?,
            scope,
            inbox: Sequence::START,
            newest_subscription: 0,
            told: None,
        })
    }

    /// A page of the log after `position`, for a stream that fell off the ring: one read serves all
    /// streams that ask for nearby positions. See [`Pages::after`].
    ///
    /// # Errors
    /// The log cannot be read now, or was replaced meanwhile.
    pub(crate) async fn page_after(
        &self,
        position: Sequence,
        principal: &PrincipalId,
    ) -> PageResult {
        let reader = self.log_turns.pace_of(principal);
        self.pages.after(position, &reader).await
    }
}
