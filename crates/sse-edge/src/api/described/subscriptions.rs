//! `/events/subscribe…`.

use model::FilterRequest;
use serde_json::{Value, json};
use service_kit::{
    openapi::{ApiOperation, ApiParameter, ApiSchemas},
    problem::Problem,
};
use subscriptions::limits::{MAX_CLIENT_ID_BYTES, MAX_PAGE};

use super::{body_refusals, refusals};

const JSON: &str = "application/json";

fn text() -> Value {
    json!({ "type": "string" })
}

fn end() -> Value {
    json!({
        "type": ["string", "integer", "null"],
        "description": "A time within 366 days; null: it lives while it is used, and for 30 days after.",
    })
}

fn subscription(schemas: &mut ApiSchemas) -> Value {
    let subscription = json!({
        "type": "object",
        "required": ["subscriptionId", "transport", "filters", "createdAt", "expiresAt", "cursor"],
        "properties": {
            "success": { "type": "boolean" },
            "subscriptionId": text(),
            "clientId": text(),
            "transport": { "enum": ["sse", "internal", "webhook"] },
            "filters": { "type": "array", "items": { "type": "object" } },
            "createdAt": text(),
            "expiresAt": text(),
            "keptWhileUsed": { "type": "boolean" },
            "cursor": text(),
            "truncated": { "type": "boolean" },
            "metadata": { "type": "object" },
            "notes": { "type": "array", "items": text() },
        },
    });
    schemas.named("Subscription", &subscription)
}

/// The names of a filter's fields; their values are described where they are parameters.
fn filter() -> Value {
    let fields = FilterRequest::FIELDS.map(|field| (field.to_owned(), json!({})));
    json!({
        "type": "object",
        "properties": fields.into_iter().collect::<serde_json::Map<_, _>>(),
    })
}

fn missing(operation: ApiOperation, schemas: &mut ApiSchemas) -> ApiOperation {
    let problem = schemas.of::<Problem>();
    let about = "The principal has no such subscription.";
    operation.problems(&problem, &[(404, about)])
}

fn id() -> ApiParameter {
    ApiParameter::path(
        "id",
        "The subscription.",
        json!({ "type": "string", "minLength": 1 }),
    )
}

/// `/events/subscribe`.
pub(in crate::api) fn all(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let shown = subscription(schemas);
    let request = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "clientId": { "type": ["string", "null"], "maxLength": MAX_CLIENT_ID_BYTES },
            "endpoint": { "description": "Where events would be posted: not in this version." },
            "filters": { "anyOf": [filter(), { "type": "array", "items": filter() }, { "type": "null" }] },
            "transport": { "enum": ["sse", "internal", null] },
            "expiresAt": end(),
            "since": {
                "type": ["string", "number", "null"],
                "description": "A cursor or a time; numbers are seconds or milliseconds since 1970.",
            },
            "metadata": { "type": ["object", "null"] },
        },
    });
    let create = ApiOperation::post("createSubscription", "Make a subscription")
        .about("It belongs to the principal, and is effective on every edge within a second.")
        .body(
            "Which events, until when, and since when.",
            &[(JSON, request)],
        )
        .answer(
            201,
            "The subscription, whose address is in `Location`.",
            Some((JSON, shown.clone())),
        );
    let full = "The principal has as many subscriptions as it may.";
    let create = create.problems(&schemas.of::<Problem>(), &[(409, full)]);
    let page = json!({
        "type": "object",
        "required": ["subscriptions", "count"],
        "properties": {
            "subscriptions": { "type": "array", "items": shown },
            "count": { "type": "integer", "minimum": 0 },
            "nextCursor": text(),
            "unreadable": { "type": "integer", "minimum": 0 },
        },
    });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE });
    let list = ApiOperation::get("listSubscriptions", "The subscriptions of the principal")
        .parameters([
            ApiParameter::query("limit", "Maximum number of subscriptions.", limit),
            ApiParameter::query("cursor", "`nextCursor` of an answer.", text()),
        ])
        .answer(200, "A page of them.", Some((JSON, page)));
    vec![
        body_refusals(refusals(create, schemas), schemas),
        refusals(list, schemas),
    ]
}

/// `/events/subscribe/{id}`.
pub(in crate::api) fn one(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let shown = subscription(schemas);
    let show = ApiOperation::get("getSubscription", "One subscription")
        .parameters([id()])
        .answer(200, "The subscription.", Some((JSON, shown.clone())));
    let request = json!({
        "type": "object",
        "required": ["expiresAt"],
        "additionalProperties": false,
        "properties": { "expiresAt": end() },
    });
    let renew = ApiOperation::patch("renewSubscription", "Set the end of a subscription anew")
        .parameters([id()])
        .body("The new end.", &[(JSON, request)])
        .answer(
            200,
            "The subscription with its new end.",
            Some((JSON, shown)),
        );
    let ended = json!({
        "type": "object",
        "required": ["success"],
        "properties": { "success": { "const": true } },
    });
    let delete = ApiOperation::delete("deleteSubscription", "Delete a subscription")
        .parameters([id()])
        .answer(
            200,
            "It is deleted, and its streams end.",
            Some((JSON, ended)),
        );
    let (show, renew, delete) = (
        missing(refusals(show, schemas), schemas),
        missing(refusals(renew, schemas), schemas),
        missing(refusals(delete, schemas), schemas),
    );
    vec![show, body_refusals(renew, schemas), delete]
}
