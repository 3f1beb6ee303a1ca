//! From GitHub's payloads to resource events (design §5): pure functions, one file per kind of
//! webhook.
//!
//! Rules that hold for every kind:
//! - Every action maps. One that we have not heard of is an update, because GitHub adds actions
//!   without
//!   notice; `action` keeps GitHub's own word.
//! - One resource has one identity, its node id, whichever webhook spoke of it.
//! - A payload without the fields that make an event is skipped with the reason. It is never an
//!   error:
//!   GitHub would show a failed delivery that nobody can mend.

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

/// The events of a payload.
///
/// # Errors
/// The reason why there are none.
pub fn normalise(envelope: &Envelope, payload: &Value) -> Result<Vec<ResourceEvent>, Skip> {
    let event = match envelope.event.as_str() {
        "issues" => issues::normalise(envelope, payload)?,
        "pull_request" => pull_request::normalise(envelope, payload)?,
        "milestone" => milestone::normalise(envelope, payload)?,
        "projects_v2" => projects_v2::normalise(envelope, payload)?,
        "projects_v2_item" => projects_v2_item::normalise(envelope, payload)?,
        "ping" => return Err(Skip::Ping),
        other => {
            return Err(Skip::Unmapped {
                event: other.to_owned(),
            });
        }
    };
    Ok(vec![event])
}
