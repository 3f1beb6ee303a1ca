//! From GitHub's payloads to resource events (design §5): pure functions, one file per kind of
//! webhook.
//!
//! Rules that hold for every kind:
//! - Every action maps. An unknown action is an update, because GitHub adds actions without notice;
//!   `action` keeps GitHub's own word.
//! - One resource has one identity, its node id, regardless of the webhook that reported it.
//! - A payload without the fields of an event is skipped with the reason. It is never an error: GitHub
//!   would show a failed delivery that no operator can repair.

mod delivery;
mod encode;
mod event;
mod issues;
pub mod limits;
mod milestone;
mod payload;
mod projects_v2;
mod projects_v2_item;
mod pull_request;
#[cfg(test)]
mod tests;

use model::ResourceEvent;
use serde_json::Value;

pub use delivery::{Envelope, Skip};
pub use encode::encode;

/// Converts a payload to its events.
///
/// # Errors
/// The reason why the payload has no events.
pub fn normalise(envelope: &Envelope, mut payload: Value) -> Result<Vec<ResourceEvent>, Skip> {
    let (mut event, object) = match envelope.event.as_str() {
        "issues" => (issues::normalise(envelope, &payload)?, "issue"),
        "pull_request" => (pull_request::normalise(envelope, &payload)?, "pull_request"),
        "milestone" => (milestone::normalise(envelope, &payload)?, "milestone"),
        "projects_v2" => (projects_v2::normalise(envelope, &payload)?, "projects_v2"),
        "projects_v2_item" => {
            let event = projects_v2_item::normalise(envelope, &payload)?;
            (event, "projects_v2_item")
        }
        "ping" => return Err(Skip::Ping),
        other => {
            return Err(Skip::Unmapped {
                event: other.to_owned(),
            });
        }
    };
    // Moved: a copy would take as much memory again.
    let mut take = |key| payload.get_mut(key).map(Value::take).unwrap_or_default();
    event.data = take(object);
    event.metadata.changes = take("changes");
    Ok(vec![event])
}
