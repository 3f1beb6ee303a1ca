//! What of a resource an event would have told: the parts of GitHub's object whose change it reports, and its word for it.
//!
//! GitHub's time of the last change alone says nothing: a comment changes it as well, and a star that of a repository. So two
//! objects of one resource are compared by their parts.

use std::collections::BTreeSet;

use ports::MirroredKind;
use serde_json::{Value, json};

/// How a part is compared.
#[derive(Clone, Copy)]
enum PartForm {
    /// As it is; what is absent is as null.
    Plain,
    /// A list of objects, in any order: by their node ids, which stay when one is renamed, or else by this member.
    Names(&'static str),
    /// As `Names`, where only what is new counts: GitHub takes whoever has reviewed from those who are asked to, and no
    /// webhook of the pull request says so.
    NewNames(&'static str),
    /// The status of a run, of which webhooks tell three: what waits is requested. It goes forwards alone.
    RunStatus,
}

use PartForm::{Names, NewNames, Plain, RunStatus};

type Part = (&'static str, PartForm);

/// The parts of a kind, as JSON pointers; `None` if no event is made of its changes.
const fn parts(kind: MirroredKind) -> Option<&'static [Part]> {
    match kind {
        MirroredKind::Issue => Some(&[
            ("/title", Plain),
            ("/body", Plain),
            ("/state", Plain),
            ("/state_reason", Plain),
            ("/locked", Plain),
            ("/milestone/number", Plain),
            ("/type/name", Plain),
            ("/labels", Names("name")),
            ("/assignees", Names("login")),
        ]),
        MirroredKind::PullRequest => Some(&[
            ("/title", Plain),
            ("/body", Plain),
            ("/state", Plain),
            ("/merged_at", Plain),
            ("/draft", Plain),
            ("/locked", Plain),
            ("/milestone/number", Plain),
            ("/head/sha", Plain),
            ("/base/ref", Plain),
            ("/labels", Names("name")),
            ("/assignees", Names("login")),
            ("/requested_reviewers", NewNames("login")),
            ("/requested_teams", NewNames("slug")),
        ]),
        MirroredKind::Milestone => Some(&[
            ("/title", Plain),
            ("/description", Plain),
            ("/state", Plain),
            ("/due_on", Plain),
        ]),
        MirroredKind::Release => Some(&[
            ("/tag_name", Plain),
            ("/name", Plain),
            ("/body", Plain),
            ("/draft", Plain),
            ("/prerelease", Plain),
        ]),
        MirroredKind::WorkflowRun => Some(&[
            ("", RunStatus),
            ("/conclusion", Plain),
            ("/run_attempt", Plain),
        ]),
        MirroredKind::Repository => Some(&[
            ("/name", Plain),
            ("/owner/id", Plain),
            ("/private", Plain),
            ("/archived", Plain),
            ("/description", Plain),
            ("/default_branch", Plain),
        ]),
        // A label has no time by which its states could be told apart, and no object of a project is the same in webhooks
        // and in lists. What a pull state tells, `derived` makes events of.
        MirroredKind::Label
        | MirroredKind::Project
        | MirroredKind::DraftIssue
        | MirroredKind::ProjectField
        | MirroredKind::ProjectView
        | MirroredKind::ProjectItem
        | MirroredKind::PullState
        | MirroredKind::IssueLinks => None,
    }
}

/// Whether events are made of the changes of a kind.
pub(super) const fn has_events(kind: MirroredKind) -> bool {
    parts(kind).is_some()
}

/// A change that a comparison has found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FoundChange {
    /// GitHub's word for it.
    pub(super) action: &'static str,
    /// GitHub's `changes`, as far as the former state tells it.
    pub(super) changes: Value,
}

impl FoundChange {
    fn of(action: &'static str) -> Self {
        Self {
            action,
            changes: json!({}),
        }
    }
}

/// What happened to a resource that was not known before.
pub(super) fn appeared(kind: MirroredKind, listed: &Value) -> Option<FoundChange> {
    parts(kind)?;
    let is = |pointer, text: &str| listed.pointer(pointer).and_then(Value::as_str) == Some(text);
    let action = match kind {
        MirroredKind::Issue | MirroredKind::PullRequest if is("/state", "closed") => "closed",
        MirroredKind::Issue | MirroredKind::PullRequest => "opened",
        MirroredKind::Release if listed["draft"] == Value::Bool(false) => "published",
        MirroredKind::WorkflowRun => run_action(listed),
        _ => "created",
    };
    Some(FoundChange::of(action))
}

/// What happened to a resource that is no longer listed.
pub(super) fn vanished(kind: MirroredKind) -> Option<FoundChange> {
    parts(kind).map(|_| FoundChange::of("deleted"))
}

/// What happened to an issue that is in another repository now.
pub(super) fn transferred() -> FoundChange {
    FoundChange::of("transferred")
}

/// What happened between two states; `None` if nothing that an event would tell.
pub(super) fn changed(kind: MirroredKind, known: &Value, listed: &Value) -> Option<FoundChange> {
    let differs = |part: &&Part| differs(known, listed, part);
    let differing: Vec<&str> = parts(kind)?
        .iter()
        .filter(differs)
        .map(|(pointer, _)| *pointer)
        .collect();
    if differing.is_empty() {
        return None;
    }
    let has = |pointer: &str| differing.contains(&pointer);
    let now = |pointer: &str| listed.pointer(pointer).unwrap_or(&Value::Null);
    let action = match kind {
        MirroredKind::Repository => return Some(repository_change(known, listed, &differing)),
        MirroredKind::WorkflowRun => run_action(listed),
        MirroredKind::Issue | MirroredKind::PullRequest if has("/state") => {
            open_or_closed(now("/state"), "reopened")
        }
        MirroredKind::Milestone if has("/state") => open_or_closed(now("/state"), "opened"),
        MirroredKind::PullRequest if has("/head/sha") => "synchronize",
        MirroredKind::PullRequest if has("/draft") => match now("/draft") {
            Value::Bool(true) => "converted_to_draft",
            _ => "ready_for_review",
        },
        MirroredKind::Release if has("/draft") && *now("/draft") == Value::Bool(false) => {
            "published"
        }
        _ => "edited",
    };
    let mut change = FoundChange::of(action);
    for (pointer, name) in [("/title", "title"), ("/body", "body")] {
        if has(pointer) {
            change.changes[name] = json!({ "from": known.pointer(pointer) });
        }
    }
    Some(change)
}

fn open_or_closed(state: &Value, open: &'static str) -> &'static str {
    match state.as_str() {
        Some("closed") => "closed",
        _ => open,
    }
}

fn run_action(run: &Value) -> &'static str {
    match run["status"].as_str() {
        Some("completed") => "completed",
        Some("in_progress") => "in_progress",
        _ => "requested",
    }
}

fn repository_change(known: &Value, listed: &Value, differing: &[&str]) -> FoundChange {
    let has = |pointer| differing.contains(&pointer);
    if has("/owner/id") {
        let from = match known.pointer("/owner/type").and_then(Value::as_str) {
            Some("User") => "user",
            _ => "organization",
        };
        return FoundChange {
            action: "transferred",
            changes: json!({ "owner": { "from": { from: known["owner"] } } }),
        };
    }
    if has("/name") {
        return FoundChange {
            action: "renamed",
            changes: json!({ "repository": { "name": { "from": known["name"] } } }),
        };
    }
    let is = |pointer| listed.pointer(pointer) == Some(&Value::Bool(true));
    FoundChange::of(match (has("/archived"), has("/private")) {
        (true, _) if is("/archived") => "archived",
        (true, _) => "unarchived",
        (false, true) if is("/private") => "privatized",
        (false, true) => "publicized",
        (false, false) => "edited",
    })
}

/// Whether a part has changed.
fn differs(known: &Value, listed: &Value, (pointer, form): &Part) -> bool {
    let part = |object: &Value| object.pointer(pointer).cloned().unwrap_or_default();
    let (known, listed) = (part(known), part(listed));
    match form {
        Plain => without_empty(known) != without_empty(listed),
        Names(member) => names(&known, member) != names(&listed, member),
        NewNames(member) => !names(&listed, member).is_subset(&names(&known, member)),
        RunStatus => run_progress(&listed) > run_progress(&known),
    }
}

fn without_empty(part: Value) -> Value {
    if part == "" { Value::Null } else { part }
}

fn names<'v>(list: &'v Value, member: &str) -> BTreeSet<&'v str> {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    let name = |item: &'v Value| item["node_id"].as_str().or_else(|| item[member].as_str());
    items.iter().filter_map(name).collect()
}

/// How far a run has come: its attempt, and what webhooks tell of that.
fn run_progress(run: &Value) -> (u64, u8) {
    let status = match run_action(run) {
        "completed" => 2,
        "in_progress" => 1,
        _ => 0,
    };
    (run["run_attempt"].as_u64().unwrap_or(1), status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(kind: MirroredKind, known: &Value, listed: &Value) -> Option<&'static str> {
        changed(kind, known, listed).map(|change| change.action)
    }

    #[test]
    fn what_no_event_tells_is_no_change() {
        let known = json!({ "title": "t", "body": null, "comments": 1, "updated_at": "2026-11-20T10:00:00Z",
            "labels": [{ "name": "a" }, { "name": "b" }], "assignee": null });
        let listed = json!({ "title": "t", "body": "", "comments": 2, "updated_at": "2026-11-20T11:00:00Z",
            "labels": [{ "name": "b", "color": "fff" }, { "name": "a" }], "milestone": null });
        assert_eq!(changed(MirroredKind::Issue, &known, &listed), None);
    }

    #[test]
    fn a_change_has_githubs_own_word() {
        use MirroredKind::{Issue, Milestone, PullRequest, Release, WorkflowRun};
        let cases = [
            (
                Issue,
                json!({"state": "open"}),
                json!({"state": "closed"}),
                "closed",
            ),
            (
                Issue,
                json!({"state": "closed"}),
                json!({"state": "open"}),
                "reopened",
            ),
            (
                Issue,
                json!({"title": "a"}),
                json!({"title": "b"}),
                "edited",
            ),
            (
                Issue,
                json!({"labels": []}),
                json!({"labels": [{"name": "a"}]}),
                "edited",
            ),
            (
                PullRequest,
                json!({"head": {"sha": "a"}}),
                json!({"head": {"sha": "b"}}),
                "synchronize",
            ),
            (
                PullRequest,
                json!({"draft": true}),
                json!({"draft": false}),
                "ready_for_review",
            ),
            (
                PullRequest,
                json!({"draft": false}),
                json!({"draft": true}),
                "converted_to_draft",
            ),
            (
                PullRequest,
                json!({"state": "open"}),
                json!({"state": "closed", "merged_at": "t"}),
                "closed",
            ),
            (
                Milestone,
                json!({"state": "closed"}),
                json!({"state": "open"}),
                "opened",
            ),
            (
                Milestone,
                json!({"due_on": null}),
                json!({"due_on": "t"}),
                "edited",
            ),
            (
                Release,
                json!({"draft": true}),
                json!({"draft": false}),
                "published",
            ),
            (
                WorkflowRun,
                json!({"status": "queued"}),
                json!({"status": "completed"}),
                "completed",
            ),
        ];
        for (kind, known, listed, expected) in cases {
            assert_eq!(
                action(kind, &known, &listed),
                Some(expected),
                "{kind} {known} {listed}"
            );
        }
        let renamed = changed(Issue, &json!({"title": "a"}), &json!({"title": "b"})).unwrap();
        assert_eq!(renamed.changes, json!({ "title": { "from": "a" } }));
    }

    #[test]
    fn what_github_does_by_itself_is_no_change() {
        use MirroredKind::{Issue, PullRequest, WorkflowRun};
        let reviewers = |names: &[&str]| {
            let names = names
                .iter()
                .map(|name| json!({ "login": name, "node_id": format!("U_{name}") }));
            json!({ "requested_reviewers": names.collect::<Vec<_>>() })
        };
        // Who has reviewed is no longer asked to.
        assert_eq!(
            action(
                PullRequest,
                &reviewers(&["ada", "bob"]),
                &reviewers(&["ada"])
            ),
            None
        );
        assert_eq!(
            action(PullRequest, &reviewers(&["ada"]), &reviewers(&["bob"])),
            Some("edited")
        );
        // A label or a user with another name.
        let label = |name: &str| json!({ "labels": [{ "name": name, "node_id": "LA_1" }] });
        assert_eq!(action(Issue, &label("slow"), &label("performance")), None);
        let run = |status: &str, attempt: u64| json!({ "status": status, "run_attempt": attempt });
        for (before, after) in [
            ("queued", "waiting"),
            ("pending", "queued"),
            ("in_progress", "waiting"),
        ] {
            assert_eq!(
                action(WorkflowRun, &run(before, 1), &run(after, 1)),
                None,
                "{before} {after}"
            );
        }
        assert_eq!(
            action(WorkflowRun, &run("completed", 1), &run("queued", 2)),
            Some("requested")
        );
    }

    #[test]
    fn a_repository_that_moved_says_from_where() {
        let known =
            json!({ "name": "a", "owner": { "id": 1, "login": "o", "type": "Organization" } });
        let renamed = json!({ "name": "b", "owner": { "id": 1, "login": "o" } });
        let change = changed(MirroredKind::Repository, &known, &renamed).unwrap();
        assert_eq!(
            (change.action, &change.changes["repository"]["name"]["from"]),
            ("renamed", &json!("a"))
        );
        let moved = json!({ "name": "a", "owner": { "id": 2, "login": "p" } });
        let change = changed(MirroredKind::Repository, &known, &moved).unwrap();
        assert_eq!(change.action, "transferred");
        assert_eq!(
            change.changes["owner"]["from"]["organization"]["login"],
            "o"
        );
        let hidden = json!({ "name": "a", "owner": { "id": 1 }, "private": true });
        assert_eq!(
            action(MirroredKind::Repository, &known, &hidden),
            Some("privatized")
        );
    }

    #[test]
    fn what_appears_is_new_or_over_already() {
        for (kind, listed, expected) in [
            (
                MirroredKind::Issue,
                json!({"state": "open"}),
                Some("opened"),
            ),
            (
                MirroredKind::Issue,
                json!({"state": "closed"}),
                Some("closed"),
            ),
            (
                MirroredKind::Milestone,
                json!({"state": "open"}),
                Some("created"),
            ),
            (
                MirroredKind::Release,
                json!({"draft": false}),
                Some("published"),
            ),
            (
                MirroredKind::Release,
                json!({"draft": true}),
                Some("created"),
            ),
            (MirroredKind::Label, json!({"name": "a"}), None),
        ] {
            let action = appeared(kind, &listed).map(|change| change.action);
            assert_eq!(action, expected, "{kind} {listed}");
        }
        assert!(
            vanished(MirroredKind::Milestone).is_some() && vanished(MirroredKind::Label).is_none()
        );
    }
}
