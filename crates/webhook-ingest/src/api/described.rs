//! The routes as the OpenAPI document describes them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use service_kit::{
    openapi::{ApiHead, ApiOperation, ApiParameter, ApiSchemas},
    problem::Problem,
};

use crate::{error::DeliveryRefusal, limits::MAX_HEADER_TEXT_BYTES};

const JSON: &str = "application/json";

pub(super) const HEAD: ApiHead<'static> = ApiHead {
    title: "Forgewire ingest",
    about: "GitHub's webhooks. A delivery is accepted if one of the configured secrets signed its body; the answer comes \
            once its events are stored.",
    base_path: "",
    tokens: None,
};

/// `POST /webhooks/github`.
pub(super) fn receive(schemas: &mut ApiSchemas) -> Vec<ApiOperation> {
    let header = |name, about, pattern: String| {
        let schema = json!({ "type": "string", "pattern": pattern });
        ApiParameter::header(name, about, schema)
    };
    let name = format!("^[A-Za-z0-9_-]{{1,{MAX_HEADER_TEXT_BYTES}}}$");
    let visible = format!("^[!-~]{{1,{MAX_HEADER_TEXT_BYTES}}}$");
    let form = json!({
        "type": "object",
        "required": ["payload"],
        "properties": { "payload": { "type": "string", "contentMediaType": JSON } },
    });
    let events = |flag: &str| {
        json!({
            "type": "object",
            "required": [flag, "events"],
            "properties": {
                (flag): { "const": true },
                "events": { "type": "array", "items": { "type": "string" } },
            },
        })
    };
    let skipped = json!({
        "type": "object",
        "required": ["skipped", "reason"],
        "properties": { "skipped": { "const": true }, "reason": { "type": "string" } },
    });
    let accepted = json!({ "oneOf": [events("accepted"), skipped] });
    let mut receive = ApiOperation::post("receiveDelivery", "Receive a delivery of a webhook")
        .about(
            "Sending a delivery again is safe: its GUID makes it one event. Senders with too many failures are \
             refused before their body is read (`ingest.failures_per_minute`).",
        )
        .parameters([
            header("X-GitHub-Event", "The name of the event.", name).required(),
            header(
                "X-GitHub-Delivery",
                "The GUID of the delivery.",
                "^[A-Za-z0-9_-]{1,128}$".to_owned(),
            )
            .required(),
            header(
                "X-Hub-Signature-256",
                "`sha256=` and the HMAC-SHA256 of the body in hexadecimal digits.",
                "^sha256=[0-9A-Fa-f]{64}$".to_owned(),
            )
            .required(),
            header("X-GitHub-Hook-ID", "The id of the webhook.", visible),
        ])
        .body(
            "The payload, or a form with the payload in its field `payload`.",
            &[
                (JSON, json!({ "type": "object" })),
                ("application/x-www-form-urlencoded", form),
            ],
        )
        .answer(
            200,
            "The events of this delivery were stored before.",
            Some((JSON, events("deduplicated"))),
        )
        .answer(
            202,
            "The events are stored; or the delivery is about nothing that makes an event.",
            Some((JSON, accepted)),
        );
    let problem = schemas.of::<Problem>();
    for (status, codes) in refusals() {
        let about = format!("Refused: {}.", codes.join(", "));
        receive = receive.problems(&problem, &[(status, &about)]);
    }
    vec![receive]
}

/// The codes of all refusals of this route, by status.
fn refusals() -> BTreeMap<u16, Vec<String>> {
    let mut refusals: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for refusal in DeliveryRefusal::each() {
        if refusal != DeliveryRefusal::NoSuchRoute {
            let codes = refusals.entry(refusal.status().as_u16()).or_default();
            codes.push(format!("`{}`", refusal.code()));
        }
    }
    refusals
}

/// `GET /health`.
pub(super) fn health(_: &mut ApiSchemas) -> Vec<ApiOperation> {
    let page = |status: &str| {
        let schema: Value = json!({
            "type": "object",
            "required": ["status"],
            "properties": {
                "status": { "const": status },
                "uptimeSeconds": { "type": "integer", "minimum": 0 },
                "server": { "type": "object" },
                "events": { "type": ["object", "null"] },
            },
        });
        Some((JSON, schema))
    };
    vec![
        ApiOperation::get("getIngestHealth", "The health of the ingest role")
            .about("Statistics are shown to this machine alone.")
            .answer(200, "The role takes deliveries.", page("healthy"))
            .answer(503, "The role is not ready.", page("unhealthy")),
    ]
}
