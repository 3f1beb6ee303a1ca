//! `search_issues` and `search_pull_requests`: in a repository, or in all of an owner.

use async_trait::async_trait;
use mcp::{
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{
    CallError, Caller, Policy, answer_size::RESULT_SIZE_HINT, arguments::Arguments, tool::Tool,
};
use ports::{MirrorListing, MirrorOrder, MirroredKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::methods::{POLICY, listing};
use crate::{
    inputs::{ListPageRequest, OwnerInput, PageInput, RepositoryPlace, SizeInput, choice},
    items::{CONVERSATION, MILESTONE, conversation},
    limits::MAX_ITEM_BYTES,
    mirror::MirrorAccess,
    output::{ListOutput, answer_list},
    page_reader::PageQuestion,
    search::read_query,
};

/// The tool's own input.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(rename = "Input", extend("required" = ["query"]))]
struct SearchInput {
    /// Words, each of which has to be in the title or the text, and qualifiers: repo:owner/name, org:, user:, is:open,
    /// is:closed, label:, assignee:, no:assignee, author:, milestone: (title or number), updated:>=2026-11-01; of pull
    /// requests is:merged and base:, too. All have to match; others are refused.
    query: Option<String>,
    /// created (default) or updated.
    sort: Option<String>,
    /// desc (default) or asc.
    order: Option<String>,
}

/// The tool.
pub(crate) struct SearchIssues {
    mirror: MirrorAccess,
    kind: MirroredKind,
}

impl SearchIssues {
    pub(crate) fn of_issues(mirror: MirrorAccess) -> Self {
        Self {
            mirror,
            kind: MirroredKind::Issue,
        }
    }

    pub(crate) fn of_pull_requests(mirror: MirrorAccess) -> Self {
        Self {
            mirror,
            kind: MirroredKind::PullRequest,
        }
    }

    /// The number of the milestone with this title, which is not compared by case.
    async fn milestone(
        &self,
        caller: &Caller,
        place: &RepositoryPlace,
        title: &str,
    ) -> Result<u64, CallError> {
        let wrong = |reason: &str| {
            let reason = format!("milestone:{title}: {reason}");
            CallError::from(InputError::new("query", &reason))
        };
        if place.repo.is_none() {
            return Err(wrong("a title is one of a repository; add repo:owner/name"));
        }
        let page = ListPageRequest {
            items: 1,
            after: None,
        };
        let question = PageQuestion {
            listing: listing(MirroredKind::Milestone, place, &page),
            max_items: 1,
            max_bytes: MAX_ITEM_BYTES,
            selection: &MILESTONE,
            is_selective: true,
            // All that is needed of it.
            show: &|state, picked| {
                let known = picked["title"].as_str()?;
                let is_it = known.to_lowercase() == title.to_lowercase();
                is_it.then(|| state.address.number.to_string())
            },
        };
        let found = self.mirror.read_page(caller, &question).await?;
        let number = found.items.first().and_then(|item| item.get().parse().ok());
        number.ok_or_else(|| wrong("no milestone of this title is known; use its number"))
    }

    const fn name(&self) -> &'static str {
        match self.kind {
            MirroredKind::PullRequest => "search_pull_requests",
            _ => "search_issues",
        }
    }
}

#[async_trait]
impl Tool for SearchIssues {
    fn descriptor(&self) -> ToolDescriptor {
        let (title, description) = match self.kind {
            MirroredKind::PullRequest => (
                "Search pull requests",
                "Use this to find GitHub pull requests by words, author, labels, milestone, base branch or state, in one \
                 repository or in all of an owner; say where with repo: or org: in the query, or with owner and repo. \
                 Each item has number, repository, title, state, author, branches, updatedAt and url; pull_request_read \
                 has one whole. Answered from a mirror, without a call to GitHub; asOf says how new it is at least.",
            ),
            _ => (
                "Search issues",
                "Use this to find GitHub issues by words, author, assignee, labels, milestone or state, in one repository \
                 or in all of an owner; say where with repo: or org: in the query, or with owner and repo. Each item has \
                 number, repository, title, state, author, labels, updatedAt and url; issue_read has one whole. Answered \
                 from a mirror, without a call to GitHub; asOf says how new it is at least.",
            ),
        };
        ToolDescriptor::new::<SearchInput>(
            self.name(),
            title,
            description,
            ToolAnnotations::read_only(),
        )
        .with_more_input::<OwnerInput>()
        .with_more_input::<PageInput>()
        .with_more_input::<SizeInput>()
        .with_output::<ListOutput>()
        .with_meta(RESULT_SIZE_HINT)
    }

    fn policy(&self) -> Policy {
        POLICY
    }

    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError> {
        let mut arguments = Arguments::of(call)?;
        let given = arguments.take::<OwnerInput>()?;
        let page = arguments.take::<PageInput>()?.request()?;
        let size = arguments.take::<SizeInput>()?;
        let input: SearchInput = arguments.rest()?;
        let (order, descending) = input.order()?;
        let query = input.query.as_deref().unwrap_or_default();
        let mut query = read_query(query, self.kind)?;
        let place = one_place(given.place()?, query.place)?;
        if let Some(title) = &query.milestone_title {
            let number = self.milestone(caller, &place, title).await?;
            query.filter.milestone = Some(number);
        }
        let question = PageQuestion {
            listing: MirrorListing {
                filter: query.filter,
                order,
                descending,
                ..listing(self.kind, &place, &page)
            },
            max_items: page.items,
            max_bytes: size.bytes(),
            selection: &CONVERSATION,
            is_selective: false,
            show: &|state, picked| Some(conversation(state, picked, true)),
        };
        answer_list(&self.mirror, caller, question, &place.name()).await
    }
}

impl SearchInput {
    fn order(&self) -> Result<(MirrorOrder, bool), InputError> {
        let sorts = [
            ("created", MirrorOrder::Number),
            ("updated", MirrorOrder::Updated),
        ];
        let sort = choice("sort", self.sort.as_deref(), &sorts)?;
        let orders = [("desc", true), ("asc", false)];
        let descending = choice("order", self.order.as_deref(), &orders)?;
        Ok((sort.unwrap_or_default(), descending.unwrap_or(true)))
    }
}

/// Where to search: as the arguments say, or the query.
fn one_place(
    given: Option<RepositoryPlace>,
    named: Option<RepositoryPlace>,
) -> Result<RepositoryPlace, InputError> {
    match (given, named) {
        (Some(given), Some(named)) if given == named => Ok(given),
        // One of them only names the owner of the other.
        (Some(one), Some(other)) | (Some(other), Some(one))
            if one.owner == other.owner && one.repo.is_none() =>
        {
            Ok(other)
        }
        (Some(_), Some(_)) => {
            let reason = "names another place than owner and repo; leave one of them out";
            Err(InputError::new("query", reason))
        }
        (Some(place), None) | (None, Some(place)) => Ok(place),
        (None, None) => {
            let reason = "say where: repo:owner/name or org:owner in the query, or owner and repo";
            Err(InputError::new("query", reason))
        }
    }
}
