//! A delivery that no ingest stored, made an event as an ingest would have made it.

use event_flow::record::Recorder;
use github_events::{Envelope, PayloadText, Skip};
use model::{DeliveryId, ResourceEvent, StoredEvent, Timestamp, TraceContext};
use ports::DeliveryNotice;

use super::{
    delivery::{DeliveryDetails, SweptDelivery},
    later_states::place_of,
};
use crate::{mirror::Mirror, webhook_place::SweptHook};

/// Bytes that the mark of a late event adds to its JSON, at most.
const LATE_MARK_BYTES: usize = 16;

/// An event of a delivery that was fetched.
pub(super) struct RepairedEvent {
    pub(super) event: StoredEvent,
    pub(super) place: DeliveryNotice,
}

/// Why no event comes of what GitHub gave.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotRepaired {
    /// As at an ingest.
    #[error(transparent)]
    NoEvent(#[from] Skip),
    /// GitHub keeps no payload.
    #[error("GitHub has no payload of it any more")]
    NoPayload,
    /// It is no delivery, or another one.
    #[error("what GitHub gives is not this delivery: {0}")]
    Unreadable(String),
}

/// What decides on the event beside the delivery.
pub(super) struct RepairContext<'a> {
    pub(super) hook: &'a SweptHook,
    pub(super) mirror: &'a Mirror,
    pub(super) recorder: &'a Recorder,
    pub(super) now: Timestamp,
    pub(super) trace: TraceContext,
}

/// The event of a delivery. It is the one that an ingest would have stored, with two differences: `receivedAt` is now, so
/// that whoever replays from a time gets it, and `metadata.repaired` says why.
pub(super) fn event_of(
    listed: &SweptDelivery,
    details: &DeliveryDetails,
    context: &RepairContext<'_>,
) -> Result<RepairedEvent, NotRepaired> {
    let is_same = DeliveryId::new(&details.guid).is_ok_and(|guid| guid == listed.guid)
        && *details.event == *listed.event;
    if !is_same {
        let what = http_client::quoted(&format!("{} {}", details.event, details.guid));
        return Err(NotRepaired::Unreadable(what));
    }
    let payload = details.payload().filter(|payload| *payload != "null");
    let payload = payload.ok_or(NotRepaired::NoPayload)?;
    let envelope = Envelope {
        event: details.event.clone(),
        delivery: listed.guid.clone(),
        hook_id: details
            .hook_id()
            .or_else(|| context.hook.id.map(|id| id.to_string())),
        // Where GitHub's object has no time of its own, the event's is that of the attempt.
        received_at: listed.delivered_at,
    };
    let read = PayloadText::read(payload.as_bytes());
    let read = read.map_err(|error| NotRepaired::Unreadable(error.to_string()))?;
    let text = read.text();
    let (mut event, content) = github_events::normalise_payload(&envelope, read.value)?;
    event.received_at = context.now;
    event.metadata.repaired = true;
    place_content(&mut event, payload, context);
    let place = place_of(&listed.guid, &listed.event, &event);
    let max = context.recorder.max_event_bytes();
    let encoded = github_events::encode_delivered(
        event,
        (&content, text),
        context.trace,
        max.saturating_sub(LATE_MARK_BYTES),
    );
    let event = encoded.map_err(|error| NotRepaired::Unreadable(error.to_string()))?;
    Ok(RepairedEvent { event, place })
}

/// An item of a project says where its content is, as at an ingest.
fn place_content(event: &mut ResourceEvent, payload: &str, context: &RepairContext<'_>) {
    let is_item = event
        .metadata
        .event
        .as_deref()
        .is_some_and(github_events::is_item_event);
    let content = is_item.then(|| github_events::item_content(payload.as_bytes()));
    let found = content.flatten().and_then(|id| context.mirror.find(&id));
    if let Some(found) = found {
        github_events::place_item(event, found);
    }
}
