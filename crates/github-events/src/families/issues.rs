//! `issues`.

use model::ResourceType;

use crate::{
    Skip,
    event::Subject,
    family::{Rule, WebhookFamily},
    payload::Payload,
};

pub(super) const ISSUES: WebhookFamily = WebhookFamily {
    event: "issues",
    kinds: &[ResourceType::ISSUE, ResourceType::PULL_REQUEST],
    resource: "the issue; the pull request where GitHub treats one as an issue (milestoned, demilestoned)",
    number: "its own",
    rule: Rule::By(|payload| issue(payload, "issue")),
    ..WebhookFamily::PLAIN
};

/// The event of the issue under a key.
pub(super) fn issue(payload: Payload<'_>, key: &str) -> Result<Subject, Skip> {
    let mut subject = payload.node_subject(ResourceType::ISSUE, key)?;
    // GitHub treats pull requests as issues and sends `issues` for some of their events (milestoned,
    // demilestoned), with this field and the pull request's node id. So the event belongs to the pull
    // request. `id` is that of the underlying issue and differs from the `id` in `pull_request` events, so
    // it is left out: one resource has one identity.
    if is_pull_request(payload, key) {
        subject.kind = ResourceType::PULL_REQUEST;
        subject.is_pull_request = true;
        subject.resource.database_id = None;
    }
    Ok(subject)
}

/// Whether the issue under a key is a pull request.
pub(super) fn is_pull_request(payload: Payload<'_>, key: &str) -> bool {
    let pull = payload.json.get(key).and_then(|it| it.get("pull_request"));
    pull.is_some_and(|pull| !pull.is_null())
}
