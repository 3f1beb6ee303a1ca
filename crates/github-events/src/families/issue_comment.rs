//! `issue_comment`.

use model::ResourceType;

use super::issues::is_pull_request;
use crate::{
    family::{Rule, WebhookFamily},
    fields,
};

pub(super) const ISSUE_COMMENT: WebhookFamily = WebhookFamily {
    event: "issue_comment",
    kinds: &[ResourceType::ISSUE_COMMENT],
    resource: "the comment",
    number: "of the issue or pull request",
    omitted: &["issue"],
    rule: Rule::By(|payload| {
        let comment = payload.subject(ResourceType::ISSUE_COMMENT, "comment")?;
        let issue = fields::object(payload.json, "issue");
        Ok(comment.belonging_to(issue, is_pull_request(payload, "issue")))
    }),
};
