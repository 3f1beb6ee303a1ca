//! `deployment`, `deployment_status`, `deployment_review` and `deployment_protection_rule`.

use model::{EventType, ResourceType};

use crate::{
    Skip,
    event::Subject,
    family::{Rule, WebhookFamily},
    fields,
    payload::Payload,
};

pub(super) const DEPLOYMENT: WebhookFamily = WebhookFamily {
    event: "deployment",
    kinds: &[ResourceType::DEPLOYMENT],
    resource: "the deployment; the title is its environment",
    omitted: &["workflow", "workflow_run"],
    rule: Rule::By(|payload| to_environment(payload, ResourceType::DEPLOYMENT, "deployment")),
    ..WebhookFamily::PLAIN
};

pub(super) const DEPLOYMENT_STATUS: WebhookFamily = WebhookFamily {
    event: "deployment_status",
    kinds: &[ResourceType::DEPLOYMENT_STATUS],
    resource: "the status; the title is the environment",
    omitted: &["workflow", "workflow_run", "check_run"],
    rule: Rule::By(|payload| {
        let kind = ResourceType::DEPLOYMENT_STATUS;
        let mut subject = to_environment(payload, kind, "deployment_status")?;
        let title = &mut subject.resource.title;
        let of_deployment = || fields::title(payload.json, "/deployment/environment");
        *title = title.take().or_else(of_deployment);
        Ok(subject)
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const DEPLOYMENT_REVIEW: WebhookFamily = WebhookFamily {
    event: "deployment_review",
    kinds: &[ResourceType::DEPLOYMENT_REVIEW],
    resource: "the review of the workflow run",
    rule: Rule::By(review),
    ..WebhookFamily::PLAIN
};

pub(super) const PROTECTION_RULE: WebhookFamily = WebhookFamily {
    event: "deployment_protection_rule",
    kinds: &[ResourceType::DEPLOYMENT_PROTECTION_RULE],
    resource: "the deployment that waits, with the rule; the title is the environment",
    rule: Rule::By(|payload| {
        let deployment = fields::number(payload.json, "/deployment/id");
        let path = deployment.map(|id| id.to_string());
        let path = path.or_else(|| fields::owned(payload.json, "/environment"));
        let mut subject = payload.at(ResourceType::DEPLOYMENT_PROTECTION_RULE, path)?;
        subject.resource.title = fields::title(payload.json, "/environment");
        // As of `watch`: GitHub requires nothing of this payload.
        subject.event_type = EventType::UPDATED;
        let subject = subject.typed(payload.action(), &[("requested", EventType::CREATED)]);
        Ok(subject.of_pull_request(payload, payload.json))
    }),
    ..WebhookFamily::PLAIN
};

fn to_environment(payload: Payload<'_>, kind: ResourceType, key: &str) -> Result<Subject, Skip> {
    let mut subject = payload.subject(kind, key)?;
    subject.resource.title = fields::title(payload.object(key), "/environment");
    Ok(subject)
}

fn review(payload: Payload<'_>) -> Result<Subject, Skip> {
    let run = payload.object("workflow_run");
    let path = fields::number(run, "/id").map(|id| id.to_string());
    let mut subject = payload.at(ResourceType::DEPLOYMENT_REVIEW, path)?;
    let title = fields::title(run, "/display_title");
    subject.resource.title = title.or_else(|| fields::title(run, "/name"));
    subject.resource.url = fields::owned(run, "/html_url");
    subject.happened_at = fields::time(payload.json, "/since");
    let subject = subject.typed(payload.action(), &[("requested", EventType::CREATED)]);
    Ok(subject.of_pull_request(payload, run))
}
