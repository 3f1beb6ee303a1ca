//! Issues, pull requests, comments and reviews.

use std::collections::BTreeMap;

use apollo_compiler::resolvers::{ObjectValue, ResolveInfo};
use serde_json::Value;

use super::{
    arguments::words,
    thing::{Resolved, Thing, What, leaf, time},
};
use crate::world::{
    AccountKey, FakeItemContent, FakePull, FakeReviewState, FakeTicket, Mergeability, TicketKey,
};

impl<'w> Thing<'w> {
    pub(super) fn ticket<'a>(&'a self, key: TicketKey, info: &'a ResolveInfo<'a>) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let ticket = &world.tickets[&key];
        let place = if ticket.pull.is_some() {
            "pull"
        } else {
            "issues"
        };
        match info.field_name() {
            "id" => leaf(ticket.node_id.clone()),
            // Too large for the 32 bits of this member, as on github.com.
            "databaseId" => leaf(Value::Null),
            "fullDatabaseId" => leaf(
                ticket
                    .pull
                    .as_ref()
                    .map_or(ticket.id, |pull| pull.id)
                    .to_string(),
            ),
            "number" => leaf(key.number),
            "title" => leaf(ticket.title.clone()),
            "body" | "bodyText" => leaf(ticket.body.clone().unwrap_or_default()),
            "createdAt" => time(ticket.created_at),
            "updatedAt" => time(ticket.updated_at),
            "closedAt" => time(ticket.closed_at),
            "closed" => leaf(ticket.closed_at.is_some()),
            "locked" => leaf(false),
            "url" => leaf(format!(
                "{}/{}/{place}/{}",
                world.web,
                world.full_name(key.repo),
                key.number
            )),
            "author" => self.object(What::Account(ticket.author)),
            "authorAssociation" => leaf("MEMBER"),
            "repository" => self.object(What::Repo(key.repo)),
            "milestone" => self.object(ticket.milestone.map(What::Milestone)),
            "assignees" => {
                let all = ticket
                    .assignees
                    .iter()
                    .map(|it| ((0, it.0), What::Account(*it)));
                self.page(info, ["UserConnection", "UserEdge"], all.collect())
            }
            "labels" => {
                let all = ticket.labels.iter().map(|id| ((0, *id), What::Label(*id)));
                self.page(info, ["LabelConnection", "LabelEdge"], all.collect())
            }
            "comments" => {
                let all = world.comments.values().filter(|it| it.on == key);
                let all = all.map(|it| ((0, it.id), What::Comment(it.id)));
                self.page(
                    info,
                    ["IssueCommentConnection", "IssueCommentEdge"],
                    all.collect(),
                )
            }
            "projectItems" => {
                let content = FakeItemContent::Ticket(key);
                let all = world.items.iter().filter(|(_, it)| it.content == content);
                let all = all.map(|(item, it)| ((0, it.id), What::Item(*item)));
                self.page(
                    info,
                    ["ProjectV2ItemConnection", "ProjectV2ItemEdge"],
                    all.collect(),
                )
            }
            _ => match &ticket.pull {
                Some(pull) => self.pull(key, (ticket, pull), info),
                None => self.issue(key, ticket, info),
            },
        }
    }

    fn issue<'a>(
        &'a self,
        key: TicketKey,
        ticket: &'w FakeTicket,
        info: &'a ResolveInfo<'a>,
    ) -> Resolved<'a>
    where
        'w: 'a,
    {
        match info.field_name() {
            "state" => leaf(if ticket.closed_at.is_some() {
                "CLOSED"
            } else {
                "OPEN"
            }),
            "stateReason" => leaf(ticket.state_reason.map(str::to_uppercase)),
            "parent" => self.object(ticket.parent.map(What::Ticket)),
            "subIssues" => {
                let all = ticket.sub_issues.iter().zip(0_u64..);
                let all = all.map(|(part, at)| ((0, at), What::Ticket(*part)));
                self.page(info, ["IssueConnection", "IssueEdge"], all.collect())
            }
            "subIssuesSummary" => self.object(What::Parts(key)),
            _ => Err(self.unknown_field_error(info)),
        }
    }

    pub(super) fn parts<'a>(&self, key: TicketKey, name: &str) -> Resolved<'a> {
        let world = self.world();
        let parts = &world.tickets[&key].sub_issues;
        let is_done = |it: &&TicketKey| world.tickets[*it].closed_at.is_some();
        let done = parts.iter().filter(is_done).count();
        match name {
            "total" => leaf(parts.len()),
            "completed" => leaf(done),
            _ => leaf((done * 100).checked_div(parts.len()).unwrap_or(0)),
        }
    }

    fn pull<'a>(
        &'a self,
        key: TicketKey,
        (ticket, pull): (&'w FakeTicket, &'w FakePull),
        info: &'a ResolveInfo<'a>,
    ) -> Resolved<'a>
    where
        'w: 'a,
    {
        match info.field_name() {
            "state" => leaf(match (pull.merged_at, ticket.closed_at) {
                (Some(_), _) => "MERGED",
                (None, Some(_)) => "CLOSED",
                (None, None) => "OPEN",
            }),
            "merged" => leaf(pull.merged_at.is_some()),
            "mergedAt" => time(pull.merged_at),
            "mergedBy" => self.object(pull.merged_by.map(What::Account)),
            "isDraft" => leaf(pull.draft),
            "mergeable" => leaf(match pull.mergeability {
                Mergeability::Unknown => "UNKNOWN",
                Mergeability::Clean => "MERGEABLE",
                Mergeability::Conflicting => "CONFLICTING",
            }),
            "mergeStateStatus" => leaf(match pull.mergeability {
                Mergeability::Unknown => "UNKNOWN",
                Mergeability::Clean => "CLEAN",
                Mergeability::Conflicting => "DIRTY",
            }),
            "headRefName" => leaf(pull.head.clone()),
            "baseRefName" => leaf(pull.base.clone()),
            "headRefOid" => leaf(pull.head_sha.clone()),
            "baseRefOid" => leaf(pull.base_sha.clone()),
            "isCrossRepository" => leaf(false),
            "additions" => leaf(41),
            "deletions" => leaf(7),
            "changedFiles" => leaf(3),
            "reviewDecision" => self.decision(key, pull),
            "reviews" | "latestReviews" | "latestOpinionatedReviews" => self.reviews(key, info),
            "reviewRequests" => {
                let all = pull.requested.iter();
                let all = all.map(|(from, at)| {
                    ((at.unix_millis(), from.0), What::ReviewRequest(key, *from))
                });
                self.page(
                    info,
                    ["ReviewRequestConnection", "ReviewRequestEdge"],
                    all.collect(),
                )
            }
            "timelineItems" => self.timeline(key, pull, info),
            "statusCheckRollup" => self.rollup_of(key.repo, &pull.head_sha),
            "commits" => {
                let all = vec![((0, 0), What::PullCommit(key.repo, pull.head_sha.clone()))];
                self.page(
                    info,
                    ["PullRequestCommitConnection", "PullRequestCommitEdge"],
                    all,
                )
            }
            _ => Err(self.unknown_field_error(info)),
        }
    }

    fn reviews<'a>(&self, key: TicketKey, info: &'a ResolveInfo<'a>) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let states = words(info, "states");
        let wanted = |state: FakeReviewState| {
            states
                .as_ref()
                .is_none_or(|all| all.contains(&state.name()))
        };
        let all = world
            .reviews
            .values()
            .filter(|it| it.on == key && wanted(it.state));
        let mut all: Vec<_> = all.collect();
        if info.field_name() == "latestOpinionatedReviews" {
            all.retain(|it| it.state != FakeReviewState::Commented);
        }
        if info.field_name() != "reviews" {
            // The newest of everybody: ids rise with time.
            let newest: BTreeMap<_, _> = all.iter().map(|it| (it.author, it.id)).collect();
            all.retain(|it| newest[&it.author] == it.id);
        }
        let all = all.into_iter().map(|it| ((0, it.id), What::Review(it.id)));
        let names = ["PullRequestReviewConnection", "PullRequestReviewEdge"];
        self.page(info, names, all.collect())
    }

    /// Of all that happens to a pull request, the requests for reviews.
    fn timeline<'a>(
        &self,
        key: TicketKey,
        pull: &'w FakePull,
        info: &'a ResolveInfo<'a>,
    ) -> Resolved<'a>
    where
        'w: 'a,
    {
        let types = words(info, "itemTypes");
        let is_asked = types.is_none_or(|all| all.contains(&"REVIEW_REQUESTED_EVENT"));
        let requests = pull.review_requests.iter().enumerate();
        let all = requests.filter(|_| is_asked).map(|(at, (_, asked_at))| {
            let place = (asked_at.unix_millis(), at as u64);
            (place, What::ReviewRequested(key, at))
        });
        let names = [
            "PullRequestTimelineItemsConnection",
            "PullRequestTimelineItemsEdge",
        ];
        self.page(info, names, all.collect())
    }

    pub(super) fn review_requested<'a>(&self, key: TicketKey, at: usize, name: &str) -> Resolved<'a>
    where
        'w: 'a,
    {
        let pull = self.world().tickets[&key].pull.as_ref();
        let (from, asked_at) = pull.expect("a pull request").review_requests[at];
        match name {
            "createdAt" => time(asked_at),
            "requestedReviewer" => self.object(What::Account(from)),
            _ => leaf(crate::keys::node_id(
                "RRE",
                (key.number << 32) ^ from.0 ^ at as u64,
            )),
        }
    }

    fn decision<'a>(&self, key: TicketKey, pull: &FakePull) -> Resolved<'a> {
        let mut newest = BTreeMap::new();
        for review in self.world().reviews.values().filter(|it| it.on == key) {
            if review.state != FakeReviewState::Commented {
                newest.insert(review.author, review.state);
            }
        }
        let any = |state| newest.values().any(|it| *it == state);
        leaf(if any(FakeReviewState::ChangesRequested) {
            Some("CHANGES_REQUESTED")
        } else if any(FakeReviewState::Approved) {
            Some("APPROVED")
        } else {
            (!pull.requested.is_empty()).then_some("REVIEW_REQUIRED")
        })
    }

    pub(super) fn comment<'a>(&self, id: u64, name: &str) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let it = &world.comments[&id];
        match name {
            "id" => leaf(it.node_id.clone()),
            "databaseId" => leaf(Value::Null),
            "body" => leaf(it.body.clone()),
            "author" => self.object(What::Account(it.author)),
            "createdAt" => time(it.created_at),
            "updatedAt" => time(it.updated_at),
            _ => leaf(world.render().comment(id)["html_url"].clone()),
        }
    }

    pub(super) fn review<'a>(&self, id: u64, name: &str) -> Resolved<'a>
    where
        'w: 'a,
    {
        let world = self.world();
        let it = &world.reviews[&id];
        match name {
            "id" => leaf(it.node_id.clone()),
            "databaseId" => leaf(Value::Null),
            "fullDatabaseId" => leaf(id.to_string()),
            "state" => leaf(it.state.name()),
            "body" => leaf(it.body.clone()),
            "author" => self.object(What::Account(it.author)),
            "authorAssociation" => leaf("MEMBER"),
            "submittedAt" | "createdAt" | "updatedAt" => time(it.submitted_at),
            "commit" => self.object(What::Commit(it.on.repo, it.commit.clone())),
            _ => leaf(world.render().review(id)["html_url"].clone()),
        }
    }

    pub(super) fn review_request<'a>(
        &self,
        key: TicketKey,
        from: AccountKey,
        name: &str,
    ) -> Resolved<'a>
    where
        'w: 'a,
    {
        match name {
            "requestedReviewer" => self.object(What::Account(from)),
            "asCodeOwner" => leaf(false),
            "id" => leaf(crate::keys::node_id("RR", (key.number << 32) ^ from.0)),
            _ => leaf(Value::Null),
        }
    }
}
