//! `list_pull_requests`: the pull requests of a repository.

use async_trait::async_trait;
use mcp::{
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{
    CallError, Caller, Policy, answer_size::RESULT_SIZE_HINT, arguments::Arguments, tool::Tool,
};
use ports::{MirrorFilter, MirrorListing, MirrorOrder, MirroredKind};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::methods::{POLICY, listing};
use crate::{
    inputs::{PageInput, PlaceInput, SizeInput, choice},
    items::{CONVERSATION, conversation},
    mirror::MirrorAccess,
    output::{ListOutput, answer_list},
    page_reader::PageQuestion,
};

/// The tool's own input.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(rename = "Input")]
struct PullsInput {
    /// open (default), closed (merged ones are among them), merged or all.
    state: Option<String>,
    /// Name of the base branch.
    base: Option<String>,
    /// The head: branch, or user:branch.
    head: Option<String>,
    /// created (default) or updated.
    sort: Option<String>,
    /// desc (default) or asc.
    direction: Option<String>,
}

/// The tool.
pub(crate) struct ListPullRequests {
    mirror: MirrorAccess,
}

impl ListPullRequests {
    pub(crate) fn new(mirror: MirrorAccess) -> Self {
        Self { mirror }
    }
}

#[async_trait]
impl Tool for ListPullRequests {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<PullsInput>(
            "list_pull_requests",
            "List pull requests",
            "Use this to list the pull requests of one GitHub repository, newest first, by state, base or head branch; by \
             author, label or words, search_pull_requests finds them. Each item has number, title, state, draft, author, \
             branches, reviewers that were asked, updatedAt and url; pull_request_read has one whole, with its text. \
             Answered from a mirror, without a call to GitHub; asOf says how new it is at least.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<PlaceInput>()
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
        let place = arguments.take::<PlaceInput>()?;
        let page = arguments.take::<PageInput>()?.request()?;
        let size = arguments.take::<SizeInput>()?;
        let input: PullsInput = arguments.rest()?;
        let place = place.repository()?;
        let (order, descending) = input.order()?;
        let head = input.head.as_deref().map(str::trim);
        let question = PageQuestion {
            listing: MirrorListing {
                filter: input.filter()?,
                order,
                descending,
                ..listing(MirroredKind::PullRequest, &place, &page)
            },
            max_items: page.items,
            max_bytes: size.bytes(),
            selection: &CONVERSATION,
            is_selective: head.is_some(),
            show: &|state, picked| {
                let is_it = head.is_none_or(|head| is_head(&picked["head"], head));
                is_it.then(|| conversation(state, picked, false))
            },
        };
        answer_list(&self.mirror, caller, question, &place.name()).await
    }
}

/// Whether a side of a pull request is `branch`, or `user:branch`; branches are compared by case, users are not.
fn is_head(side: &Value, head: &str) -> bool {
    match head.split_once(':') {
        None => side["ref"] == head,
        Some((user, branch)) => {
            let label = side["label"]
                .as_str()
                .and_then(|label| label.split_once(':'));
            label.is_some_and(|(of, known)| of.eq_ignore_ascii_case(user) && known == branch)
        }
    }
}

impl PullsInput {
    fn filter(&self) -> Result<MirrorFilter, InputError> {
        let states = [
            ("open", Some("open")),
            ("closed", Some("closed")),
            ("merged", Some("merged")),
            ("all", None),
        ];
        let state = choice("state", self.state.as_deref(), &states)?;
        Ok(MirrorFilter {
            state: state.unwrap_or(Some("open")).map(ToOwned::to_owned),
            branch: self.base.as_deref().map(|base| base.trim().to_owned()),
            ..MirrorFilter::default()
        })
    }

    fn order(&self) -> Result<(MirrorOrder, bool), InputError> {
        let sorts = [
            ("created", MirrorOrder::Number),
            ("updated", MirrorOrder::Updated),
        ];
        let sort = choice("sort", self.sort.as_deref(), &sorts)?;
        let directions = [("desc", true), ("asc", false)];
        let descending = choice("direction", self.direction.as_deref(), &directions)?;
        Ok((sort.unwrap_or_default(), descending.unwrap_or(true)))
    }
}
