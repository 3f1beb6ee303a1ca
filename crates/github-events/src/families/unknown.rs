//! Events that GitHub adds after this build: a kind by their own name.

use model::ResourceType;

use crate::{
    Skip,
    event::Subject,
    family::{Rule, WebhookFamily},
    fields,
    payload::Payload,
};

/// For every event that has no family of its own.
pub(super) const UNKNOWN: WebhookFamily = WebhookFamily {
    event: "",
    kinds: &[],
    resource: "the object under the event's name or its last words, else what the repository, organization or sender has once",
    number: "its own, if it has one",
    rule: Rule::By(read),
    ..WebhookFamily::PLAIN
};

fn read(payload: Payload<'_>) -> Result<Subject, Skip> {
    let kind = kind(payload.event);
    let found = keys(payload.event).into_iter().find_map(|key| {
        let object = fields::object(payload.json, key)?;
        Some((key, object))
    });
    let Some((key, object)) = found else {
        return payload.once(kind);
    };
    let numbered = || {
        let number = ["/id", "/number"]
            .iter()
            .find_map(|at| fields::number(object, at))?;
        payload.derived_id(&format!("{kind}/{number}"))
    };
    match fields::node_id(object, "/node_id").or_else(numbered) {
        Some(id) => Ok(payload.about(kind, key, id)),
        None => payload.once(kind),
    }
}

/// The event's name. A kind that has rules of its own is not taken by an event of another family, which would be
/// stored as the state of a resource.
fn kind(event: &str) -> ResourceType {
    let kind = ResourceType::open(event);
    match kind.is_known() {
        true => ResourceType::open("other"),
        false => kind,
    }
}

/// The names under which the object of an event may be: `code_scanning_alert` has it under `alert`.
fn keys(event: &str) -> Vec<&str> {
    let mut keys = vec![event];
    keys.extend(event.match_indices('_').map(|(at, _)| &event[at + 1..]));
    keys
}
