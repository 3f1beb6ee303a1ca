//! `pull_request_read`: one pull request.

use async_trait::async_trait;
use github_events::pick;
use mcp::tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor};
use mcp_server::{
    CallError, Caller, Policy, answer_size::RESULT_SIZE_HINT, arguments::Arguments, tool::Tool,
};
use ports::MirroredKind;
use schemars::JsonSchema;
use serde::Deserialize;

use super::methods::{POLICY, address, find, method, number};
use crate::{
    inputs::{PlaceInput, SizeInput, count},
    items::{CONVERSATION, conversation},
    mirror::MirrorAccess,
    output::{NothingMore, ObjectOutput, object_result},
};

/// Methods of GitHub's own server that the mirror cannot answer.
const OTHERS: [&str; 8] = [
    "get_diff",
    "get_status",
    "get_files",
    "get_review_comments",
    "get_reviews",
    "get_comments",
    "get_check_runs",
    "get_ci_summary",
];
/// The field that names the pull request.
const NUMBER: &str = "pullNumber";

/// The tool's own input.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    default,
    expecting = "an object"
)]
#[schemars(rename = "Input", extend("required" = ["pullNumber"]))]
struct PullInput {
    /// get (default): the pull request with its text. Diffs, files, reviews, comments and checks are not mirrored.
    method: Option<String>,
    /// The number of the pull request.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pull_number: Option<u64>,
}

/// The tool.
pub(crate) struct PullRequestRead {
    mirror: MirrorAccess,
}

impl PullRequestRead {
    pub(crate) fn new(mirror: MirrorAccess) -> Self {
        Self { mirror }
    }
}

#[async_trait]
impl Tool for PullRequestRead {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<PullInput>(
            "pull_request_read",
            "Read a pull request",
            "Use this to read one GitHub pull request whole: its text, state, branches, author, labels, reviewers that were \
             asked and milestone, when its line in a list is not enough. One that is larger than maxBytes is shortened, \
             and `notes` say how to get the rest. Answered from a mirror, without a call to GitHub; asOf says how new it \
             is at least.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<PlaceInput>()
        .with_more_input::<SizeInput>()
        .with_output::<ObjectOutput<NothingMore>>()
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
        let size = arguments.take::<SizeInput>()?;
        let input: PullInput = arguments.rest()?;
        method(input.method.as_deref(), &["get"], &OTHERS)?;
        let place = place.repository()?;
        let number = number(NUMBER, input.pull_number)?;
        let pull = address(MirroredKind::PullRequest, &place, number);
        let (state, as_of) = find(&self.mirror, caller, &pull, (NUMBER, "pull request")).await?;
        let picked = pick(&state.json, &CONVERSATION).unwrap_or_default();
        let item = conversation(&state, &picked, false);
        let answer = (NothingMore {}, item);
        Ok(object_result(
            (&state, as_of),
            (&place.name(), size.bytes()),
            answer,
        ))
    }
}
