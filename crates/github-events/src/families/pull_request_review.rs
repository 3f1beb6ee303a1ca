//! `pull_request_review`, `pull_request_review_comment` and `pull_request_review_thread`.

use model::{EventType, ResourceType};

use crate::{
    Skip,
    event::Subject,
    family::{Rule, WebhookFamily},
    fields,
    payload::Payload,
};

pub(super) const REVIEW: WebhookFamily = WebhookFamily {
    event: "pull_request_review",
    kinds: &[ResourceType::PULL_REQUEST_REVIEW],
    resource: "the review",
    number: "of the pull request",
    omitted: &["pull_request"],
    rule: Rule::By(|payload| {
        let review = on_pull_request(payload, ResourceType::PULL_REQUEST_REVIEW, "review")?;
        let action = payload.action();
        let object = payload.object("review");
        let review = review.timed(action, object, &[("submitted", "/submitted_at")]);
        Ok(review.typed(action, &[("submitted", EventType::CREATED)]))
    }),
};

pub(super) const REVIEW_COMMENT: WebhookFamily = WebhookFamily {
    event: "pull_request_review_comment",
    kinds: &[ResourceType::PULL_REQUEST_REVIEW_COMMENT],
    resource: "the comment",
    number: "of the pull request",
    omitted: &["pull_request"],
    rule: Rule::By(|payload| {
        let kind = ResourceType::PULL_REQUEST_REVIEW_COMMENT;
        on_pull_request(payload, kind, "comment")
    }),
};

pub(super) const REVIEW_THREAD: WebhookFamily = WebhookFamily {
    event: "pull_request_review_thread",
    kinds: &[ResourceType::PULL_REQUEST_REVIEW_THREAD],
    resource: "the thread",
    number: "of the pull request",
    omitted: &["pull_request"],
    rule: Rule::By(|payload| {
        let kind = ResourceType::PULL_REQUEST_REVIEW_THREAD;
        let mut thread = on_pull_request(payload, kind, "thread")?;
        thread.happened_at = fields::time(payload.json, "/updated_at");
        let types = [
            ("resolved", EventType::CLOSED),
            ("unresolved", EventType::REOPENED),
        ];
        Ok(thread.typed(payload.action(), &types))
    }),
};

fn on_pull_request(payload: Payload<'_>, kind: ResourceType, key: &str) -> Result<Subject, Skip> {
    let pull = fields::object(payload.json, "pull_request");
    Ok(payload.subject(kind, key)?.belonging_to(pull, true))
}
