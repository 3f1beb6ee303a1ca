//! `package` and `registry_package`, the older of the two.

use model::ResourceType;

use crate::family::{Rule, WebhookFamily};

pub(super) const PACKAGE: WebhookFamily = WebhookFamily {
    event: "package",
    kinds: &[ResourceType::PACKAGE],
    resource: "the package",
    rule: Rule::Object("package", "/id"),
    ..WebhookFamily::PLAIN
};

pub(super) const REGISTRY_PACKAGE: WebhookFamily = WebhookFamily {
    event: "registry_package",
    kinds: &[ResourceType::PACKAGE],
    resource: "the package",
    rule: Rule::Object("registry_package", "/id"),
    ..WebhookFamily::PLAIN
};
