//! All metrics of the fan-out, in one place. Their names are a contract with dashboards.

use std::{fmt, time::Duration};

use event_flow::follow::LossReason;
use instruments::TraceSpan;
use model::PlaceId;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use service_kit::metrics::{LatencyHistogram, MetricsRegistry, counters};

use crate::{
    bounds::{StreamBound, StreamBounds},
    format::StreamEnd,
};

/// Buckets for the ages of streams: from a second, over the minutes after which balancers cut, to a day.
const AGE_BUCKETS_SECONDS: [f64; 8] =
    [1.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0, 43_200.0, 86_400.0];

/// The kinds of stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StreamKind {
    /// `GET /events/stream`.
    Events,
    /// The GET stream of a handshake-era session.
    Session,
    /// `subscriptions/listen`.
    Listen,
    /// The answer of a call that is resumed.
    Call,
    /// `GET /mcp/sse`.
    Connection,
}

impl StreamKind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Events,
        Self::Session,
        Self::Listen,
        Self::Call,
        Self::Connection,
    ];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Session => "session",
            Self::Listen => "listen",
            Self::Call => "call",
            Self::Connection => "connection",
        }
    }
}

/// The reason for which a reader did not get everything after its cursor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum GapReason {
    /// The log had trimmed the events.
    Trimmed,
    /// The log has entries that do not decode.
    Undecodable,
    /// The cursor is of another log.
    LogReplaced,
    /// The cursor is ahead of the log: the log lost something.
    AheadOfLog,
    /// The log was put back to an earlier state: the cursor or the position was in the part that it lost.
    LogSetBack,
    /// The cursor is damaged or belongs to another reader.
    UnknownCursor,
    /// The reader's position or revision is ahead of the store of sessions: the store lost something.
    StoreWentBack,
}

impl From<LossReason> for GapReason {
    fn from(reason: LossReason) -> Self {
        match reason {
            LossReason::Trimmed => Self::Trimmed,
            LossReason::Undecodable => Self::Undecodable,
        }
    }
}

impl GapReason {
    const ALL: [Self; 7] = [
        Self::Trimmed,
        Self::Undecodable,
        Self::LogReplaced,
        Self::AheadOfLog,
        Self::LogSetBack,
        Self::UnknownCursor,
        Self::StoreWentBack,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Undecodable => "undecodable",
            Self::LogReplaced => "log_replaced",
            Self::AheadOfLog => "ahead_of_log",
            Self::LogSetBack => "log_set_back",
            Self::UnknownCursor => "unknown_cursor",
            Self::StoreWentBack => "store_went_back",
        }
    }
}

impl EncodeLabelValue for StreamKind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

/// The reason for which the edge cuts a client that takes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum CutReason {
    /// Its token is no longer valid.
    Revoked,
    /// It has been behind for too long.
    Time,
    /// It is too many events behind.
    Lag,
    /// Its stream has ended, and the farewell cannot be sent.
    Ended,
    /// There is no room for what it has not read.
    Memory,
}

impl CutReason {
    const ALL: [Self; 5] = [
        Self::Revoked,
        Self::Time,
        Self::Lag,
        Self::Ended,
        Self::Memory,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Time => "time",
            Self::Lag => "lag",
            Self::Ended => "ended",
            Self::Memory => "memory",
        }
    }
}

impl EncodeLabelValue for CutReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for GapReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for StreamEnd {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for StreamBound {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Kind {
    kind: StreamKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Reason {
    reason: GapReason,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Cut {
    reason: CutReason,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Ended {
    reason: StreamEnd,
}

/// The kind of what was renamed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum RenamedKind {
    Owner,
    Repository,
}

impl RenamedKind {
    const ALL: [Self; 2] = [Self::Owner, Self::Repository];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Repository => "repository",
        }
    }
}

impl EncodeLabelValue for RenamedKind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.as_str().encode(encoder)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Renamed {
    kind: RenamedKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Bound {
    bound: StreamBound,
}

/// Counts the streams that the edge ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndedStreams([Counter; StreamEnd::ALL.len()]);

impl EndedStreams {
    pub(crate) fn count(&self, ending: StreamEnd) {
        self.0[ending as usize].inc();
    }
}

/// The metrics of the fan-out. Cheap to clone; those per kind are looked up once.
#[derive(Clone, Debug)]
pub struct FanoutMetrics {
    open_streams: [Gauge; StreamKind::ALL.len()],
    delivered_events: [Counter; StreamKind::ALL.len()],
    ages: [Histogram; StreamKind::ALL.len()],
    latency: LatencyHistogram,
    gaps: Family<Reason, Counter>,
    catch_up_reads: Counter,
    catch_up_pages: Counter,
    pub(crate) catch_up_bytes: Gauge,
    pub(crate) ended_streams: EndedStreams,
    max_streams: Family<Bound, Gauge>,
    refused_streams: Counter,
    refused_queries: Counter,
    cut_streams: Family<Cut, Counter>,
    match_cost: Gauge,
    match_comparisons: Counter,
    woken_calls: Counter,
    renames: Family<Renamed, Counter>,
    pub(crate) unread_bytes: Gauge,
}

impl FanoutMetrics {
    /// Registers the instruments.
    pub fn new(registry: &mut MetricsRegistry) -> Self {
        let open = Family::<Kind, Gauge>::default();
        let delivered = Family::<Kind, Counter>::default();
        let ages = Family::<Kind, Histogram, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(AGE_BUCKETS_SECONDS)
        });
        let by_kind = |kind| Kind { kind };
        let ended = Family::<Ended, Counter>::default();
        let by_reason = |reason| Ended { reason };
        let metrics = Self {
            open_streams: StreamKind::ALL.map(|kind| open.get_or_create_owned(&by_kind(kind))),
            delivered_events: StreamKind::ALL
                .map(|kind| delivered.get_or_create_owned(&by_kind(kind))),
            ages: StreamKind::ALL.map(|kind| ages.get_or_create_owned(&by_kind(kind))),
            latency: LatencyHistogram::default(),
            gaps: counters(GapReason::ALL.map(|reason| Reason { reason })),
            catch_up_reads: Counter::default(),
            catch_up_pages: Counter::default(),
            catch_up_bytes: Gauge::default(),
            ended_streams: EndedStreams(
                StreamEnd::ALL.map(|reason| ended.get_or_create_owned(&by_reason(reason))),
            ),
            max_streams: Family::default(),
            refused_streams: Counter::default(),
            refused_queries: Counter::default(),
            cut_streams: counters(CutReason::ALL.map(|reason| Cut { reason })),
            match_cost: Gauge::default(),
            match_comparisons: Counter::default(),
            woken_calls: Counter::default(),
            renames: counters(RenamedKind::ALL.map(|kind| Renamed { kind })),
            unread_bytes: Gauge::default(),
        };
        registry.register("forgewire_edge_open_streams", "Open streams", open);
        registry.register(
            "forgewire_edge_stream_seconds",
            "Age of streams at their end, by kind, in buckets from a second to a day",
            ages,
        );
        registry.register(
            "forgewire_edge_delivered_events",
            "Events written to streams, counted once per stream",
            delivered,
        );
        registry.register(
            "forgewire_edge_delivery_latency_seconds",
            "Time from the webhook's receipt until the event is handed to a live stream's socket (one stream in eight)",
            metrics.latency.clone(),
        );
        registry.register(
            "forgewire_edge_gaps",
            "Readers told that events after their cursor are gone",
            metrics.gaps.clone(),
        );
        registry.register(
            "forgewire_edge_catch_up_reads",
            "Reads of the log for streams that are behind the ring",
            metrics.catch_up_reads.clone(),
        );
        registry.register(
            "forgewire_edge_cut_streams",
            "Streams cut because their client did not read: behind for too long (time), too many events behind (lag), their token was no longer valid (revoked), the stream had ended (ended), or there was no room for the rest of what they were sent (memory)",
            metrics.cut_streams.clone(),
        );
        registry.register(
            "forgewire_edge_catch_up_pages",
            "Pages of the log given to streams that are behind the ring; many share one read",
            metrics.catch_up_pages.clone(),
        );
        registry.register(
            "forgewire_edge_catch_up_bytes",
            "Bytes of the pages of the log that are being read, cached or held for streams that are behind the ring; at most 570425344",
            metrics.catch_up_bytes.clone(),
        );
        registry.register(
            "forgewire_edge_refused_streams",
            "Streams refused because forgewire_edge_max_streams streams were open, or because of forgewire_edge_match_cost",
            metrics.refused_streams.clone(),
        );
        registry.register(
            "forgewire_edge_refused_queries",
            "Queries refused because too many others read the event log",
            metrics.refused_queries.clone(),
        );
        registry.register(
            "forgewire_edge_max_streams",
            "Maximum number of open streams, by what determines it: the setting edge.max_streams, or the limit on file descriptors (raise the hard limit: ulimit -Hn, LimitNOFILE=)",
            metrics.max_streams.clone(),
        );
        registry.register(
            "forgewire_edge_ended_streams",
            "Streams ended by the edge, by reason",
            ended,
        );
        metrics.register_work(registry);
        metrics
    }

    /// Registers what the matching of events costs, and what is held for clients.
    fn register_work(&self, registry: &mut MetricsRegistry) {
        registry.register(
            "forgewire_edge_renames",
            "Renames and transfers that streams, calls and tokens of this edge have followed",
            self.renames.clone(),
        );
        registry.register(
            "forgewire_edge_match_cost",
            "Comparisons that the filters of all open streams and waiting calls may need for one event; at most 524288",
            self.match_cost.clone(),
        );
        registry.register(
            "forgewire_edge_match_comparisons",
            "Comparisons of filters made to find the streams and waiting calls that want an event",
            self.match_comparisons.clone(),
        );
        registry.register(
            "forgewire_edge_woken_calls",
            "Waiting calls that were woken by an event that matches their filters, counted once per call and event",
            self.woken_calls.clone(),
        );
        registry.register(
            "forgewire_edge_unread_stream_bytes",
            "Bytes of begun frames that streams hold for clients that do not read, without the first 16 KiB of each; at most 268435456",
            self.unread_bytes.clone(),
        );
    }

    /// Sets the maximum number of streams.
    pub(crate) fn set_max_streams(&self, bounds: StreamBounds) {
        let bound = Bound {
            bound: bounds.bound,
        };
        let max = i64::try_from(bounds.max_streams).unwrap_or(i64::MAX);
        self.max_streams.get_or_create(&bound).set(max);
    }

    pub(crate) fn stream_opened(&self, kind: StreamKind) {
        self.open_streams[kind as usize].inc();
    }

    pub(crate) fn stream_closed(&self, kind: StreamKind, age: Duration) {
        self.open_streams[kind as usize].dec();
        self.ages[kind as usize].observe(age.as_secs_f64());
    }

    /// `late` is the latency of the newest of them, if it is measured, with the span of its write.
    pub(crate) fn events_delivered(
        &self,
        kind: StreamKind,
        events: usize,
        late: Option<(Duration, TraceSpan)>,
    ) {
        self.delivered_events[kind as usize].inc_by(events as u64);
        if let Some((late, span)) = late {
            self.latency.observe(late, &span);
        }
    }

    pub(crate) fn gap(&self, reason: GapReason) {
        self.gaps.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn calls_woken(&self, calls: usize) {
        self.woken_calls.inc_by(calls as u64);
    }

    pub(crate) fn query_refused(&self) {
        self.refused_queries.inc();
    }

    pub(crate) fn catch_up_read(&self) {
        self.catch_up_reads.inc();
    }

    pub(crate) fn catch_up_page(&self) {
        self.catch_up_pages.inc();
    }

    pub(crate) fn stream_cut(&self, reason: CutReason) {
        self.cut_streams.get_or_create(&Cut { reason }).inc();
    }

    /// One event was compared with the filters of all streams.
    pub(crate) fn matched(&self, comparisons: usize) {
        self.match_comparisons.inc_by(comparisons as u64);
    }

    /// An owner or a repository was renamed, and what is open follows it.
    pub(crate) fn renamed(&self, id: PlaceId) {
        let kind = match id {
            PlaceId::Owner(_) => RenamedKind::Owner,
            PlaceId::Repository(_) => RenamedKind::Repository,
        };
        self.renames.get_or_create(&Renamed { kind }).inc();
    }

    pub(crate) fn set_match_cost(&self, cost: usize) {
        self.match_cost.set(i64::try_from(cost).unwrap_or(i64::MAX));
    }

    pub(crate) fn stream_refused(&self) {
        self.refused_streams.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_there_from_the_start() {
        let mut registry = MetricsRegistry::default();
        let _metrics = FanoutMetrics::new(&mut registry);
        let text = service_kit::metrics::encode(&registry).unwrap();
        let gaps = GapReason::ALL.map(|reason| ("gaps", reason.as_str()));
        let cuts = CutReason::ALL.map(|reason| ("cut_streams", reason.as_str()));
        let ends = StreamEnd::ALL.map(|reason| ("ended_streams", reason.as_str()));
        for (name, reason) in gaps.into_iter().chain(cuts).chain(ends) {
            let line = format!("forgewire_edge_{name}_total{{reason=\"{reason}\"}} 0");
            assert!(text.contains(&line), "{line}: {text}");
        }
    }
}
