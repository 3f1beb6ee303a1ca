//! `projects_get`: one project.

use async_trait::async_trait;
use github_events::pick;
use mcp::tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor};
use mcp_server::{
    CallError, Caller, Policy, answer_size::RESULT_SIZE_HINT, arguments::Arguments, tool::Tool,
};
use ports::MirroredKind;
use schemars::JsonSchema;
use serde::Deserialize;

use super::methods::{POLICY, address, find, method, number, owner_place};
use crate::{
    inputs::{SizeInput, count},
    items::project,
    mirror::MirrorAccess,
    output::{NothingMore, ObjectOutput, object_result},
    project_facts::PROJECT,
};

/// Methods of GitHub's own server that are not answered here.
const OTHERS: [&str; 3] = [
    "get_project_field",
    "get_project_item",
    "get_project_status_update",
];
/// The field that names the project.
const NUMBER: &str = "project_number";

/// The tool's own input.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(rename = "Input", extend("required" = ["owner", "project_number"]))]
struct ProjectInput {
    /// get_project (default). Items of a sprint are in get_current_sprint; other fields and items have no tool.
    method: Option<String>,
    /// Login of the owner: a user or an organization.
    owner: Option<String>,
    /// The number of the project.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1))]
    project_number: Option<u64>,
}

/// The tool.
pub(crate) struct ProjectsGet {
    mirror: MirrorAccess,
}

impl ProjectsGet {
    pub(crate) fn new(mirror: MirrorAccess) -> Self {
        Self { mirror }
    }
}

#[async_trait]
impl Tool for ProjectsGet {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<ProjectInput>(
            "projects_get",
            "Read a project",
            "Use this to read one GitHub project of a user or an organization: its title, description, readme, state and \
             creator. One that is larger than maxBytes is shortened, and `notes` say how to get the rest. Answered from a \
             mirror, without a call to GitHub; asOf says how new it is at least.",
            ToolAnnotations::read_only(),
        )
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
        let size = arguments.take::<SizeInput>()?;
        let input: ProjectInput = arguments.rest()?;
        method(input.method.as_deref(), &["get_project"], &OTHERS)?;
        let owner = owner_place(input.owner.as_deref())?;
        let number = number(NUMBER, input.project_number)?;
        let wanted = address(MirroredKind::Project, &owner, number);
        let (state, as_of) = find(&self.mirror, caller, &wanted, (NUMBER, "project")).await?;
        let picked = pick(&state.json, &PROJECT).unwrap_or_default();
        let answer = (NothingMore {}, project(&state, &picked));
        Ok(object_result(
            (&state, as_of),
            (&owner.name(), size.bytes()),
            answer,
        ))
    }
}
