//! Webhooks without rules of their own: where their object is, and by what it is known.

use model::{EventType, ResourceType};

use crate::{
    family::{Rule, WebhookFamily},
    fields,
};

pub(super) const OTHERS: &[WebhookFamily] = &[
    WebhookFamily {
        event: "branch_protection_configuration",
        kinds: &[ResourceType::BRANCH_PROTECTION_CONFIGURATION],
        resource: "the repository's setting",
        rule: Rule::By(|payload| {
            let mut setting = payload.once(ResourceType::BRANCH_PROTECTION_CONFIGURATION)?;
            // As of `watch`.
            setting.event_type = EventType::UPDATED;
            Ok(setting)
        }),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "branch_protection_rule",
        kinds: &[ResourceType::BRANCH_PROTECTION_RULE],
        resource: "the rule",
        rule: Rule::Object("rule", "/id"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "bypass_request_secret_scanning",
        kinds: &[ResourceType::BYPASS_REQUEST_SECRET_SCANNING],
        resource: "the request",
        rule: Rule::Object("exemption_request", "/id"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "cache_sync",
        kinds: &[ResourceType::CACHE_SYNC],
        resource: "the repository's cache",
        rule: Rule::Once,
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "custom_property",
        kinds: &[ResourceType::CUSTOM_PROPERTY],
        resource: "the property",
        rule: Rule::Object("definition", "/property_name"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "custom_property_values",
        kinds: &[ResourceType::CUSTOM_PROPERTY_VALUES],
        resource: "the repository's values",
        rule: Rule::Once,
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "deploy_key",
        kinds: &[ResourceType::DEPLOY_KEY],
        resource: "the key",
        rule: Rule::Object("key", "/id"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "dismissal_request_code_scanning",
        kinds: &[ResourceType::DISMISSAL_REQUEST_CODE_SCANNING],
        resource: "the request",
        rule: Rule::Object("exemption_request", "/id"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "dismissal_request_secret_scanning",
        kinds: &[ResourceType::DISMISSAL_REQUEST_SECRET_SCANNING],
        resource: "the request",
        rule: Rule::Object("exemption_request", "/id"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "enterprise",
        kinds: &[ResourceType::ENTERPRISE],
        resource: "the enterprise; the sender, where the payload does not name it",
        rule: Rule::Once,
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "exemption_request_push_ruleset",
        kinds: &[ResourceType::EXEMPTION_REQUEST_PUSH_RULESET],
        resource: "the request",
        rule: Rule::Object("exemption_request", "/id"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "gollum",
        kinds: &[ResourceType::GOLLUM],
        resource: "the repository's wiki",
        rule: Rule::Once,
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "marketplace_purchase",
        kinds: &[ResourceType::MARKETPLACE_PURCHASE],
        resource: "the account's purchase",
        rule: Rule::Object("marketplace_purchase", "/account/id"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "merge_group",
        kinds: &[ResourceType::MERGE_GROUP],
        resource: "the group",
        rule: Rule::By(|payload| {
            let kind = ResourceType::MERGE_GROUP;
            let mut group = payload.numbered_subject(kind, "merge_group", "/head_sha")?;
            group.resource.title = fields::title(payload.object("merge_group"), "/head_ref");
            let types = [
                ("checks_requested", EventType::CREATED),
                ("destroyed", EventType::DELETED),
            ];
            Ok(group.typed(payload.action(), &types))
        }),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "meta",
        kinds: &[ResourceType::META],
        resource: "the webhook",
        rule: Rule::Object("hook", "/id"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "organization_custom_property",
        kinds: &[ResourceType::ORGANIZATION_CUSTOM_PROPERTY],
        resource: "the property",
        rule: Rule::Object("definition", "/property_name"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "organization_custom_property_values",
        kinds: &[ResourceType::ORGANIZATION_CUSTOM_PROPERTY_VALUES],
        resource: "the organization's values",
        rule: Rule::Once,
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "page_build",
        kinds: &[ResourceType::PAGE_BUILD],
        resource: "the repository's site; `data.id` is the build",
        rule: Rule::Once,
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "project",
        kinds: &[ResourceType::CLASSIC_PROJECT],
        resource: "the classic project",
        rule: Rule::Object("project", "/id"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "project_card",
        kinds: &[ResourceType::PROJECT_CARD],
        resource: "the card",
        rule: Rule::Object("project_card", "/id"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "project_column",
        kinds: &[ResourceType::PROJECT_COLUMN],
        resource: "the column",
        rule: Rule::Object("project_column", "/id"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "repository_import",
        kinds: &[ResourceType::REPOSITORY_IMPORT],
        resource: "the import into the repository",
        rule: Rule::Once,
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "repository_ruleset",
        kinds: &[ResourceType::REPOSITORY_RULESET],
        resource: "the ruleset",
        rule: Rule::Object("repository_ruleset", "/id"),
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "security_and_analysis",
        kinds: &[ResourceType::SECURITY_AND_ANALYSIS],
        resource: "the repository's settings",
        rule: Rule::Once,
        ..WebhookFamily::PLAIN
    },
    WebhookFamily {
        event: "sponsorship",
        kinds: &[ResourceType::SPONSORSHIP],
        resource: "the sponsorship",
        rule: Rule::Object("sponsorship", "/id"),
        ..WebhookFamily::PLAIN
    },
];
