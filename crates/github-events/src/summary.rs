//! The summary of a stored event: what a reader needs to decide whether to look at the whole.
//!
//! A summary is a part of the event: each member is where the whole event has it, so that a reader of one reads the
//! other, and `details` in place of GitHub's object. It is made from the JSON that the reader may see, so it shows
//! nothing that was cut from that. It reads the JSON once, and keeps a bounded part of it meanwhile.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::limits::MAX_SUMMARY_BYTES;

pub(crate) mod pick;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use self::{
    pick::{JsonSelection, pick},
    text::{json_bytes, shortened},
};

/// Written where a text or a value was cut.
const CUT: &str = "…";
/// Maximum JSON of a title, in bytes.
const TITLE_BYTES: usize = 200;
/// Maximum JSON of any other text that may be cut, in bytes.
const TEXT_BYTES: usize = 120;
/// Maximum JSON of a link, in bytes. A link that was cut would lead nowhere, so a longer one is left out.
const LINK_BYTES: usize = 320;
/// Number of labels that a summary has.
const TAGS: usize = 8;

const SCALAR: JsonSelection = JsonSelection::Scalar;
const LOGIN: JsonSelection = JsonSelection::Members(&[("login", SCALAR)]);
const NAME: JsonSelection = JsonSelection::Members(&[("name", SCALAR)]);

/// The parts of a stored event that a summary may have.
const EVENT: JsonSelection = JsonSelection::Members(&[
    ("id", SCALAR),
    ("type", SCALAR),
    ("action", SCALAR),
    ("resourceType", SCALAR),
    ("resourceId", SCALAR),
    ("resource", JsonSelection::Sample(1)),
    ("timestamp", SCALAR),
    ("receivedAt", SCALAR),
    ("source", SCALAR),
    ("actor", SCALAR),
    (
        "metadata",
        JsonSelection::Members(&[
            ("event", SCALAR),
            ("isPullRequest", SCALAR),
            ("late", SCALAR),
            ("repeatedBody", SCALAR),
            ("dataOmitted", SCALAR),
            ("changes", JsonSelection::Sample(4)),
            ("tags", JsonSelection::Sample(1)),
            (
                "related",
                JsonSelection::Members(&[
                    ("label", NAME),
                    ("assignee", LOGIN),
                    ("requested_reviewer", LOGIN),
                    ("requested_team", NAME),
                    ("milestone", JsonSelection::Members(&[("title", SCALAR)])),
                ]),
            ),
        ]),
    ),
    (
        "data",
        JsonSelection::Members(&[
            ("state", SCALAR),
            ("state_reason", SCALAR),
            ("merged", SCALAR),
            ("draft", SCALAR),
            ("status", SCALAR),
            ("conclusion", SCALAR),
            ("user", LOGIN),
            ("author_association", SCALAR),
            ("head", JsonSelection::Members(&[("ref", SCALAR)])),
            ("base", JsonSelection::Members(&[("ref", SCALAR)])),
            ("head_branch", SCALAR),
            ("tag_name", SCALAR),
            ("environment", SCALAR),
            ("severity", SCALAR),
            ("forced", SCALAR),
            ("commits", JsonSelection::Count),
            (
                "head_commit",
                JsonSelection::Members(&[("message", SCALAR)]),
            ),
        ]),
    ),
]);

/// The names under which `details` has parts of GitHub's object and of the rest of its payload, the most telling
/// first.
const DETAILS: [(&str, &str); 22] = [
    ("state", "/data/state"),
    ("stateReason", "/data/state_reason"),
    ("merged", "/data/merged"),
    ("status", "/data/status"),
    ("conclusion", "/data/conclusion"),
    ("author", "/data/user/login"),
    ("authorAssociation", "/data/author_association"),
    ("label", "/metadata/related/label/name"),
    ("assignee", "/metadata/related/assignee/login"),
    (
        "requestedReviewer",
        "/metadata/related/requested_reviewer/login",
    ),
    ("requestedTeam", "/metadata/related/requested_team/name"),
    ("milestone", "/metadata/related/milestone/title"),
    ("draft", "/data/draft"),
    ("head", "/data/head/ref"),
    ("base", "/data/base/ref"),
    ("branch", "/data/head_branch"),
    ("tag", "/data/tag_name"),
    ("environment", "/data/environment"),
    ("severity", "/data/severity"),
    ("commits", "/data/commits"),
    ("headCommit", "/data/head_commit/message"),
    ("forced", "/data/forced"),
];

/// The members in the order in which a reader wants them.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    id: Value,
    #[serde(rename = "type")]
    event_type: Value,
    action: Value,
    resource_type: Value,
    resource_id: Value,
    resource: Map<String, Value>,
    #[serde(skip_serializing_if = "Value::is_null")]
    actor: Value,
    timestamp: Value,
    received_at: Value,
    source: Value,
    #[serde(skip_serializing_if = "Map::is_empty")]
    details: Map<String, Value>,
    metadata: Map<String, Value>,
}

/// The summary of a stored event as JSON of up to [`MAX_SUMMARY_BYTES`] bytes; `None` if `json` is not JSON of an
/// event, which Forgewire never stores.
///
/// Ids are whole; a text that is cut ends with `…`, and so does a change that has no room. What has no room at all is
/// left out, the least telling first.
#[must_use]
pub fn summarise_event(json: &[u8]) -> Option<String> {
    let event = pick(json, &EVENT).ok()?;
    event.as_object()?;
    let mut summary = Summary {
        id: capped(&event["id"], 260),
        event_type: capped(&event["type"], 34),
        action: capped(&event["action"], 50),
        resource_type: capped(&event["resourceType"], 66),
        resource_id: capped(&event["resourceId"], 260),
        timestamp: capped(&event["timestamp"], 32),
        received_at: capped(&event["receivedAt"], 32),
        source: capped(&event["source"], 18),
        ..Summary::default()
    };
    let bytes = serde_json::to_string(&summary).ok()?.len();
    let mut room = Room(MAX_SUMMARY_BYTES.saturating_sub(bytes + EMPTY_PARTS_BYTES));
    summary.fill(&event, &mut room);
    serde_json::to_string(&summary).ok()
}

/// `"actor":,"details":{},` are not there yet when the room is measured.
const EMPTY_PARTS_BYTES: usize = 24;

impl Summary {
    /// Adds what has room, the most telling first.
    fn fill(&mut self, event: &Value, room: &mut Room) {
        let (resource, metadata) = (&event["resource"], &event["metadata"]);
        for key in ["owner", "repo", "number"] {
            room.put(&mut self.resource, key, capped(&resource[key], TEXT_BYTES));
        }
        let actor = capped(&event["actor"], TEXT_BYTES);
        if room.take(value_bytes(&actor)) {
            self.actor = actor;
        }
        let url = &resource["url"];
        if value_bytes(url) <= LINK_BYTES {
            room.put(&mut self.resource, "url", url.clone());
        }
        let title = capped(&resource["title"], TITLE_BYTES);
        room.put(&mut self.resource, "title", title);
        for flag in ["isPullRequest", "dataOmitted", "late", "repeatedBody"] {
            if metadata[flag] == Value::Bool(true) {
                room.put(&mut self.metadata, flag, Value::Bool(true));
            }
        }
        for (key, at) in DETAILS {
            let detail = event.pointer(at).unwrap_or(&Value::Null);
            // A pull request may be closed without a merge; of other flags, false is the rule.
            if *detail != Value::Bool(false) || key == "merged" {
                let detail = capped(&first_line(detail), TEXT_BYTES);
                room.put(&mut self.details, key, detail);
            }
        }
        self.put_changes(&metadata["changes"], room);
        self.put_tags(&metadata["tags"], room);
        room.put(
            &mut self.metadata,
            "event",
            capped(&metadata["event"], TEXT_BYTES),
        );
        room.put(
            &mut self.resource,
            "databaseId",
            resource["databaseId"].clone(),
        );
    }

    /// Each change whole if it has room, with its long texts cut; otherwise only its name.
    fn put_changes(&mut self, changes: &Value, room: &mut Room) {
        let Some(members) = changes.as_object().filter(|members| !members.is_empty()) else {
            return;
        };
        if !room.take(member_bytes("changes", 2)) {
            return;
        }
        let mut kept = Map::new();
        for (key, change) in members {
            let change = sampled(change);
            if change.is_null() || !room.put(&mut kept, key, change) {
                room.put(&mut kept, key, Value::from(CUT));
            }
        }
        self.metadata
            .insert("changes".to_owned(), Value::Object(kept));
    }

    fn put_tags(&mut self, tags: &Value, room: &mut Room) {
        let tags = tags.as_array().into_iter().flatten().take(TAGS);
        let mut kept: Vec<_> = tags.map(|tag| capped(tag, TEXT_BYTES)).collect();
        while !kept.is_empty() {
            let all = Value::Array(kept);
            if room.put(&mut self.metadata, "tags", all.clone()) {
                return;
            }
            let Value::Array(mut fewer) = all else {
                return;
            };
            fewer.pop();
            kept = fewer;
        }
    }
}

/// The bytes that a summary may still take.
struct Room(usize);

impl Room {
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    /// Adds a member if it has room; null is no member.
    fn put(&mut self, members: &mut Map<String, Value>, key: &str, value: Value) -> bool {
        let has_room = !value.is_null() && self.take(member_bytes(key, value_bytes(&value)));
        if has_room {
            members.insert(key.to_owned(), value);
        }
        has_room
    }
}

/// A comma, a colon, and the name.
fn member_bytes(key: &str, value_bytes: usize) -> usize {
    json_bytes(key) + 2 + value_bytes
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => json_bytes(text),
        other => other.to_string().len(),
    }
}

/// A text of up to `max_bytes` bytes of JSON, or another scalar as it is; null for anything else.
fn capped(value: &Value, max_bytes: usize) -> Value {
    match value {
        Value::String(text) => Value::from(shortened(text, max_bytes, CUT)),
        Value::Bool(_) | Value::Number(_) => value.clone(),
        _ => Value::Null,
    }
}

/// A commit's message begins with its subject; other details have one line.
fn first_line(value: &Value) -> Value {
    match value {
        Value::String(text) => text.lines().next().unwrap_or_default().into(),
        other => other.clone(),
    }
}

/// The value with each text in it cut.
fn sampled(value: &Value) -> Value {
    match value {
        Value::String(_) => capped(value, TEXT_BYTES),
        Value::Array(elements) => elements.iter().map(sampled).collect(),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(key, value)| (key.clone(), sampled(value)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}
