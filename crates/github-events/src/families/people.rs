//! `member`, `membership`, `team`, `team_add`, `organization` and `org_block`: who belongs to what.

use model::{EventType, ResourceRef, ResourceType};

use crate::{
    event::{Content, Subject},
    family::{Rule, WebhookFamily},
    fields, identity,
    payload::{self, Payload},
};

pub(super) const MEMBER: WebhookFamily = WebhookFamily {
    event: "member",
    kinds: &[ResourceType::MEMBER],
    resource: "the collaborator of the repository",
    rule: Rule::By(|payload| {
        let id = user_id(payload, "member");
        let mut member = payload.at(ResourceType::MEMBER, id)?;
        show_user(&mut member, payload, "member");
        Ok(member.typed(payload.action(), &COMING_AND_GOING))
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const MEMBERSHIP: WebhookFamily = WebhookFamily {
    event: "membership",
    kinds: &[ResourceType::MEMBERSHIP],
    resource: "the user's membership of the team",
    rule: Rule::By(|payload| {
        let (kind, user) = (ResourceType::MEMBERSHIP, user_id(payload, "member"));
        let team = payload.object("team");
        let path = format!("{kind}/{}", user.unwrap_or_default());
        let in_team = match fields::node_id(team, "/node_id") {
            Some(team) => identity::derived(Some(&team), &path),
            // A team that was deleted has an id only.
            None => fields::number(team, "/id")
                .and_then(|team| payload.derived_id(&format!("team/{team}/{path}"))),
        };
        let id = match in_team {
            Some(id) => id,
            None => payload.once(kind.clone())?.resource.node_id,
        };
        let mut membership = payload.whole(kind, payload.resource_of_owner(id));
        show_user(&mut membership, payload, "member");
        Ok(membership.typed(payload.action(), &COMING_AND_GOING))
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const TEAM: WebhookFamily = WebhookFamily {
    event: "team",
    kinds: &[ResourceType::TEAM],
    resource: "the team",
    rule: Rule::Object("team", "/id"),
    ..WebhookFamily::PLAIN
};

pub(super) const TEAM_ADD: WebhookFamily = WebhookFamily {
    event: "team_add",
    kinds: &[ResourceType::TEAM],
    resource: "the team, which was added to the repository",
    rule: Rule::Object("team", "/id"),
    ..WebhookFamily::PLAIN
};

pub(super) const ORGANIZATION: WebhookFamily = WebhookFamily {
    event: "organization",
    kinds: &[ResourceType::ORGANIZATION],
    resource: "the organization; `resource.formerOwner` is its login before a rename",
    rule: Rule::By(|payload| {
        let subject = payload.node_subject(ResourceType::ORGANIZATION, "organization")?;
        let organization = payload.object("organization");
        // In no repository, whatever else the payload has.
        let place = payload.resource_of_owner(subject.resource.node_id);
        Ok(Subject {
            resource: ResourceRef {
                database_id: fields::number(organization, "/id"),
                title: fields::title(organization, "/login"),
                former_owner: fields::owned(payload.json, "/changes/login/from"),
                ..place
            },
            ..subject
        })
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const ORG_BLOCK: WebhookFamily = WebhookFamily {
    event: "org_block",
    kinds: &[ResourceType::ORG_BLOCK],
    resource: "the organization's block of the user",
    rule: Rule::By(|payload| {
        let kind = ResourceType::ORG_BLOCK;
        let path = format!(
            "{kind}/{}",
            user_id(payload, "blocked_user").unwrap_or_default()
        );
        let organization = fields::node_id(payload.json, "/organization/node_id");
        let id = match organization.and_then(|place| identity::derived(Some(&place), &path)) {
            Some(id) => id,
            None => payload.once(kind.clone())?.resource.node_id,
        };
        let mut block = payload.whole(kind, payload.resource_of_owner(id));
        show_user(&mut block, payload, "blocked_user");
        let types = [
            ("blocked", EventType::CREATED),
            ("unblocked", EventType::DELETED),
        ];
        Ok(block.typed(payload.action(), &types))
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const USER: WebhookFamily = WebhookFamily {
    event: "user",
    kinds: &[ResourceType::USER],
    resource: "the user",
    rule: Rule::By(|payload| {
        let subject = payload.numbered_subject(ResourceType::USER, "user", "/id")?;
        let user = payload.object("user");
        Ok(Subject {
            resource: ResourceRef {
                title: fields::title(user, "/login"),
                url: fields::owned(user, "/html_url"),
                database_id: fields::number(user, "/id"),
                ..payload::of_account(user, subject.resource.node_id)
            },
            ..subject
        })
    }),
    ..WebhookFamily::PLAIN
};

const COMING_AND_GOING: [(&str, EventType); 2] = [
    ("added", EventType::CREATED),
    ("removed", EventType::DELETED),
];

/// What identifies a user in a payload. One who was deleted has an id only, or is null.
fn user_id(payload: Payload<'_>, key: &str) -> Option<String> {
    let user = payload.object(key);
    let numbered = || fields::number(user, "/id").map(|id| id.to_string());
    fields::owned(user, "/node_id").or_else(numbered)
}

/// Makes a user the title and the object of an event.
fn show_user(subject: &mut Subject, payload: Payload<'_>, key: &str) {
    let user = payload.object(key);
    subject.resource.title = fields::title(user, "/login");
    subject.resource.url = fields::owned(user, "/html_url");
    subject.content = Content::Member(key.to_owned());
}
