//! Whether the log has the event of a delivery.

use model::{EventId, Sequence};
use ports::{EventLog, EventLogError};

use super::delivery::SweptDelivery;

/// Whether the log has the event that an ingest makes of a delivery. Its id is the GUID; of two names under one GUID the
/// later event has an id with its own name (`event_flow::record`). That costs a read, and so only deliveries that failed are
/// told apart by their names.
pub(super) async fn holds(
    log: &dyn EventLog,
    delivery: &SweptDelivery,
) -> Result<bool, EventLogError> {
    let Ok(id) = EventId::new(delivery.guid.as_str()) else {
        return Ok(false);
    };
    let Some(position) = log.position_of(&id).await? else {
        return Ok(false);
    };
    if delivery.is_ok() {
        return Ok(true);
    }
    let before = Sequence(position.0.saturating_sub(1));
    let page = log.read_after(before, 1).await?;
    let there = page
        .events
        .first()
        .filter(|there| there.item.facts.id == id);
    let is_another = match there {
        Some(there) => {
            let name = there.item.webhook_event();
            name.is_some_and(|name| *name != *delivery.event)
        }
        // Trimmed by now, and then it was readable; or an entry that nobody can read, which hides no event.
        None => page
            .undecodable
            .iter()
            .any(|entry| entry.sequence == position),
    };
    if !is_another {
        return Ok(true);
    }
    let own = EventId::new(&format!("{}.{}", delivery.guid, delivery.event));
    match own {
        Ok(own) => Ok(log.position_of(&own).await?.is_some()),
        Err(_) => Ok(true),
    }
}
