//! `discussion` and `discussion_comment`.

use model::ResourceType;

use crate::{
    family::{Rule, WebhookFamily},
    fields,
};

pub(super) const DISCUSSION: WebhookFamily = WebhookFamily {
    event: "discussion",
    kinds: &[ResourceType::DISCUSSION],
    resource: "the discussion",
    number: "its own",
    rule: Rule::Object("discussion", "/id"),
    ..WebhookFamily::PLAIN
};

pub(super) const DISCUSSION_COMMENT: WebhookFamily = WebhookFamily {
    event: "discussion_comment",
    kinds: &[ResourceType::DISCUSSION_COMMENT],
    resource: "the comment",
    number: "of the discussion",
    omitted: &["discussion"],
    rule: Rule::By(|payload| {
        let comment = payload.subject(ResourceType::DISCUSSION_COMMENT, "comment")?;
        Ok(comment.belonging_to(fields::object(payload.json, "discussion"), false))
    }),
};
