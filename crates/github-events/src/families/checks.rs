//! `check_run` and `check_suite`.

use model::{EventType, ResourceType};

use crate::{
    family::{Rule, WebhookFamily},
    fields,
};

pub(super) const CHECK_RUN: WebhookFamily = WebhookFamily {
    event: "check_run",
    kinds: &[ResourceType::CHECK_RUN],
    resource: "the check run",
    number: "of the pull request, if it is for exactly one of the repository",
    rule: Rule::By(|payload| {
        let subject = payload.subject(ResourceType::CHECK_RUN, "check_run")?;
        let (run, action) = (payload.object("check_run"), payload.action());
        let times = [("created", "/started_at"), ("completed", "/completed_at")];
        let subject = subject.timed(action, run, &times);
        Ok(subject.of_pull_request(payload, run))
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const CHECK_SUITE: WebhookFamily = WebhookFamily {
    event: "check_suite",
    kinds: &[ResourceType::CHECK_SUITE],
    resource: "the check suite",
    number: "of the pull request, if it is for exactly one of the repository",
    rule: Rule::By(|payload| {
        let mut subject = payload.subject(ResourceType::CHECK_SUITE, "check_suite")?;
        let suite = payload.object("check_suite");
        subject.resource.title = fields::title(suite, "/app/name");
        let subject = subject.typed(payload.action(), &[("requested", EventType::CREATED)]);
        Ok(subject.of_pull_request(payload, suite))
    }),
    ..WebhookFamily::PLAIN
};
