//! The parameters as the OpenAPI document describes them, by the names by which they are read.

use model::{
    EventOrigin, EventType, FilterRequest, ResourceType,
    limits::{MAX_FILTER_TAGS, MAX_LABEL_CHARACTERS},
};
use serde_json::{Value, json};
use service_kit::openapi::{ApiParameter, ApiSchemas};
use subscriptions::limits::MAX_CLIENT_ID_BYTES;

use super::{MAX_LIMIT, MAX_OFFSET, TIME_FORMAT};

/// The parameters of a route: its own, and those of the filter.
///
/// # Panics
/// A name has no description; a test reads all of them.
pub(crate) fn described(schemas: &mut ApiSchemas, own: &[&'static str]) -> Vec<ApiParameter> {
    let names = own.iter().chain(&FilterRequest::FIELDS);
    names.map(|name| one(schemas, name)).collect()
}

/// The time in the path of a replay.
pub(crate) fn timestamp() -> ApiParameter {
    let about = format!("The time from which events are replayed: {TIME_FORMAT}.");
    ApiParameter::path(
        "timestamp",
        &about,
        json!({ "type": "string", "minLength": 1 }),
    )
}

fn one(schemas: &mut ApiSchemas, name: &'static str) -> ApiParameter {
    let found = own(name).or_else(|| of_filter(schemas, name));
    let (about, schema) =
        found.unwrap_or_else(|| panic!("the parameter {name} has no description"));
    ApiParameter::query(name, about, schema)
}

fn text() -> Value {
    json!({ "type": "string" })
}

/// A parameter of a route's own.
fn own(name: &str) -> Option<(&'static str, Value)> {
    Some(match name {
        "limit" => (
            "Maximum number of events.",
            json!({ "type": "integer", "minimum": 1, "maximum": MAX_LIMIT }),
        ),
        "offset" => (
            "Number of events to pass over first; not together with a cursor, which names the position already.",
            json!({ "type": "integer", "minimum": 0, "maximum": MAX_OFFSET }),
        ),
        "order" => (
            "`desc`: the newest events first; `asc`: the oldest.",
            json!({ "type": "string", "enum": ["asc", "desc"] }),
        ),
        "cursor" => (
            "`nextCursor` of an answer: only events after it. For the oldest events first.",
            text(),
        ),
        "before" => (
            "`previousCursor` of an answer: only events before it. For the newest events first.",
            text(),
        ),
        "from" => ("Only events received at this time or later.", text()),
        "to" => ("Only events received before this time.", text()),
        "clientId" => (
            "A name of the client's own, which `connected` repeats. Without filters: the events of the subscriptions \
             under this name; every event while there are none. A stream that continues after an event id of one that \
             followed subscriptions, all of which have ended, has no events until there is another one.",
            json!({ "type": "string", "maxLength": MAX_CLIENT_ID_BYTES }),
        ),
        "subscription" => (
            "A subscription, not empty: its events, after `Last-Event-ID` or else its cursor. It has filters of its own, so there \
             are no others beside it.",
            text(),
        ),
        "lastEventId" => (
            "In place of the header `Last-Event-ID`: a cursor, or a time, after which the stream continues.",
            text(),
        ),
        _ => return None,
    })
}

/// A parameter of the filter.
fn of_filter(schemas: &mut ApiSchemas, name: &str) -> Option<(&'static str, Value)> {
    let flag = || json!({ "type": "boolean" });
    Some(match name {
        "resourceType" => {
            let known: Vec<_> = ResourceType::KNOWN
                .iter()
                .map(ResourceType::as_str)
                .collect();
            // GitHub adds kinds, and an event has them before this build knows them.
            let kinds = json!({
                "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$", "examples": known,
            });
            let kinds = schemas.named("ResourceTypeName", &kinds);
            let about = "The kind of the resource, in any case. One that this version does not know has a note in the \
                         answer.";
            (about, kinds)
        }
        "eventType" => {
            let types = any_of(EventType::KNOWN, EventType::as_str);
            let types = schemas.named("EventTypeName", &types);
            ("The type of the event, in any case.", types)
        }
        "source" => {
            let origins = any_of(EventOrigin::KNOWN, EventOrigin::as_str);
            let origins = schemas.named("EventOriginName", &origins);
            ("The origin of the event, in any case.", origins)
        }
        "action" => (
            "GitHub's own word for the change, for instance `labeled`.",
            text(),
        ),
        "resourceId" => (
            "`resourceId` of the events of one resource (GitHub's node id, or for instance `R_1:refs/heads/main`), its \
             numeric id, or the URL of an issue, pull request, discussion, comment, review, alert, run, milestone or \
             project.",
            text(),
        ),
        "databaseId" => (
            "GitHub's numeric id of one resource.",
            json!({ "type": "integer", "minimum": 0 }),
        ),
        "owner" => ("Login of the owner.", text()),
        "repo" => (
            "Name of the repository, `owner/repo`, or the URL of a repository, issue, pull request or milestone.",
            text(),
        ),
        "number" => (
            "Number of an issue, pull request, discussion, milestone, alert or project.",
            json!({ "type": "integer", "minimum": 1 }),
        ),
        "actor" => ("Login of the account that acted.", text()),
        "authors" => (
            "Logins with commas between them: one of them wrote the comment, review, issue or pull request that the event \
             is about.",
            text(),
        ),
        "authorAssociation" => (
            "What that author is to the repository, one of several with commas between them: `OWNER`, `MEMBER`, \
             `COLLABORATOR`, `CONTRIBUTOR`, `FIRST_TIME_CONTRIBUTOR`, `FIRST_TIMER`, `MANNEQUIN`, `NONE`.",
            json!({ "type": "string", "examples": ["OWNER,MEMBER,COLLABORATOR"] }),
        ),
        "tags" => (
            "Any of these labels; several in one value are separated by commas, and one with a comma is quoted.",
            json!({
                "type": "array",
                "maxItems": MAX_FILTER_TAGS,
                "items": { "type": "string", "minLength": 1, "maxLength": MAX_LABEL_CHARACTERS },
            }),
        ),
        "isPullRequest" => (
            "`true`: pull requests only, also with the resource type `issue`; `false`: everything else.",
            flag(),
        ),
        "includePullRequests" => (
            "Whether the resource type `issue` includes pull requests; by default as \
             `edge.issues_include_pull_requests` says.",
            flag(),
        ),
        _ => return None,
    })
}

/// One of the names that this build knows.
fn any_of<T>(known: &[T], name: impl Fn(&T) -> &str) -> Value {
    let names: Vec<_> = known.iter().map(name).collect();
    json!({ "type": "string", "enum": names })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::{RecentParameters, ReplayParameters, StreamParameters};

    #[test]
    fn every_parameter_that_is_read_is_described() {
        for own in [
            &RecentParameters::NAMES[..],
            &ReplayParameters::NAMES,
            &StreamParameters::NAMES,
        ] {
            assert_eq!(
                described(&mut ApiSchemas::default(), own).len(),
                own.len() + FilterRequest::FIELDS.len()
            );
        }
    }
}
