//! `repository`, `public`, `fork`, `star`, `watch`, `repository_dispatch` and what a repository has once.

use model::{EventType, ResourceRef, ResourceType};
use serde_json::Value;

use crate::{
    Skip,
    event::{Content, Subject},
    family::{Rule, WebhookFamily},
    fields,
    payload::Payload,
};

pub(super) const REPOSITORY: WebhookFamily = WebhookFamily {
    event: "repository",
    kinds: &[ResourceType::REPOSITORY],
    resource: "the repository; `resource.formerOwner` and `formerRepo` are its address before a rename or transfer",
    rule: Rule::By(repository),
    ..WebhookFamily::PLAIN
};

pub(super) const PUBLIC: WebhookFamily = WebhookFamily {
    event: "public",
    kinds: &[ResourceType::REPOSITORY],
    resource: "the repository, which became public",
    rule: Rule::By(repository),
    ..WebhookFamily::PLAIN
};

pub(super) const FORK: WebhookFamily = WebhookFamily {
    event: "fork",
    kinds: &[ResourceType::FORK],
    resource: "the new repository, as an event of the one that was forked",
    rule: Rule::By(fork),
    ..WebhookFamily::PLAIN
};

pub(super) const STAR: WebhookFamily = WebhookFamily {
    event: "star",
    kinds: &[ResourceType::STAR],
    resource: "the user's star on the repository",
    rule: Rule::By(|payload| {
        let mut star = of_sender(payload, ResourceType::STAR)?;
        star.happened_at = fields::time(payload.json, "/starred_at");
        Ok(star)
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const WATCH: WebhookFamily = WebhookFamily {
    event: "watch",
    kinds: &[ResourceType::WATCH],
    resource: "the user's watch on the repository",
    rule: Rule::By(|payload| {
        let mut watch = of_sender(payload, ResourceType::WATCH)?;
        // Its payload is that of any event about the whole repository, whose actions say nothing of a watch.
        watch.event_type = EventType::UPDATED;
        Ok(watch.typed(payload.action(), &[("started", EventType::CREATED)]))
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const REPOSITORY_DISPATCH: WebhookFamily = WebhookFamily {
    event: "repository_dispatch",
    kinds: &[ResourceType::REPOSITORY_DISPATCH],
    resource: "the repository's dispatch of this action",
    rule: Rule::By(|payload| {
        let mut dispatch = payload.once(ResourceType::REPOSITORY_DISPATCH)?;
        // The action is a word of whoever called the API, and says nothing about the resource's life.
        dispatch.event_type = EventType::UPDATED;
        Ok(dispatch)
    }),
    ..WebhookFamily::PLAIN
};

fn repository(payload: Payload<'_>) -> Result<Subject, Skip> {
    let mut subject = payload.node_subject(ResourceType::REPOSITORY, "repository")?;
    let changes = payload.json.get("changes").unwrap_or(&Value::Null);
    let former_name = fields::owned(changes, "/repository/name/from");
    let logins = ["organization", "user"].map(|owner| format!("/owner/from/{owner}/login"));
    let former_owner = logins.iter().find_map(|at| fields::owned(changes, at));
    if former_name.is_some() || former_owner.is_some() {
        let resource = &mut subject.resource;
        resource.former_owner = former_owner.or_else(|| resource.owner.clone());
        resource.former_repo = former_name.or_else(|| resource.repo.clone());
    }
    Ok(subject)
}

/// The fork belongs to another repository than the event, and its name and address are not the event's reader's to
/// see. They are in `data`, which is withheld from who may not see the fork.
fn fork(payload: Payload<'_>) -> Result<Subject, Skip> {
    let subject = payload.node_subject(ResourceType::FORK, "forkee")?;
    let forkee = payload.object("forkee");
    Ok(Subject {
        event_type: EventType::CREATED,
        happened_at: fields::time(forkee, "/created_at"),
        resource: ResourceRef {
            title: None,
            url: None,
            ..subject.resource
        },
        content: Content::Member("forkee".to_owned()),
        ..subject
    })
}

fn of_sender(payload: Payload<'_>, kind: ResourceType) -> Result<Subject, Skip> {
    let mut subject = payload.at(kind, fields::owned(payload.json, "/sender/node_id"))?;
    subject.resource.title = fields::title(payload.json, "/sender/login");
    Ok(subject)
}
