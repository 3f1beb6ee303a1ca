//! `list_sprints`: the iterations of a project.

use std::sync::Arc;

use async_trait::async_trait;
use mcp::tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor};
use mcp_server::{
    CallError, Caller, Policy,
    answer_size::{RESULT_SIZE_HINT, structured_result},
    arguments::Arguments,
    tool::Tool,
};
use model::Clock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    methods::POLICY,
    sprint_project::{ProjectOfSprint, asked_project, notes},
};
use crate::{
    inputs::{SizeInput, SprintPlaceInput},
    limits::{FRAME_BYTES, MAX_SPRINTS},
    mirror::MirrorAccess,
    sprints::{SprintTimes, UtcDay},
};

/// The tool's own input.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(rename = "Input")]
struct SprintsInput {}

/// The sprints.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Output")]
struct SprintsOutput {
    /// Everything that GitHub had at this time is known here, or newer; null if there may be gaps, see notes.
    as_of: Option<String>,
    project: ProjectOfSprint,
    /// Sprints that have no room; the oldest.
    left_out: usize,
    /// What to know of this answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// The newest first.
    sprints: Vec<SprintTimes>,
}

/// The tool.
pub(crate) struct ListSprints {
    mirror: MirrorAccess,
    clock: Arc<dyn Clock>,
}

impl ListSprints {
    pub(crate) fn new(mirror: MirrorAccess, clock: Arc<dyn Clock>) -> Self {
        Self { mirror, clock }
    }
}

#[async_trait]
impl Tool for ListSprints {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<SprintsInput>(
            "list_sprints",
            "List sprints",
            "Use this to see the sprints (iterations) of a GitHub project, newest first: id, title, startDate, endDate, \
             and whether each is current, upcoming or completed. get_sprint_metrics says how far one is. Answered from a \
             mirror, without a call to GitHub; asOf says how new it is at least.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<SprintPlaceInput>()
        .with_more_input::<SizeInput>()
        .with_output::<SprintsOutput>()
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
        let place = arguments.take::<SprintPlaceInput>()?;
        let size = arguments.take::<SizeInput>()?;
        let SprintsInput {} = arguments.rest()?;
        let today = UtcDay::of(self.clock.now());
        let project = asked_project(&self.mirror, caller, (&place, today)).await?;
        let all = project.field.sprints.iter().rev();
        let mut left = size.bytes().saturating_sub(FRAME_BYTES);
        let shown = all.map(|sprint| sprint.times(today)).take(MAX_SPRINTS);
        let shown = shown.take_while(|times| {
            let bytes = serde_json::to_string(times).map_or(usize::MAX, |json| json.len() + 1);
            let rest = left.checked_sub(bytes);
            left = rest.unwrap_or_default();
            rest.is_some()
        });
        let sprints: Vec<_> = shown.collect();
        Ok(structured_result(&SprintsOutput {
            as_of: project.as_of.map(|time| time.to_string()),
            left_out: project.field.sprints.len() - sprints.len(),
            notes: notes(project.as_of, true),
            sprints,
            project: ProjectOfSprint::of(&project),
        }))
    }
}
