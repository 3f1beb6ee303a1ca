//! The families of webhooks: a file for each, and the table that finds one by GitHub's name of the event.

mod actions;
mod alerts;
mod checks;
mod deployments;
mod discussion;
mod git;
mod installations;
mod issue_comment;
mod issue_links;
mod issues;
mod label;
pub(crate) mod members;
mod milestone;
mod others;
mod packages;
mod people;
mod projects_v2;
mod projects_v2_item;
mod pull_request;
mod pull_request_review;
mod release;
mod repository;
mod unknown;

use crate::family::WebhookFamily;

/// In the order in which the documentation lists them.
const WITH_RULES: &[WebhookFamily] = &[
    issues::ISSUES,
    issue_links::SUB_ISSUES,
    issue_links::ISSUE_DEPENDENCIES,
    issue_links::ISSUE_RELATES_TO,
    issue_comment::ISSUE_COMMENT,
    pull_request::PULL_REQUEST,
    pull_request_review::REVIEW,
    pull_request_review::REVIEW_COMMENT,
    pull_request_review::REVIEW_THREAD,
    milestone::MILESTONE,
    label::LABEL,
    projects_v2::PROJECT,
    projects_v2_item::PROJECT_ITEM,
    projects_v2::STATUS_UPDATE,
    discussion::DISCUSSION,
    discussion::DISCUSSION_COMMENT,
    git::PUSH,
    git::CREATE,
    git::DELETE,
    git::STATUS,
    git::COMMIT_COMMENT,
    release::RELEASE,
    checks::CHECK_RUN,
    checks::CHECK_SUITE,
    actions::WORKFLOW_RUN,
    actions::WORKFLOW_JOB,
    actions::WORKFLOW_DISPATCH,
    repository::REPOSITORY_DISPATCH,
    deployments::DEPLOYMENT,
    deployments::DEPLOYMENT_STATUS,
    deployments::DEPLOYMENT_REVIEW,
    deployments::PROTECTION_RULE,
    repository::REPOSITORY,
    repository::PUBLIC,
    repository::FORK,
    repository::STAR,
    repository::WATCH,
    people::MEMBER,
    people::MEMBERSHIP,
    people::TEAM,
    people::TEAM_ADD,
    people::ORGANIZATION,
    people::ORG_BLOCK,
    people::USER,
    installations::INSTALLATION,
    installations::INSTALLATION_REPOSITORIES,
    installations::INSTALLATION_TARGET,
    installations::APP_AUTHORIZATION,
    installations::TOKEN_REQUEST,
    packages::PACKAGE,
    packages::REGISTRY_PACKAGE,
    alerts::CODE_SCANNING,
    alerts::DEPENDABOT,
    alerts::SECRET_SCANNING,
    alerts::SECRET_LOCATION,
    alerts::SECRET_SCAN,
    alerts::VULNERABILITY,
    alerts::REPOSITORY_ADVISORY,
    alerts::SECURITY_ADVISORY,
];

/// Every family that has an event of its own.
pub(crate) fn all() -> impl Iterator<Item = &'static WebhookFamily> {
    WITH_RULES.iter().chain(others::OTHERS)
}

/// The family of an event.
pub(crate) fn of_event(event: &str) -> &'static WebhookFamily {
    let family = all().find(|family| family.event == event);
    family.unwrap_or(&unknown::UNKNOWN)
}
