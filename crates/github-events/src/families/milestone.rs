//! `milestone`.

use model::{EventType, ResourceType};

use crate::family::{Rule, WebhookFamily};

pub(super) const MILESTONE: WebhookFamily = WebhookFamily {
    event: "milestone",
    kinds: &[ResourceType::MILESTONE],
    resource: "the milestone",
    number: "its own",
    rule: Rule::By(|payload| {
        let milestone = payload.node_subject(ResourceType::MILESTONE, "milestone")?;
        // GitHub sends `created` for a new milestone and `opened` for a closed one that is reopened.
        Ok(milestone.typed(payload.action(), &[("opened", EventType::REOPENED)]))
    }),
    ..WebhookFamily::PLAIN
};
