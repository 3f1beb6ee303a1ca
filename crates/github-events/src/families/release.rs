//! `release`.

use model::ResourceType;

use crate::{
    family::{Rule, WebhookFamily},
    fields,
};

pub(super) const RELEASE: WebhookFamily = WebhookFamily {
    event: "release",
    kinds: &[ResourceType::RELEASE],
    resource: "the release",
    rule: Rule::By(|payload| {
        let mut subject = payload.subject(ResourceType::RELEASE, "release")?;
        let release = payload.object("release");
        // A release without a title is known by its tag.
        let title = &mut subject.resource.title;
        *title = title.take().or_else(|| fields::title(release, "/tag_name"));
        let times = [
            ("published", "/published_at"),
            ("prereleased", "/published_at"),
            ("released", "/published_at"),
        ];
        Ok(subject.timed(payload.action(), release, &times))
    }),
    ..WebhookFamily::PLAIN
};
