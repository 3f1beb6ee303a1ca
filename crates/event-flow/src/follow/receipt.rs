//! Spans of events that a process received.

use instruments::{SpanName, TraceSpan};
use model::{Sequence, Sequenced, StoredEvent, TraceContext};

/// The event under the context of the hint that announced it, if that goes on with the event's trace.
pub(super) fn announced(event: &StoredEvent, hint: Option<TraceContext>) -> StoredEvent {
    let is_same = |hint: &TraceContext| event.trace.is_some_and(|own| own.trace == hint.trace);
    StoredEvent {
        trace: hint.filter(is_same).or(event.trace),
        ..event.clone()
    }
}

/// Opens the span of each event whose trace is recorded; what is done with the event from here on belongs to
/// it. Keep them until the events have been passed on. Entries up to `old_through` were there when the follower
/// began with this log: to read them is no part of their deliveries, and nothing of it is recorded.
pub(super) fn begin(
    events: &mut [Sequenced<StoredEvent>],
    old_through: Sequence,
) -> Vec<TraceSpan> {
    let mut spans = Vec::new();
    for event in events {
        if event.sequence <= old_through {
            if let Some(trace) = &mut event.item.trace {
                trace.sampled = false;
            }
            continue;
        }
        let span = TraceSpan::child(SpanName::Follow, event.item.trace);
        if span.is_recorded() {
            let sequence = i64::try_from(event.sequence.0).unwrap_or(i64::MAX);
            span.set("forgewire.sequence", sequence);
            span.set("forgewire.event.id", event.item.facts.id.to_string());
            event.item.trace = span.context();
            spans.push(span);
        }
    }
    spans
}
