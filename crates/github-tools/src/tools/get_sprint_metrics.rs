//! `get_sprint_metrics`: how far a sprint is.

use std::sync::Arc;

use async_trait::async_trait;
use mcp::{
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
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
    inputs::SprintPlaceInput,
    limits::{MAX_NAME_BYTES, NAMED_SPRINTS},
    mirror::MirrorAccess,
    sprints::{
        ProjectSprint, SprintMetrics, SprintProject, SprintTimes, SprintWork, UtcDay, read_work,
    },
};

/// The tool's own input.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(rename = "Input")]
struct MetricsInput {
    /// Title or id of the sprint, or current (default), previous or next.
    sprint: Option<String>,
}

/// How far a sprint is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Output")]
struct MetricsOutput {
    /// Everything that GitHub had at this time is known here, or newer; null if there may be gaps, see notes.
    as_of: Option<String>,
    project: ProjectOfSprint,
    sprint: SprintTimes,
    metrics: SprintMetrics,
    /// What to know of this answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// The tool.
pub(crate) struct GetSprintMetrics {
    mirror: MirrorAccess,
    clock: Arc<dyn Clock>,
}

impl GetSprintMetrics {
    pub(crate) fn new(mirror: MirrorAccess, clock: Arc<dyn Clock>) -> Self {
        Self { mirror, clock }
    }
}

#[async_trait]
impl Tool for GetSprintMetrics {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<MetricsInput>(
            "get_sprint_metrics",
            "Read how far a sprint is",
            "Use this to see how far a sprint (iteration) of a GitHub project is: items in total, done and by status, \
             percentDone, points if the project has a number field for estimates, what came after the start, and the \
             days that are left. get_current_sprint has the items. Answered from a mirror, without a call to GitHub; \
             asOf says how new it is at least.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<SprintPlaceInput>()
        .with_output::<MetricsOutput>()
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
        let input: MetricsInput = arguments.rest()?;
        let today = UtcDay::of(self.clock.now());
        let project = asked_project(&self.mirror, caller, (&place, today)).await?;
        let sprint = asked_sprint(&project, input.sprint.as_deref(), today)?;
        let SprintWork {
            items,
            as_of,
            is_whole,
        } = read_work(&self.mirror, caller, &project, sprint).await?;
        Ok(structured_result(&MetricsOutput {
            as_of: as_of.map(|time| time.to_string()),
            sprint: sprint.times(today),
            metrics: SprintMetrics::of(&project.board, &items),
            notes: notes(as_of, is_whole),
            project: ProjectOfSprint::of(&project),
        }))
    }
}

/// The sprint that is asked for.
fn asked_sprint<'p>(
    project: &'p SprintProject,
    asked: Option<&str>,
    today: UtcDay,
) -> Result<&'p ProjectSprint, InputError> {
    let (field, asked) = (&project.field, asked.unwrap_or("current").trim());
    if asked.len() > MAX_NAME_BYTES {
        let reason = format!("is longer than {MAX_NAME_BYTES} bytes");
        return Err(InputError::new("sprint", &reason));
    }
    field.named(asked, today).ok_or_else(|| {
        let titles = field.sprints.iter().rev().take(NAMED_SPRINTS);
        let titles: Vec<_> = titles.map(|sprint| &*sprint.title).collect();
        let reason = match titles.is_empty() {
            true => "the project has no sprints".to_owned(),
            false => format!(
                "the project has no such sprint; use current, previous, next, or a title: {}",
                titles.join(", ")
            ),
        };
        InputError::new("sprint", &reason)
    })
}
