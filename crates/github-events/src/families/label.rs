//! `label`.

use model::ResourceType;

use crate::family::{Rule, WebhookFamily};

pub(super) const LABEL: WebhookFamily = WebhookFamily {
    event: "label",
    kinds: &[ResourceType::LABEL],
    resource: "the label",
    rule: Rule::Object("label", "/id"),
    ..WebhookFamily::PLAIN
};
