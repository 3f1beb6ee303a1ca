//! Pull requests and reviews.

use serde_json::{Value, json};

use super::{Render, extend, maybe, moment};
use crate::world::{FakePull, Mergeability, TicketKey};

impl Render<'_> {
    fn pull_of(&self, key: TicketKey) -> &FakePull {
        let pull = self.0.tickets[&key].pull.as_ref();
        pull.expect("a pull request")
    }

    fn api_pull(self, key: TicketKey) -> String {
        format!("{}/pulls/{}", self.api_repo(key.repo), key.number)
    }

    fn web_pull(self, key: TicketKey) -> String {
        format!("{}/pull/{}", self.web_repo(key.repo), key.number)
    }

    /// What an issue that is a pull request has of it.
    pub(super) fn pull_mark(self, key: TicketKey) -> Value {
        let page = self.web_pull(key);
        json!({
            "url": self.api_pull(key), "html_url": page, "diff_url": format!("{page}.diff"),
            "patch_url": format!("{page}.patch"), "merged_at": maybe(self.pull_of(key).merged_at),
        })
    }

    /// A pull request as in lists.
    pub(crate) fn listed_pull(self, key: TicketKey) -> Value {
        let pull = self.pull_of(key);
        let (api, page) = (self.api_repo(key.repo), self.web_pull(key));
        let (base, issue) = (self.api_pull(key), self.api_issue(key));
        let statuses = format!("{api}/statuses/{}", pull.head_sha);
        let reviewers: Vec<_> = pull.requested.keys().map(|it| self.account(*it)).collect();
        let mut value = self.ticket(key);
        if let Value::Object(members) = &mut value {
            members.remove("comments");
        }
        extend(
            &mut value,
            json!({
                "id": pull.id, "url": base, "html_url": page, "diff_url": format!("{page}.diff"),
                "patch_url": format!("{page}.patch"), "issue_url": issue,
                "commits_url": format!("{base}/commits"),
                "review_comments_url": format!("{base}/comments"),
                "review_comment_url": format!("{api}/pulls/comments{{/number}}"),
                "comments_url": format!("{issue}/comments"), "statuses_url": statuses,
                "head": self.side(key, &pull.head, &pull.head_sha),
                "base": self.side(key, &pull.base, &pull.base_sha),
                "merge_commit_sha": pull.merged_at.map(|_| &pull.head_sha),
                "merged_at": maybe(pull.merged_at), "draft": pull.draft, "auto_merge": null,
                "requested_reviewers": reviewers, "requested_teams": [],
                "_links": {
                    "self": {"href": base}, "html": {"href": page}, "issue": {"href": issue},
                    "comments": {"href": format!("{issue}/comments")},
                    "review_comments": {"href": format!("{base}/comments")},
                    "review_comment": {"href": format!("{api}/pulls/comments{{/number}}")},
                    "commits": {"href": format!("{base}/commits")}, "statuses": {"href": statuses},
                },
            }),
        );
        value
    }

    /// A pull request by itself and in payloads.
    pub(crate) fn pull(self, key: TicketKey) -> Value {
        let pull = self.pull_of(key);
        let mut value = self.listed_pull(key);
        let (mergeable, state) = match (pull.mergeability, pull.draft) {
            (Mergeability::Unknown, _) => (None, "unknown"),
            (Mergeability::Conflicting, _) => (Some(false), "dirty"),
            (Mergeability::Clean, true) => (Some(true), "draft"),
            (Mergeability::Clean, false) => (Some(true), "clean"),
        };
        let comments = self.0.comments.values().filter(|it| it.on == key).count();
        extend(
            &mut value,
            json!({
                "merged": pull.merged_at.is_some(), "mergeable": mergeable, "rebaseable": mergeable,
                "mergeable_state": state, "merged_by": self.maybe_account(pull.merged_by),
                "comments": comments, "review_comments": 0, "maintainer_can_modify": false,
                "commits": pull.commits, "additions": 41, "deletions": 7, "changed_files": 3,
            }),
        );
        value
    }

    fn side(self, key: TicketKey, branch: &str, sha: &str) -> Value {
        let owner = self.0.repos[&key.repo].owner;
        json!({
            "label": format!("{}:{branch}", self.0.accounts[&owner].login), "ref": branch,
            "sha": sha, "user": self.account(owner), "repo": self.repo(key.repo),
        })
    }

    /// A review.
    pub(crate) fn review(self, id: u64) -> Value {
        let review = &self.0.reviews[&id];
        let url = self.api_pull(review.on);
        let page = format!("{}#pullrequestreview-{id}", self.web_pull(review.on));
        json!({
            "id": id, "node_id": review.node_id, "user": self.account(review.author),
            "body": review.body, "state": review.state.name(), "html_url": page,
            "pull_request_url": url, "author_association": "MEMBER",
            "_links": {"html": {"href": page}, "pull_request": {"href": url}},
            "submitted_at": moment(review.submitted_at), "commit_id": review.commit,
        })
    }

    /// A review in a payload, where its state is in small letters.
    pub(crate) fn hook_review(self, id: u64) -> Value {
        let mut value = self.review(id);
        let review = &self.0.reviews[&id];
        value["state"] = review.state.name().to_lowercase().into();
        value["updated_at"] = moment(review.submitted_at).into();
        value
    }

    /// Who was asked for a review.
    pub(crate) fn requested_reviewers(self, key: TicketKey) -> Value {
        let users = self.pull_of(key).requested.keys();
        let users: Vec<_> = users.map(|it| self.account(*it)).collect();
        json!({ "users": users, "teams": [] })
    }
}
