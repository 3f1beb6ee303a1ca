//! `pull_request`.

use model::{EventType, ResourceType};

use crate::family::{Rule, WebhookFamily};

pub(super) const PULL_REQUEST: WebhookFamily = WebhookFamily {
    event: "pull_request",
    kinds: &[ResourceType::PULL_REQUEST],
    resource: "the pull request",
    number: "its own",
    // Its number is the pull request's.
    omitted: &["number"],
    rule: Rule::By(|payload| {
        let pull = payload.node_subject(ResourceType::PULL_REQUEST, "pull_request")?;
        // A merge is sent as `closed` with `merged: true` in the object; some lists of actions also have
        // `merged`. In both cases the pull request is closed, and `data` shows how.
        Ok(pull.typed(payload.action(), &[("merged", EventType::CLOSED)]))
    }),
};
