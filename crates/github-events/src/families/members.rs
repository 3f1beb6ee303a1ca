//! The members that tell the payloads of one event from those of another.
//!
//! GitHub's signature covers the body and not the name of the event. Whoever has seen a delivery can send its body under
//! another name, and a comment that was deleted must not become a repository that was. So a payload has what its event is
//! about, and is not one of an event that is about more. Tests compare both with every payload that GitHub documents.

use serde_json::Value;

use crate::{Skip, fields};

/// The members of an event's payloads.
struct EventMembers {
    event: &'static str,
    /// Which all of them have, be it null.
    own: &'static [&'static str],
    /// Which other events are about and some of them have.
    also: &'static [&'static str],
}

impl EventMembers {
    /// What only its own payloads have.
    fn telling(&self) -> impl Iterator<Item = &'static str> {
        self.own
            .iter()
            .copied()
            .filter(|member| !GENERAL.contains(member))
    }

    /// What another event is about, if it is about all that this one is and more, and all of that is there: the comment on
    /// an issue is no issue. One new member in GitHub's payloads makes them none of another event.
    fn more_special(&self, is_there: impl Fn(&str) -> bool) -> Option<&'static str> {
        let is_known = |member: &str| self.own.contains(&member) || self.also.contains(&member);
        let mut others = MEMBERS.iter().filter(|other| {
            let has_all = self.telling().all(|member| other.own.contains(&member));
            has_all && other.telling().all(&is_there)
        });
        others.find_map(|other| other.telling().find(|member| !is_known(member)))
    }
}

const fn of(
    event: &'static str,
    own: &'static [&'static str],
    also: &'static [&'static str],
) -> EventMembers {
    EventMembers { event, own, also }
}

/// Members that tell nothing: other events have them too.
const GENERAL: [&str; 5] = ["changes", "organization", "since", "status", "workflow"];

/// Events without a line have none of these members.
const MEMBERS: &[EventMembers] = &[
    of("branch_protection_rule", &["rule"], &[]),
    of(
        "bypass_request_secret_scanning",
        &["exemption_request"],
        &[],
    ),
    of("cache_sync", &["cache_location"], &[]),
    of("check_run", &["check_run"], &[]),
    of("check_suite", &["check_suite"], &[]),
    of("code_scanning_alert", &["alert"], &["commit_oid"]),
    of("commit_comment", &["comment"], &[]),
    of("create", &["ref_type", "ref"], &["master_branch"]),
    of("custom_property", &["definition"], &[]),
    of("custom_property_values", &["new_property_values"], &[]),
    of("delete", &["ref_type", "ref"], &[]),
    of("dependabot_alert", &["alert"], &[]),
    of("deploy_key", &["key"], &[]),
    of("deployment", &["deployment"], &["workflow_run"]),
    of("deployment_protection_rule", &[], &["deployment", "ref"]),
    of(
        "deployment_review",
        &["workflow_run", "since"],
        &["comment"],
    ),
    of(
        "deployment_status",
        &["deployment_status", "deployment"],
        &["check_run", "workflow_run"],
    ),
    of("discussion", &["discussion"], &["label"]),
    of("discussion_comment", &["comment", "discussion"], &[]),
    of(
        "dismissal_request_code_scanning",
        &["exemption_request"],
        &[],
    ),
    of(
        "dismissal_request_secret_scanning",
        &["exemption_request"],
        &[],
    ),
    of(
        "exemption_request_push_ruleset",
        &["exemption_request"],
        &[],
    ),
    of("fork", &["forkee"], &[]),
    of("gollum", &["pages"], &[]),
    of("installation_repositories", &["repositories_added"], &[]),
    of("installation_target", &["account"], &[]),
    of("issue_comment", &["comment", "issue"], &[]),
    of(
        "issue_dependencies",
        &[],
        &["blocked_issue", "blocking_issue"],
    ),
    of("issue_relates_to", &[], &["issue", "related_issue"]),
    of("issues", &["issue"], &["label", "milestone"]),
    of("label", &["label"], &[]),
    of("marketplace_purchase", &["marketplace_purchase"], &[]),
    of("member", &["member"], &[]),
    of("membership", &["member", "team"], &[]),
    of("merge_group", &["merge_group"], &[]),
    of("meta", &["hook"], &[]),
    of("milestone", &["milestone"], &[]),
    of("org_block", &["blocked_user"], &[]),
    of("organization", &["organization"], &["user"]),
    of("organization_custom_property", &["definition"], &[]),
    of(
        "organization_custom_property_values",
        &["new_property_values"],
        &[],
    ),
    of("package", &["package"], &[]),
    of("page_build", &["build"], &[]),
    of(
        "personal_access_token_request",
        &["personal_access_token_request"],
        &[],
    ),
    of("project", &["project"], &[]),
    of("project_card", &["project_card"], &[]),
    of("project_column", &["project_column"], &[]),
    of("projects_v2", &["projects_v2"], &[]),
    of("projects_v2_item", &["projects_v2_item"], &[]),
    of(
        "projects_v2_status_update",
        &["projects_v2_status_update"],
        &[],
    ),
    of("pull_request", &["pull_request"], &["label", "milestone"]),
    of("pull_request_review", &["review", "pull_request"], &[]),
    of(
        "pull_request_review_comment",
        &["comment", "pull_request"],
        &[],
    ),
    of(
        "pull_request_review_thread",
        &["thread", "pull_request"],
        &[],
    ),
    of("push", &["ref"], &["head_commit"]),
    of("registry_package", &["registry_package"], &[]),
    of("release", &["release"], &[]),
    of("repository_advisory", &["repository_advisory"], &[]),
    of("repository_dispatch", &[], &["client_payload", "ref"]),
    of("repository_import", &["status"], &[]),
    of("repository_ruleset", &["repository_ruleset"], &[]),
    of("repository_vulnerability_alert", &["alert"], &[]),
    of("secret_scanning_alert", &["alert"], &[]),
    of("secret_scanning_alert_location", &["alert"], &[]),
    of("security_advisory", &["security_advisory"], &[]),
    of("security_and_analysis", &["changes"], &[]),
    of("sponsorship", &["sponsorship"], &[]),
    of("star", &["starred_at"], &[]),
    of("status", &["sha"], &[]),
    of("sub_issues", &[], &["parent_issue", "sub_issue"]),
    of("team", &["team"], &[]),
    of("team_add", &["team"], &[]),
    of("user", &["user"], &[]),
    of("workflow_dispatch", &["inputs", "ref"], &[]),
    of("workflow_job", &["workflow_job"], &["deployment"]),
    of("workflow_run", &["workflow_run", "workflow"], &[]),
];

const NONE: EventMembers = of("", &[], &[]);

/// What alerts are about, under the name that all of them have.
const OF_ALERTS: &[(&[&str], &str)] = &[
    (&["code_scanning_alert"], "rule"),
    (&["dependabot_alert"], "dependency"),
    (&["repository_vulnerability_alert"], "affected_range"),
    (
        &["secret_scanning_alert", "secret_scanning_alert_location"],
        "secret_type",
    ),
];

/// Refuses a payload that is not one of this event.
pub(crate) fn check(event: &str, payload: &Value) -> Result<(), Skip> {
    let members = MEMBERS.iter().find(|members| members.event == event);
    let members = members.unwrap_or(&NONE);
    let has = |member: &str| payload.get(member).is_some();
    if let Some(missing) = members.own.iter().find(|member| !has(member)) {
        return Err(Skip::Incomplete {
            event: event.to_owned(),
            field: format!("/{missing}"),
        });
    }
    // Whoever takes back a star has it no more, and the payload is null where it was.
    let is_there = |member: &str| {
        let value = payload.get(member);
        value.is_some_and(|value| !value.is_null() || member == "starred_at")
    };
    let other = members.more_special(is_there);
    let other = other
        .or_else(|| place_of_another(event, payload))
        .or_else(|| alert_of_another(event, payload));
    match other {
        None => Ok(()),
        Some(member) => Err(Skip::OfAnother {
            event: event.to_owned(),
            member: member.to_owned(),
        }),
    }
}

/// Whether an event about an account has the payload of one about a repository or an organization, which is about nothing
/// else.
fn place_of_another(event: &str, payload: &Value) -> Option<&'static str> {
    let of_account: &[&str] = match event {
        "enterprise" | "github_app_authorization" => &[],
        "organization" => &["/membership", "/invitation", "/user", "/changes/login"],
        "installation" => &["/repositories", "/requester"],
        _ => return None,
    };
    if of_account.iter().any(|at| payload.pointer(at).is_some()) {
        return None;
    }
    let places: &[&str] = match of_account.is_empty() {
        true => &["repository", "organization", "installation"],
        false => &["repository"],
    };
    let mut places = places.iter().copied();
    places.find(|place| fields::object(payload, place).is_some())
}

fn alert_of_another(event: &str, payload: &Value) -> Option<&'static str> {
    OF_ALERTS
        .iter()
        .find(|(events, _)| events.contains(&event))?;
    let mut others = OF_ALERTS
        .iter()
        .filter(|(events, _)| !events.contains(&event));
    let alert = fields::object(payload, "alert")?;
    let other = others.find(|(_, member)| alert.get(member).is_some());
    other.map(|(_, member)| *member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_of_an_event_with_rules() {
        let with_rules: Vec<_> = super::super::all().map(|family| family.event).collect();
        for members in MEMBERS {
            assert!(with_rules.contains(&members.event), "{}", members.event);
        }
    }
}
