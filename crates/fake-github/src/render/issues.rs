//! Issues, comments and types.

use serde_json::{Value, json};

use super::{Render, extend, maybe, moment, urls};
use crate::world::{FakeIssueType, TicketKey};

const ISSUE_URLS: &[(&str, &str)] = &[
    ("labels", "/labels{/name}"),
    ("comments", "/comments"),
    ("events", "/events"),
    ("timeline", "/timeline"),
];

impl Render<'_> {
    /// The members that issues and pull requests have in common.
    pub(super) fn ticket(self, key: TicketKey) -> Value {
        let ticket = &self.0.tickets[&key];
        let assignees: Vec<_> = ticket
            .assignees
            .iter()
            .map(|it| self.account(*it))
            .collect();
        let labels: Vec<_> = ticket.labels.iter().map(|it| self.label(*it)).collect();
        let comments = self.0.comments.values().filter(|it| it.on == key).count();
        json!({
            "node_id": ticket.node_id, "number": key.number, "title": ticket.title,
            "user": self.account(ticket.author), "labels": labels, "comments": comments,
            "state": if ticket.closed_at.is_some() { "closed" } else { "open" },
            "locked": false, "active_lock_reason": null, "assignee": assignees.first(),
            "assignees": assignees,
            "milestone": ticket.milestone.map(|it| self.milestone(it)),
            "created_at": moment(ticket.created_at), "updated_at": moment(ticket.updated_at),
            "closed_at": maybe(ticket.closed_at), "author_association": "MEMBER",
            "body": ticket.body,
        })
    }

    /// An issue; a pull request in the form of one.
    pub(crate) fn issue(self, key: TicketKey) -> Value {
        let ticket = &self.0.tickets[&key];
        let base = self.api_issue(key);
        let place = if ticket.pull.is_some() {
            "pull"
        } else {
            "issues"
        };
        let mut value = self.ticket(key);
        extend(&mut value, urls(&base, ISSUE_URLS));
        extend(
            &mut value,
            json!({
                "id": ticket.id, "url": base, "repository_url": self.api_repo(key.repo),
                "html_url": format!("{}/{place}/{}", self.web_repo(key.repo), key.number),
                "state_reason": ticket.state_reason, "performed_via_github_app": null,
                "reactions": reactions(&base),
            }),
        );
        if ticket.pull.is_some() {
            value["draft"] = ticket.pull.as_ref().is_some_and(|it| it.draft).into();
            value["pull_request"] = self.pull_mark(key);
            return value;
        }
        let parts = ticket.sub_issues.len();
        let is_done = |it: &&TicketKey| self.0.tickets[*it].closed_at.is_some();
        let done = ticket.sub_issues.iter().filter(is_done).count();
        let is_open = |it: &TicketKey| self.0.tickets[it].closed_at.is_none();
        let blocked = ticket.blocked_by.iter();
        let blocking: Vec<_> = self.0.blocking(key).collect();
        extend(
            &mut value,
            json!({
                "type": ticket.kind.map(|kind| self.issue_type(kind)),
                "sub_issues_summary": {"total": parts, "completed": done,
                    "percent_completed": (done * 100).checked_div(parts).unwrap_or(0)},
                "issue_dependencies_summary": {
                    "blocked_by": blocked.filter(|it| is_open(it)).count(),
                    "total_blocked_by": ticket.blocked_by.len(),
                    "blocking": blocking.iter().filter(|it| is_open(it)).count(),
                    "total_blocking": blocking.len()},
            }),
        );
        if let Some(parent) = ticket.parent {
            value["parent_issue_url"] = self.api_issue(parent).into();
        }
        value
    }

    /// An issue by itself: with who closed it.
    pub(crate) fn whole_issue(self, key: TicketKey) -> Value {
        let mut value = self.issue(key);
        value["closed_by"] = self.maybe_account(self.0.tickets[&key].closed_by);
        value
    }

    /// A type of issues. Its id is that of its name, the same in all worlds.
    pub(crate) fn issue_type(self, kind: FakeIssueType) -> Value {
        let (name, color) = kind.words();
        let id = 1_100_000 + kind as u64;
        json!({
            "id": id, "node_id": crate::keys::node_id("IT", id), "name": name,
            "description": null, "color": color, "created_at": "2025-01-01T00:00:00Z",
            "updated_at": "2025-01-01T00:00:00Z", "is_enabled": true,
        })
    }

    /// A comment.
    pub(crate) fn comment(self, id: u64) -> Value {
        let comment = &self.0.comments[&id];
        let (on, repo) = (comment.on, comment.on.repo);
        let is_pull = self.0.tickets[&on].pull.is_some();
        let place = if is_pull { "pull" } else { "issues" };
        let url = format!("{}/issues/comments/{id}", self.api_repo(repo));
        let page = format!("{}/{place}/{}", self.web_repo(repo), on.number);
        json!({
            "id": id, "node_id": comment.node_id, "url": url, "body": comment.body,
            "html_url": format!("{page}#issuecomment-{id}"), "issue_url": self.api_issue(on),
            "user": self.account(comment.author), "created_at": moment(comment.created_at),
            "updated_at": moment(comment.updated_at), "author_association": "MEMBER",
            "performed_via_github_app": null, "reactions": reactions(&url),
        })
    }
}

fn reactions(base: &str) -> Value {
    json!({
        "url": format!("{base}/reactions"), "total_count": 0, "+1": 0, "-1": 0, "laugh": 0,
        "hooray": 0, "confused": 0, "heart": 0, "rocket": 0, "eyes": 0,
    })
}
