//! `issue_read`: one issue.

use async_trait::async_trait;
use mcp::{
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{
    CallError, Caller, Policy, answer_size::RESULT_SIZE_HINT, arguments::Arguments, tool::Tool,
};
use ports::{MirroredKind, MirroredState};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::methods::{POLICY, address, find, method, number};
use crate::{
    inputs::{PlaceInput, RepositoryPlace, SizeInput, count},
    items::{CONVERSATION, conversation},
    mirror::MirrorAccess,
    output::{NothingMore, ObjectOutput, object_result},
};
use github_events::{JsonSelection, pick};

/// Methods that the mirror can answer.
const METHODS: [&str; 2] = ["get", "get_labels"];
/// Methods of GitHub's own server that it cannot answer.
const OTHERS: [&str; 3] = ["get_comments", "get_sub_issues", "get_parent"];
/// The field that names the issue.
const NUMBER: &str = "issue_number";

/// The labels of an issue.
const LABELS: JsonSelection = JsonSelection::Members(&[("labels", JsonSelection::Sample(2))]);

/// The tool's own input.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(rename = "Input", extend("required" = ["issue_number"]))]
struct IssueInput {
    /// get (default): the issue with its text, labels, milestone, and the number of its sub-issues. get_labels: its
    /// labels alone. Comments, sub-issues and parents are not mirrored.
    method: Option<String>,
    /// The number of the issue.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1))]
    issue_number: Option<u64>,
}

/// The tool.
pub(crate) struct IssueRead {
    mirror: MirrorAccess,
}

impl IssueRead {
    pub(crate) fn new(mirror: MirrorAccess) -> Self {
        Self { mirror }
    }

    /// What to say of a number that is a pull request's: both have one row of numbers.
    async fn check_kind(
        &self,
        caller: &Caller,
        place: &RepositoryPlace,
        number: u64,
    ) -> Result<(), CallError> {
        let pull = address(MirroredKind::PullRequest, place, number);
        let found = self.mirror.get_many(caller, &[pull]).await?;
        if found.iter().any(Option::is_some) {
            let reason = "that is a pull request; use pull_request_read";
            return Err(InputError::new(NUMBER, reason).into());
        }
        Ok(())
    }
}

#[async_trait]
impl Tool for IssueRead {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<IssueInput>(
            "issue_read",
            "Read an issue",
            "Use this to read one GitHub issue whole: its text, state, author, labels, assignees, milestone, type and the \
             number of its sub-issues, when its line in a list is not enough. An issue that is larger than maxBytes is \
             shortened, and `notes` say how to get the rest. Answered from a mirror, without a call to GitHub; asOf says \
             how new it is at least.",
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
        let input: IssueInput = arguments.rest()?;
        let method = method(input.method.as_deref(), &METHODS, &OTHERS)?;
        let place = place.repository()?;
        let number = number(NUMBER, input.issue_number)?;
        let issue = address(MirroredKind::Issue, &place, number);
        let found = find(&self.mirror, caller, &issue, (NUMBER, "issue")).await;
        let (state, as_of) = match found {
            Ok(found) => found,
            Err(error) => {
                self.check_kind(caller, &place, number).await?;
                return Err(error);
            }
        };
        let state = match method {
            "get_labels" => labels_alone(state),
            _ => state,
        };
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

/// The issue with its labels alone.
fn labels_alone(state: MirroredState) -> MirroredState {
    let picked = pick(&state.json, &LABELS).unwrap_or_default();
    let mut labels = Map::new();
    labels.insert("number".to_owned(), state.address.number.into());
    labels.insert("labels".to_owned(), picked["labels"].clone());
    MirroredState {
        json: Value::Object(labels).to_string().into(),
        ..state
    }
}
