//! Which states were stored already that are later than one that is repaired: ingest marks an event as late then, and so
//! does a repair. What ingest knows from its memory is read from the log here.

use std::collections::HashMap;

use event_flow::delivery_order::{comes_before, delivery_notice};
use model::{DeliveryId, ResourceEvent, StoredEvent, Timestamp};
use ports::{DeliveryNotice, EventLog, EventLogError, OrderedResource, StateOrder};

use crate::limits::{COMPARED_PAGE, LIST_OVERLAP, MAX_COMPARED_EVENTS};

/// The number that ingests have for each other; a repair asks none of them.
const NO_INGEST: u64 = 0;

/// The latest state of each resource that the log has had since a time.
#[derive(Debug, Default)]
pub(super) struct LaterStates {
    newest: HashMap<OrderedResource, StateOrder>,
}

impl LaterStates {
    /// Reads the log from its end back to a time, or to a bound: what is before that marks nothing as late.
    pub(super) async fn since(log: &dyn EventLog, time: Timestamp) -> Result<Self, EventLogError> {
        // Clocks of ingests differ, and an attempt is listed when it has ended.
        let time = time.minus(LIST_OVERLAP);
        let mut states = Self::default();
        let mut before = log.head().await?.last.next();
        let mut compared = 0;
        while compared < MAX_COMPARED_EVENTS {
            let page = log.read_before(before, COMPARED_PAGE).await?;
            let Some(lowest) = page.lowest() else {
                break;
            };
            compared += page.events.len() + page.undecodable.len();
            let is_over = page
                .events
                .iter()
                .any(|event| event.item.facts.received_at < time);
            for event in &page.events {
                states.note_stored(&event.item);
            }
            if is_over {
                break;
            }
            before = lowest;
        }
        Ok(states)
    }

    fn note_stored(&mut self, event: &StoredEvent) {
        let Ok(event) = serde_json::from_slice::<ResourceEvent>(&event.json) else {
            return;
        };
        let metadata = &event.metadata;
        let (Some(guid), Some(name)) = (&metadata.delivery, &metadata.event) else {
            return;
        };
        if let Ok(delivery) = DeliveryId::new(guid) {
            self.note(&place_of(&delivery, name, &event));
        }
    }

    /// Notes a state that is stored.
    pub(super) fn note(&mut self, notice: &DeliveryNotice) {
        let newest = self.newest.entry(notice.resource).or_default();
        *newest = (*newest).max(notice.order);
    }

    /// Whether a later state of the same resource is stored.
    pub(super) fn has_later(&self, notice: &DeliveryNotice) -> bool {
        comes_before(notice.order, self.newest.get(&notice.resource).copied())
    }
}

/// The place of an event among those about its resource.
pub(super) fn place_of(delivery: &DeliveryId, name: &str, event: &ResourceEvent) -> DeliveryNotice {
    delivery_notice(delivery, name, event, NO_INGEST)
}
