//! `get_current_sprint`: the sprint of today, and what is in it.

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
use serde_json::{Map, Value, value::RawValue};

use super::{
    methods::POLICY,
    sprint_project::{ProjectOfSprint, asked_project, notes},
};
use crate::{
    inputs::{SizeInput, SprintPlaceInput},
    items::shown_items,
    limits::COUNT_BYTES,
    mirror::MirrorAccess,
    sprints::{
        ProjectSprint, SprintMetrics, SprintProject, SprintTimes, SprintWork, UtcDay, read_work,
    },
};

/// The tool's own input.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(rename = "Input")]
struct CurrentInput {
    /// Only items of this status, in any case.
    status: Option<String>,
}

/// The sprint of today.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Output")]
struct CurrentOutput {
    /// Everything that GitHub had at this time is known here, or newer; null if there may be gaps, see notes.
    as_of: Option<String>,
    project: ProjectOfSprint,
    /// The sprint of today; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SprintTimes")]
    sprint: Option<SprintTimes>,
    /// The last sprint before today, if there is none today.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SprintTimes")]
    previous: Option<SprintTimes>,
    /// The sprint after today.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SprintTimes")]
    next: Option<SprintTimes>,
    /// How far the whole sprint is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SprintMetrics")]
    metrics: Option<SprintMetrics>,
    /// Number of items in this answer.
    count: usize,
    /// Items that have no room: ask for one status, or for more maxBytes.
    left_out: usize,
    /// What to know of this answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Items of up to 1 KB each, by status in the order of the project.
    #[schemars(with = "Vec<Map<String, Value>>")]
    items: Vec<Box<RawValue>>,
}

/// The tool.
pub(crate) struct GetCurrentSprint {
    mirror: MirrorAccess,
    clock: Arc<dyn Clock>,
}

impl GetCurrentSprint {
    pub(crate) fn new(mirror: MirrorAccess, clock: Arc<dyn Clock>) -> Self {
        Self { mirror, clock }
    }
}

#[async_trait]
impl Tool for GetCurrentSprint {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<CurrentInput>(
            "get_current_sprint",
            "Read the current sprint",
            "Use this to see the sprint (iteration) of today in a GitHub project: its days, daysLeft, how far it is, and \
             its issues, pull requests and draft issues by status, with repository, number, title, state and points. \
             get_sprint_metrics has the numbers of any sprint. Answered from a mirror, without a call to GitHub; asOf \
             says how new it is at least.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<SprintPlaceInput>()
        .with_more_input::<SizeInput>()
        .with_output::<CurrentOutput>()
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
        let input: CurrentInput = arguments.rest()?;
        let today = UtcDay::of(self.clock.now());
        let project = asked_project(&self.mirror, caller, (&place, today)).await?;
        let times = |sprint: Option<&ProjectSprint>| sprint.map(|sprint| sprint.times(today));
        let next = times(project.field.next(today));
        let Some(sprint) = project.field.at(today) else {
            return Ok(structured_result(&CurrentOutput {
                previous: times(project.field.previous(today)),
                next,
                ..CurrentOutput::without_sprint(&project)
            }));
        };
        let work = read_work(&self.mirror, caller, &project, sprint).await?;
        let SprintWork {
            items,
            as_of,
            is_whole,
        } = work;
        let mut output = CurrentOutput {
            as_of: as_of.map(|time| time.to_string()),
            sprint: times(Some(sprint)),
            next,
            metrics: Some(SprintMetrics::of(&project.board, &items)),
            notes: notes(as_of, is_whole),
            ..CurrentOutput::without_sprint(&project)
        };
        let frame = serde_json::to_string(&output).map_or(0, |json| json.len());
        let room = size.bytes().saturating_sub(frame + COUNT_BYTES);
        (output.items, output.left_out) = shown_items(&items, input.status.as_deref(), room);
        output.count = output.items.len();
        Ok(structured_result(&output))
    }
}

impl CurrentOutput {
    fn without_sprint(project: &SprintProject) -> Self {
        let mut notes = notes(project.as_of, true);
        notes.push("no sprint of this field has today (UTC)".to_owned());
        Self {
            as_of: project.as_of.map(|time| time.to_string()),
            project: ProjectOfSprint::of(project),
            sprint: None,
            previous: None,
            next: None,
            metrics: None,
            count: 0,
            left_out: 0,
            notes,
            items: Vec::new(),
        }
    }
}
