//! Pull requests: branches, reviews, and whether they can be merged.

use std::collections::BTreeMap;

use model::Timestamp;
use serde_json::json;

use super::{FakeWorld, emit::Happening};
use crate::keys::{AccountKey, NodeKey, RepoKey, TicketKey};

/// Whether a pull request can be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mergeability {
    /// GitHub has not found out yet: it does when it is asked for the pull request.
    Unknown,
    /// Without conflicts.
    Clean,
    /// Its base moved, and it conflicts with it.
    Conflicting,
}

/// What a pull request has besides an issue's members.
#[derive(Debug, Clone)]
pub struct FakePull {
    /// Database id as a pull request.
    pub id: u64,
    /// The branch that it brings.
    pub head: String,
    /// Its newest commit.
    pub head_sha: String,
    /// The branch that it goes into.
    pub base: String,
    /// The commit of the base that it stands on.
    pub base_sha: String,
    /// Whether it is a draft.
    pub draft: bool,
    /// Number of its commits.
    pub commits: u64,
    /// Whether it can be merged, as GitHub knows now.
    pub mergeability: Mergeability,
    /// What GitHub will find out.
    pub(crate) conflicts: bool,
    /// Who was asked for a review, and when.
    pub requested: BTreeMap<AccountKey, Timestamp>,
    /// All requests for a review that there were, oldest first.
    pub review_requests: Vec<(AccountKey, Timestamp)>,
    /// When it was merged.
    pub merged_at: Option<Timestamp>,
    /// Who merged it.
    pub merged_by: Option<AccountKey>,
}

/// A review's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FakeReviewState {
    /// It can be merged.
    Approved,
    /// It cannot be merged as it is.
    ChangesRequested,
    /// Neither.
    Commented,
}

impl FakeReviewState {
    /// REST's and GraphQL's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Approved => "APPROVED",
            Self::ChangesRequested => "CHANGES_REQUESTED",
            Self::Commented => "COMMENTED",
        }
    }
}

/// A review.
#[derive(Debug, Clone)]
pub struct FakeReview {
    /// Of which pull request.
    pub on: TicketKey,
    /// Database id.
    pub id: u64,
    /// Node id.
    pub node_id: String,
    /// Who wrote it.
    pub author: AccountKey,
    /// The verdict.
    pub state: FakeReviewState,
    /// Text.
    pub body: String,
    /// The commit that was looked at.
    pub commit: String,
    /// When it was submitted.
    pub submitted_at: Timestamp,
}

impl FakeWorld {
    /// Opens a pull request of a branch into another; the branch is created if it does not exist.
    ///
    /// # Panics
    /// There is no such repository, or it has no such base.
    pub fn open_pull(&mut self, repo: RepoKey, title: &str, [head, base]: [&str; 2]) -> TicketKey {
        let existing = self.repos[&repo].branches.get(head).cloned();
        let head_sha = existing.unwrap_or_else(|| self.add_branch(repo, head));
        let base_sha = self.repos[&repo].branches[base].clone();
        let pull = FakePull {
            id: self.fresh_id(),
            head: head.to_owned(),
            head_sha,
            base: base.to_owned(),
            base_sha,
            draft: false,
            commits: 1,
            mergeability: Mergeability::Unknown,
            conflicts: false,
            requested: BTreeMap::new(),
            review_requests: Vec::new(),
            merged_at: None,
            merged_by: None,
        };
        let key = self.add_ticket(repo, title, "PR", Some(pull));
        self.emit(self.ticket_happening("opened", key));
        key
    }

    pub(crate) fn pull_mut(&mut self, key: TicketKey) -> &mut FakePull {
        let ticket = self.tickets.get_mut(&key).expect("a key of this world");
        ticket.pull.as_mut().expect("a pull request")
    }

    /// The newest commit of a pull request.
    ///
    /// # Panics
    /// It is no pull request of this world.
    #[must_use]
    pub fn head_of(&self, key: TicketKey) -> String {
        let pull = self.tickets[&key].pull.as_ref();
        pull.expect("a pull request").head_sha.clone()
    }

    /// Adds a commit to the branch of a pull request.
    ///
    /// # Panics
    /// As below: it is no pull request of this world.
    pub fn push(&mut self, key: TicketKey) -> String {
        let after = self.fresh_sha();
        self.touch(key);
        let pull = self.pull_mut(key);
        pull.commits += 1;
        pull.mergeability = Mergeability::Unknown;
        let before = std::mem::replace(&mut pull.head_sha, after.clone());
        let head = pull.head.clone();
        self.repo_mut(key.repo).branches.insert(head, after.clone());
        let pushed = self.ticket_happening("synchronize", key);
        self.emit(
            pushed
                .with("before", before.into())
                .with("after", after.clone().into()),
        );
        after
    }

    /// Merges the base into the branch of a pull request, which conflicts with it no more.
    ///
    /// # Panics
    /// It is no pull request of this world.
    pub fn take_in_base(&mut self, key: TicketKey) -> String {
        self.pull_mut(key).conflicts = false;
        self.push(key)
    }

    /// Moves a branch forward. Pull requests into it are to be looked at anew; those named conflict from now on.
    /// Their `updated_at` stays: GitHub sends nothing about them, either.
    pub fn move_base(&mut self, repo: RepoKey, branch: &str, conflicting: &[TicketKey]) {
        let (after, now) = (self.fresh_sha(), self.now());
        let of = self.repo_mut(repo);
        of.pushed_at = now;
        let before = of.branches.insert(branch.to_owned(), after.clone());
        for (key, ticket) in &mut self.tickets {
            let Some(pull) = ticket.pull.as_mut().filter(|pull| pull.base == branch) else {
                continue;
            };
            if key.repo == repo && ticket.closed_at.is_none() {
                pull.mergeability = Mergeability::Unknown;
                pull.conflicts |= conflicting.contains(key);
            }
        }
        self.tell_push(
            repo,
            branch,
            &before.unwrap_or_else(|| "0".repeat(40)),
            &after,
        );
    }

    /// What asking for a pull request makes GitHub find out.
    pub(crate) fn find_out_mergeability(&mut self, key: TicketKey) {
        let Some(ticket) = self.tickets.get_mut(&key) else {
            return;
        };
        if let Some(pull) = ticket.pull.as_mut().filter(|pull| pull.merged_at.is_none()) {
            let found = if pull.conflicts {
                Mergeability::Conflicting
            } else {
                Mergeability::Clean
            };
            pull.mergeability = found;
        }
    }

    /// Asks for a review.
    pub fn request_review(&mut self, key: TicketKey, from: AccountKey) {
        let now = self.now();
        self.touch(key);
        let pull = self.pull_mut(key);
        pull.requested.insert(from, now);
        pull.review_requests.push((from, now));
        let reviewer = self.render().account(from);
        let asked = self.ticket_happening("review_requested", key);
        self.emit(asked.with("requested_reviewer", reviewer));
    }

    /// Takes a request for a review back.
    pub fn withdraw_request(&mut self, key: TicketKey, from: AccountKey) {
        self.touch(key);
        self.pull_mut(key).requested.remove(&from);
        let reviewer = self.render().account(from);
        let taken_back = self.ticket_happening("review_request_removed", key);
        self.emit(taken_back.with("requested_reviewer", reviewer));
    }

    /// Submits a review as whoever acts; a request to them is answered by it.
    pub fn review(&mut self, on: TicketKey, state: FakeReviewState, body: &str) -> u64 {
        let (id, now, author) = (self.fresh_id(), self.now(), self.actor());
        self.touch(on);
        let pull = self.pull_mut(on);
        pull.requested.remove(&author);
        let commit = pull.head_sha.clone();
        let review = FakeReview {
            on,
            id,
            node_id: self.named("PRR", id, NodeKey::Review(id)),
            author,
            state,
            body: body.to_owned(),
            commit,
            submitted_at: now,
        };
        self.reviews.insert(id, review);
        let render = self.render();
        let happening = Happening::new("pull_request_review", "submitted", on.repo)
            .about(&self.reviews[&id].node_id, on.number)
            .with("review", render.hook_review(id))
            .with("pull_request", render.pull(on));
        self.emit(happening);
        id
    }

    /// Merges a pull request: its base moves.
    pub fn merge(&mut self, key: TicketKey) {
        let (now, actor) = (self.now(), self.actor());
        self.put_closed(key, true);
        let pull = self.pull_mut(key);
        pull.merged_at = Some(now);
        pull.merged_by = Some(actor);
        pull.mergeability = Mergeability::Unknown;
        let base = pull.base.clone();
        self.emit(self.ticket_happening("closed", key));
        self.move_base(key.repo, &base, &[]);
    }

    /// Makes it a draft, or ready for review.
    pub fn set_draft(&mut self, key: TicketKey, is_draft: bool) {
        self.touch(key);
        self.pull_mut(key).draft = is_draft;
        let action = if is_draft {
            "converted_to_draft"
        } else {
            "ready_for_review"
        };
        self.emit(self.ticket_happening(action, key));
    }

    fn tell_push(&mut self, repo: RepoKey, branch: &str, before: &str, after: &str) {
        let actor = self.accounts[&self.actor()].login.clone();
        let compare = format!(
            "{}/{}/compare/{before}...{after}",
            self.web,
            self.full_name(repo)
        );
        let commit = self.render().push_commit(repo, after);
        let happening = Happening::new("push", "", repo)
            .with("ref", format!("refs/heads/{branch}").into())
            .with("before", before.into())
            .with("after", after.into())
            .with("created", false.into())
            .with("deleted", false.into())
            .with("forced", false.into())
            .with("base_ref", serde_json::Value::Null)
            .with("compare", compare.into())
            .with("commits", json!([commit.clone()]))
            .with("head_commit", commit)
            .with("repository", self.render().pushed_repo(repo))
            .with(
                "pusher",
                json!({ "name": actor, "email": format!("{actor}@example.com") }),
            );
        self.emit(happening);
    }
}
