//! Which deliveries need not be held for others about the same resource.

use model::{EventType, ResourceEvent};

/// Whether GitHub can have made no delivery about the resource before: it was created, and has a node id. Ids that are
/// derived from a place (a branch, a star) have a colon or a slash, and what they name can be created again.
pub(super) fn is_first(event: &ResourceEvent) -> bool {
    let has_node_id = !event.resource_id.as_str().contains([':', '/']);
    event.event_type == EventType::CREATED && has_node_id
}
