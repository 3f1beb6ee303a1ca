//! `installation`, `installation_repositories`, `installation_target`, `github_app_authorization` and
//! `personal_access_token_request`: who may call GitHub's API.

use model::{ResourceRef, ResourceType};

use crate::{
    Skip,
    event::{Content, Subject},
    family::{Rule, WebhookFamily},
    fields,
    payload::{self, Payload},
};

pub(super) const INSTALLATION: WebhookFamily = WebhookFamily {
    event: "installation",
    kinds: &[ResourceType::INSTALLATION],
    resource: "the installation; `metadata.related` has its repositories",
    rule: Rule::By(installation),
    ..WebhookFamily::PLAIN
};

pub(super) const INSTALLATION_REPOSITORIES: WebhookFamily = WebhookFamily {
    event: "installation_repositories",
    kinds: &[ResourceType::INSTALLATION],
    resource: "the installation; `metadata.related` has the repositories that were added or removed",
    rule: Rule::By(installation),
    ..WebhookFamily::PLAIN
};

pub(super) const INSTALLATION_TARGET: WebhookFamily = WebhookFamily {
    event: "installation_target",
    kinds: &[ResourceType::INSTALLATION_TARGET],
    resource: "the account on which the app is installed; `resource.formerOwner` is its login before a rename",
    rule: Rule::By(|payload| {
        let subject =
            payload.numbered_subject(ResourceType::INSTALLATION_TARGET, "account", "/id")?;
        let account = payload.object("account");
        Ok(Subject {
            resource: ResourceRef {
                database_id: fields::number(account, "/id"),
                title: fields::title(account, "/login"),
                url: fields::owned(account, "/html_url"),
                former_owner: fields::owned(payload.json, "/changes/login/from"),
                ..payload::of_account(account, subject.resource.node_id)
            },
            ..subject
        })
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const APP_AUTHORIZATION: WebhookFamily = WebhookFamily {
    event: "github_app_authorization",
    kinds: &[ResourceType::GITHUB_APP_AUTHORIZATION],
    resource: "the user's authorization of the app",
    rule: Rule::Once,
    ..WebhookFamily::PLAIN
};

pub(super) const TOKEN_REQUEST: WebhookFamily = WebhookFamily {
    event: "personal_access_token_request",
    kinds: &[ResourceType::PERSONAL_ACCESS_TOKEN_REQUEST],
    resource: "the request",
    rule: Rule::Object("personal_access_token_request", "/id"),
    ..WebhookFamily::PLAIN
};

/// An installation has no node id in most payloads, so its id is always derived from its number.
fn installation(payload: Payload<'_>) -> Result<Subject, Skip> {
    let kind = ResourceType::INSTALLATION;
    let object = payload.object("installation");
    let number = fields::number(object, "/id");
    let number = number.ok_or_else(|| payload.missing("/installation/id"))?;
    let id = crate::identity::derived(None, &format!("{kind}/{number}"));
    let id = id.ok_or_else(|| payload.missing("/installation/id"))?;
    let subject = payload.about(kind, "installation", id);
    let account = fields::object(object, "account");
    let place = match account {
        Some(account) => payload::of_account(account, subject.resource.node_id),
        None => payload.resource_of_owner(subject.resource.node_id),
    };
    Ok(Subject {
        resource: ResourceRef {
            database_id: Some(number),
            title: fields::title(object, "/app_slug"),
            url: subject.resource.url,
            ..place
        },
        content: Content::Member("installation".to_owned()),
        ..subject
    })
}
