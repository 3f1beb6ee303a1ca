//! Security: alerts, advisories and scans. Alerts have no node id, but a number within their repository and kind.

use model::{EventType, ResourceType};

use crate::{
    Skip,
    event::Subject,
    family::{Rule, WebhookFamily},
    fields,
    payload::Payload,
};

/// Actions of alerts that end or renew them, in the words of all kinds of alerts.
const LIFE: [(&str, EventType); 13] = [
    ("create", EventType::CREATED),
    ("fixed", EventType::CLOSED),
    ("dismissed", EventType::CLOSED),
    ("dismiss", EventType::CLOSED),
    ("auto_dismissed", EventType::CLOSED),
    ("resolved", EventType::CLOSED),
    ("resolve", EventType::CLOSED),
    ("closed_by_user", EventType::CLOSED),
    ("reopen", EventType::REOPENED),
    ("reopened_by_user", EventType::REOPENED),
    ("auto_reopened", EventType::REOPENED),
    ("reintroduced", EventType::REOPENED),
    ("withdrawn", EventType::CLOSED),
];

/// The fields with the time of such an action.
const TIMES: [(&str, &str); 7] = [
    ("fixed", "/fixed_at"),
    ("dismissed", "/dismissed_at"),
    ("dismiss", "/dismissed_at"),
    ("auto_dismissed", "/auto_dismissed_at"),
    ("resolved", "/resolved_at"),
    ("closed_by_user", "/dismissed_at"),
    ("withdrawn", "/withdrawn_at"),
];

pub(super) const CODE_SCANNING: WebhookFamily = WebhookFamily {
    event: "code_scanning_alert",
    kinds: &[ResourceType::CODE_SCANNING_ALERT],
    resource: "the alert",
    number: "its own",
    rule: Rule::By(|payload| {
        let mut subject = alert(
            payload,
            ResourceType::CODE_SCANNING_ALERT,
            "alert",
            "/number",
        )?;
        let alert = payload.object("alert");
        let titles = ["/rule/description", "/rule/name", "/rule/id"];
        subject.resource.title = titles.iter().find_map(|at| fields::title(alert, at));
        Ok(subject)
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const DEPENDABOT: WebhookFamily = WebhookFamily {
    event: "dependabot_alert",
    kinds: &[ResourceType::DEPENDABOT_ALERT],
    resource: "the alert",
    number: "its own",
    rule: Rule::By(|payload| {
        let mut subject = alert(payload, ResourceType::DEPENDABOT_ALERT, "alert", "/number")?;
        let alert = payload.object("alert");
        subject.resource.title = fields::title(alert, "/security_advisory/summary");
        Ok(subject)
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const SECRET_SCANNING: WebhookFamily = WebhookFamily {
    event: "secret_scanning_alert",
    kinds: &[ResourceType::SECRET_SCANNING_ALERT],
    resource: "the alert",
    number: "its own",
    rule: Rule::By(secret_scanning),
    ..WebhookFamily::PLAIN
};

pub(super) const SECRET_LOCATION: WebhookFamily = WebhookFamily {
    event: "secret_scanning_alert_location",
    kinds: &[ResourceType::SECRET_SCANNING_ALERT],
    resource: "the alert, whose secret was found in a further place (`metadata.related.location`)",
    number: "its own",
    rule: Rule::By(|payload| {
        let subject = secret_scanning(payload)?;
        Ok(Subject {
            // The location was created, and the alert changed.
            event_type: EventType::UPDATED,
            ..subject
        })
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const SECRET_SCAN: WebhookFamily = WebhookFamily {
    event: "secret_scanning_scan",
    kinds: &[ResourceType::SECRET_SCANNING_SCAN],
    resource: "the scans of the repository or organization",
    rule: Rule::By(|payload| {
        let mut scan = payload.once(ResourceType::SECRET_SCANNING_SCAN)?;
        scan.event_type = EventType::UPDATED;
        scan.happened_at = fields::time(payload.json, "/completed_at");
        Ok(scan)
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const VULNERABILITY: WebhookFamily = WebhookFamily {
    event: "repository_vulnerability_alert",
    kinds: &[ResourceType::VULNERABILITY_ALERT],
    resource: "the alert",
    number: "its own",
    rule: Rule::By(|payload| {
        let mut subject = alert(payload, ResourceType::VULNERABILITY_ALERT, "alert", "/id")?;
        let name = fields::title(payload.object("alert"), "/affected_package_name");
        subject.resource.title = name;
        Ok(subject)
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const REPOSITORY_ADVISORY: WebhookFamily = WebhookFamily {
    event: "repository_advisory",
    kinds: &[ResourceType::REPOSITORY_ADVISORY],
    resource: "the advisory",
    rule: Rule::By(|payload| {
        let kind = ResourceType::REPOSITORY_ADVISORY;
        let mut subject = alert(payload, kind, "repository_advisory", "/ghsa_id")?;
        let object = payload.object("repository_advisory");
        subject.resource.title = fields::title(object, "/summary");
        Ok(subject.typed(payload.action(), &[("reported", EventType::CREATED)]))
    }),
    ..WebhookFamily::PLAIN
};

pub(super) const SECURITY_ADVISORY: WebhookFamily = WebhookFamily {
    event: "security_advisory",
    kinds: &[ResourceType::SECURITY_ADVISORY],
    resource: "the advisory, which belongs to no owner",
    rule: Rule::By(|payload| {
        let kind = ResourceType::SECURITY_ADVISORY;
        let advisory = payload.object("security_advisory");
        let ghsa = fields::text(advisory, "/ghsa_id").filter(|ghsa| !ghsa.contains('/'));
        let ghsa = ghsa.ok_or_else(|| payload.missing("/security_advisory/ghsa_id"))?;
        let id = crate::identity::derived(None, &format!("{kind}/{ghsa}"));
        let id = id.ok_or_else(|| payload.missing("/security_advisory/ghsa_id"))?;
        let mut subject = payload.about(kind, "security_advisory", id);
        subject.resource.title = fields::title(advisory, "/summary");
        let action = payload.action();
        let subject = subject.timed(action, advisory, &TIMES);
        let subject = subject.typed(action, &LIFE);
        Ok(subject.typed(action, &[("published", EventType::CREATED)]))
    }),
    ..WebhookFamily::PLAIN
};

fn alert(
    payload: Payload<'_>,
    kind: ResourceType,
    key: &str,
    id_field: &str,
) -> Result<Subject, Skip> {
    let subject = payload.numbered_subject(kind, key, id_field)?;
    let action = payload.action();
    let subject = subject.timed(action, payload.object(key), &TIMES);
    Ok(subject.typed(action, &LIFE))
}

fn secret_scanning(payload: Payload<'_>) -> Result<Subject, Skip> {
    let kind = ResourceType::SECRET_SCANNING_ALERT;
    let mut subject = alert(payload, kind, "alert", "/number")?;
    let alert = payload.object("alert");
    let titles = ["/secret_type_display_name", "/secret_type"];
    subject.resource.title = titles.iter().find_map(|at| fields::title(alert, at));
    Ok(subject)
}
