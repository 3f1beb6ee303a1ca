//! The JSON of GitHub's objects, in the form given by "Webhook events and payloads" in its
//! documentation.

use model::Timestamp;
use serde_json::{Value, json};

use super::world::{GithubAccount, GithubWorld, Item, Label, Milestone, Project, Repo, Ticket};
use super::written::{ACCOUNT_URLS, REPOSITORY_URLS, avatar, extend, maybe, moment, urls};

const API: &str = "https://api.github.com";
const WEB: &str = "https://github.com";
/// Options of the project's status field: id and name.
const STATUSES: [(&str, &str, &str); 3] = [
    ("f75ad846", "Todo", "GREEN"),
    ("47fc9ee4", "In Progress", "YELLOW"),
    ("98236657", "Done", "PURPLE"),
];

/// How much detail an object is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PayloadDetail {
    /// The members that a reader needs; the resulting event is about 1 KiB.
    Lean,
    /// All members that GitHub sends.
    Full,
}

/// Renders the objects of one world as JSON.
pub(super) struct PayloadRenderer<'a> {
    pub(super) world: &'a GithubWorld,
    pub(super) detail: PayloadDetail,
    pub(super) now: Timestamp,
    /// Text in bodies and descriptions, at least this many bytes.
    pub(super) text_bytes: usize,
}

impl PayloadRenderer<'_> {
    fn full(&self) -> bool {
        self.detail == PayloadDetail::Full
    }

    fn text(&self, start: &str) -> String {
        const FILL: &str = " Seen on two machines, steps and logs are in the thread below.";
        let mut text = start.to_owned();
        while text.len() < self.text_bytes {
            text.push_str(FILL);
        }
        text
    }

    fn person(&self, at: usize) -> Value {
        account(&self.world.people[at], "User", self.detail)
    }

    pub(super) fn sender(&self, at: usize) -> Value {
        self.person(at)
    }

    /// The members that every payload of the organization's hook has.
    pub(super) fn envelope(&self, action: &str, sender: usize) -> Value {
        let organization = &self.world.organization;
        let mut org = json!({"login": organization.login, "id": organization.id,
            "node_id": organization.node_id});
        if self.full() {
            let base = format!("{API}/orgs/{}", organization.login);
            extend(
                &mut org,
                json!({"url": base, "avatar_url": avatar(organization.id),
                    "description": "We like long nights."}),
            );
            extend(
                &mut org,
                urls(
                    &base,
                    &[
                        ("repos", "/repos"),
                        ("events", "/events"),
                        ("hooks", "/hooks"),
                        ("issues", "/issues"),
                        ("members", "/members{/member}"),
                        ("public_members", "/public_members{/member}"),
                    ],
                ),
            );
        }
        let installation = self.world.installation;
        json!({
            "action": action,
            "organization": org,
            "installation": {"id": installation,
                "node_id": format!("MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9u{installation}")},
            "sender": self.sender(sender),
        })
    }

    pub(super) fn repository(&self, at: usize) -> Value {
        let repo = &self.world.repos[at];
        let full_name = self.full_name(repo);
        let mut value = json!({
            "id": repo.id, "node_id": repo.node_id, "name": repo.name, "full_name": full_name,
            "private": false,
            "owner": account(&self.world.organization, "Organization", self.detail),
            "html_url": format!("{WEB}/{full_name}"),
        });
        if self.full() {
            let base = format!("{API}/repos/{full_name}");
            extend(&mut value, urls(&base, REPOSITORY_URLS));
            extend(
                &mut value,
                json!({
                    "description": "Part of the aurora pipeline", "fork": false, "url": base,
                    "created_at": "2023-02-11T08:41:07Z", "updated_at": moment(self.now),
                    "pushed_at": moment(self.now),
                    "git_url": format!("git://github.com/{full_name}.git"),
                    "ssh_url": format!("git@github.com:{full_name}.git"),
                    "clone_url": format!("{WEB}/{full_name}.git"),
                    "svn_url": format!("{WEB}/{full_name}"),
                    "homepage": null, "size": 5120, "stargazers_count": 12, "watchers_count": 12,
                    "language": "Rust",
                    "has_issues": true, "has_projects": true, "has_downloads": true,
                    "has_wiki": false, "has_pages": false,
                    "has_discussions": false, "forks_count": 3, "mirror_url": null,
                    "archived": false, "disabled": false,
                    "open_issues_count": 17, "license": null, "allow_forking": true,
                    "is_template": false,
                    "web_commit_signoff_required": false, "topics": [], "visibility": "public",
                    "forks": 3,
                    "open_issues": 17, "watchers": 12, "default_branch": "main",
                    "custom_properties": {},
                }),
            );
        }
        value
    }

    fn full_name(&self, repo: &Repo) -> String {
        format!("{}/{}", self.world.organization.login, repo.name)
    }

    pub(super) fn label(&self, label: &Label, repo: usize) -> Value {
        let mut value = json!({"id": label.id, "node_id": label.node_id, "name": label.name,
            "color": label.color});
        if self.full() {
            let full_name = self.full_name(&self.world.repos[repo]);
            extend(
                &mut value,
                json!({
                    "url": format!("{API}/repos/{full_name}/labels/{}", label.name),
                    "default": label.name == "bug", "description": null,
                }),
            );
        }
        value
    }

    fn labels(&self, ticket: &Ticket) -> Vec<Value> {
        ticket
            .labels
            .iter()
            .map(|at| self.label(&self.world.labels[*at], ticket.repo))
            .collect()
    }

    /// The members that issues and pull requests have in common.
    fn ticket(&self, ticket: &Ticket, collection: &str) -> Value {
        let full_name = self.full_name(&self.world.repos[ticket.repo]);
        let number = ticket.number;
        let mut value = json!({
            "id": ticket.id, "node_id": ticket.node_id, "number": number, "title": ticket.title,
            "html_url": format!("{WEB}/{full_name}/{collection}/{number}"),
            "state": if ticket.is_open() { "open" } else { "closed" },
            "labels": self.labels(ticket),
            "created_at": moment(ticket.created_at), "updated_at": moment(self.now),
            "closed_at": maybe(ticket.closed_at),
        });
        if self.full() {
            let assignee = ticket.assignee.map(|at| self.person(at));
            let milestone = ticket.milestone.as_ref().map(|m| self.milestone(m));
            extend(
                &mut value,
                json!({
                    "user": self.person(ticket.author), "locked": false, "active_lock_reason": null,
                    "assignees": assignee.iter().collect::<Vec<_>>(), "assignee": assignee,
                    "milestone": milestone,
                    "author_association": "MEMBER", "comments": 0,
                    "body": self.text("It happens every time since the last release."),
                }),
            );
        } else {
            extend(
                &mut value,
                json!({"user": {"login": self.world.people[ticket.author].login}}),
            );
        }
        value
    }

    pub(super) fn issue(&self, issue: &Ticket) -> Value {
        let mut value = self.ticket(issue, "issues");
        extend(
            &mut value,
            json!({"state_reason": (!issue.is_open()).then_some("completed")}),
        );
        if self.full() {
            let repository = format!(
                "{API}/repos/{}",
                self.full_name(&self.world.repos[issue.repo])
            );
            let base = format!("{repository}/issues/{}", issue.number);
            extend(
                &mut value,
                urls(
                    &base,
                    &[
                        ("labels", "/labels{/name}"),
                        ("comments", "/comments"),
                        ("events", "/events"),
                        ("timeline", "/timeline"),
                    ],
                ),
            );
            extend(
                &mut value,
                json!({
                    "url": base, "repository_url": repository, "performed_via_github_app": null,
                    "type": null,
                    "reactions": {"url": format!("{base}/reactions"), "total_count": 0, "+1": 0,
                    "-1": 0, "laugh": 0,
                        "hooray": 0, "confused": 0, "heart": 0, "rocket": 0, "eyes": 0},
                    "sub_issues_summary": {"total": 0, "completed": 0, "percent_completed": 0},
                }),
            );
        }
        value
    }

    pub(super) fn pull_request(&self, pull: &Ticket) -> Value {
        let mut value = self.ticket(pull, "pull");
        let Some(branch) = &pull.branch else {
            return value;
        };
        extend(
            &mut value,
            json!({
                "draft": false, "merged": pull.is_merged(), "merged_at": maybe(branch.merged_at),
            }),
        );
        if !self.full() {
            return value;
        }
        let owner = &self.world.organization.login;
        let full_name = self.full_name(&self.world.repos[pull.repo]);
        let (api, page) = (
            format!("{API}/repos/{full_name}"),
            format!("{WEB}/{full_name}/pull/{}", pull.number),
        );
        let base = format!("{api}/pulls/{}", pull.number);
        let side = |name: &str, sha: &str| {
            json!({
                "label": format!("{owner}:{name}"), "ref": name, "sha": sha,
                "user": account(&self.world.organization, "Organization", self.detail),
                "repo": self.repository(pull.repo),
            })
        };
        let reviewers: Vec<Value> = branch.reviewer.iter().map(|at| self.person(*at)).collect();
        extend(
            &mut value,
            json!({
                "url": base, "diff_url": format!("{page}.diff"),
                "patch_url": format!("{page}.patch"),
                "issue_url": format!("{api}/issues/{}", pull.number),
                "commits_url": format!("{base}/commits"),
                "review_comments_url": format!("{base}/comments"),
                "review_comment_url": format!("{api}/pulls/comments{{/number}}"),
                "comments_url": format!("{api}/issues/{}/comments", pull.number),
                "statuses_url": format!("{api}/statuses/{}", branch.head_sha),
                "head": side(&branch.name, &branch.head_sha),
                "base": side("main", &branch.base_sha),
                "merge_commit_sha": pull.is_merged().then_some(&branch.head_sha),
                "requested_reviewers": reviewers, "requested_teams": [], "auto_merge": null,
                "mergeable": null, "rebaseable": null, "mergeable_state": "unknown",
                "merged_by": null,
                "review_comments": 0, "maintainer_can_modify": false, "commits": branch.commits,
                "additions": 41, "deletions": 7, "changed_files": 3,
                "_links": {"self": {"href": base}, "html": {"href": page}},
            }),
        );
        value
    }

    pub(super) fn milestone(&self, milestone: &Milestone) -> Value {
        let full_name = self.full_name(&self.world.repos[milestone.repo]);
        let number = milestone.number;
        let mut value = json!({
            "id": milestone.id, "node_id": milestone.node_id, "number": number,
            "title": milestone.title,
            "html_url": format!("{WEB}/{full_name}/milestone/{number}"),
            "state": if milestone.closed_at.is_none() { "open" } else { "closed" },
            "open_issues": 4, "closed_issues": 8, "due_on": moment(milestone.due_on),
            "created_at": moment(milestone.created_at), "updated_at": moment(self.now),
            "closed_at": maybe(milestone.closed_at),
        });
        if self.full() {
            let base = format!("{API}/repos/{full_name}/milestones/{number}");
            extend(
                &mut value,
                json!({
                    "url": base, "labels_url": format!("{base}/labels"),
                    "creator": self.person(milestone.creator),
                    "description": self.text("What has to be in before the demo."),
                }),
            );
        }
        value
    }

    pub(super) fn project(&self, project: &Project) -> Value {
        let description = self.full().then(|| self.text("Planning for the quarter."));
        json!({
            "id": project.id, "node_id": project.node_id, "number": project.number,
            "title": project.title,
            "owner": account(&self.world.organization, "Organization", self.detail),
            "creator": self.person(project.creator),
            "description": description, "short_description": project.summary, "public": false,
            "state": if project.closed_at.is_none() { "open" } else { "closed" },
            "created_at": moment(project.created_at), "updated_at": moment(self.now),
            "closed_at": maybe(project.closed_at), "deleted_at": maybe(project.deleted_at),
            "deleted_by": project.deleted_at.map(|_| self.person(project.creator)),
        })
    }

    pub(super) fn item(&self, item: &Item) -> Value {
        json!({
            "id": item.id, "node_id": item.node_id, "project_node_id": item.project,
            "content_node_id": item.content,
            "content_type": if item.is_draft { "DraftIssue" } else { "Issue" },
            "creator": self.person(item.creator),
            "created_at": moment(item.created_at), "updated_at": moment(self.now),
            "archived_at": maybe(item.archived_at),
        })
    }

    /// `changes` of an item whose status field changed.
    pub(super) fn status_change(&self, item: &Item) -> Value {
        let option = |at: usize| {
            let (id, name, color) = STATUSES[at % STATUSES.len()];
            json!({"id": id, "name": name, "color": color, "description": ""})
        };
        json!({"field_value": {
            "field_node_id": format!("PVTSSF_{}", item.project.trim_start_matches("PVT_")),
            "field_type": "single_select", "field_name": "Status",
            "project_number": item.project_number,
            "from": option(item.status.wrapping_sub(1)), "to": option(item.status),
        }})
    }

    /// `changes` of an item that was archived (or restored).
    pub(super) fn archive_change(&self, from: Option<Timestamp>, to: Option<Timestamp>) -> Value {
        json!({"archived_at": {"from": maybe(from), "to": maybe(to)}})
    }
}

/// `changes` of one field.
pub(super) fn changed_from(field: &str, from: impl Into<Value>) -> Value {
    json!({field: {"from": from.into()}})
}

/// `changes` of a due date.
pub(super) fn due_change(from: Timestamp) -> Value {
    changed_from("due_on", moment(from))
}

fn account(account: &GithubAccount, kind: &str, detail: PayloadDetail) -> Value {
    let mut value =
        json!({"login": account.login, "id": account.id, "node_id": account.node_id, "type": kind});
    if detail == PayloadDetail::Full {
        let base = format!("{API}/users/{}", account.login);
        extend(&mut value, urls(&base, ACCOUNT_URLS));
        extend(
            &mut value,
            json!({
                "avatar_url": avatar(account.id), "gravatar_id": "", "url": base,
                "html_url": format!("{WEB}/{}", account.login), "user_view_type": "public",
                "site_admin": false,
            }),
        );
    }
    value
}
