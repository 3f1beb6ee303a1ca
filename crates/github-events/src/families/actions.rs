//! `workflow_run`, `workflow_job` and `workflow_dispatch`: GitHub Actions.

use model::{EventType, ResourceType};

use crate::{
    family::{Rule, WebhookFamily},
    fields,
};

pub(super) const WORKFLOW_RUN: WebhookFamily = WebhookFamily {
    event: "workflow_run",
    kinds: &[ResourceType::WORKFLOW_RUN],
    resource: "the run",
    number: "of the pull request, if it is for exactly one of the repository",
    omitted: &["workflow"],
    rule: Rule::By(|payload| {
        let mut subject = payload.subject(ResourceType::WORKFLOW_RUN, "workflow_run")?;
        let run = payload.object("workflow_run");
        let title = &mut subject.resource.title;
        *title = fields::title(run, "/display_title").or_else(|| title.take());
        let subject = subject.typed(payload.action(), &[("requested", EventType::CREATED)]);
        Ok(subject.of_pull_request(payload, run))
    }),
};

pub(super) const WORKFLOW_JOB: WebhookFamily = WebhookFamily {
    event: "workflow_job",
    kinds: &[ResourceType::WORKFLOW_JOB],
    resource: "the job",
    rule: Rule::By(|payload| {
        let subject = payload.subject(ResourceType::WORKFLOW_JOB, "workflow_job")?;
        let (job, action) = (payload.object("workflow_job"), payload.action());
        let times = [
            ("queued", "/created_at"),
            ("in_progress", "/started_at"),
            ("completed", "/completed_at"),
        ];
        let subject = subject.timed(action, job, &times);
        Ok(subject.typed(action, &[("queued", EventType::CREATED)]))
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const WORKFLOW_DISPATCH: WebhookFamily = WebhookFamily {
    event: "workflow_dispatch",
    kinds: &[ResourceType::WORKFLOW_DISPATCH],
    resource: "the workflow file that is started; the title is its path",
    rule: Rule::By(|payload| {
        let path = fields::owned(payload.json, "/workflow");
        let mut subject = payload.at(ResourceType::WORKFLOW_DISPATCH, path)?;
        subject.resource.title = fields::title(payload.json, "/workflow");
        Ok(subject)
    }),
    ..WebhookFamily::PLAIN
};
