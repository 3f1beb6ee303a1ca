//! `get_milestone`: one milestone, and how far it is.

use std::sync::Arc;

use async_trait::async_trait;
use github_events::pick;
use mcp::tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor};
use mcp_server::{
    CallError, Caller, Policy, answer_size::RESULT_SIZE_HINT, arguments::Arguments, tool::Tool,
};
use model::Clock;
use ports::MirroredKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::methods::{POLICY, address, find, number};
use crate::{
    inputs::{PlaceInput, SizeInput, count},
    items::{MILESTONE, MilestoneMetrics, milestone},
    mirror::MirrorAccess,
    output::{ObjectOutput, object_result},
};

/// The field that names the milestone.
const NUMBER: &str = "milestone_number";

/// The tool's own input.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(rename = "Input", extend("required" = ["milestone_number"]))]
struct MilestoneInput {
    /// The number of the milestone: milestoneNumber of its issues.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1))]
    milestone_number: Option<u64>,
}

/// How far it is.
#[derive(Debug, Serialize, JsonSchema)]
struct WithMetrics {
    /// open and closed: issues and pull requests; percentComplete, rounded down; overdueDays or daysLeft, if it is open and
    /// has a day (UTC).
    metrics: MilestoneMetrics,
}

/// The tool.
pub(crate) struct GetMilestone {
    mirror: MirrorAccess,
    clock: Arc<dyn Clock>,
}

impl GetMilestone {
    pub(crate) fn new(mirror: MirrorAccess, clock: Arc<dyn Clock>) -> Self {
        Self { mirror, clock }
    }
}

#[async_trait]
impl Tool for GetMilestone {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<MilestoneInput>(
            "get_milestone",
            "Read a milestone",
            "Use this to see how far one GitHub milestone is, and to read its description: open and closed issues, \
             percentComplete, and the days that are left or that it is late. Answered from a mirror, without a call to \
             GitHub; asOf says how new it is at least.",
            ToolAnnotations::read_only(),
        )
        .with_more_input::<PlaceInput>()
        .with_more_input::<SizeInput>()
        .with_output::<ObjectOutput<WithMetrics>>()
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
        let input: MilestoneInput = arguments.rest()?;
        let place = place.repository()?;
        let number = number(NUMBER, input.milestone_number)?;
        let wanted = address(MirroredKind::Milestone, &place, number);
        let (state, as_of) = find(&self.mirror, caller, &wanted, (NUMBER, "milestone")).await?;
        let picked = pick(&state.json, &MILESTONE).unwrap_or_default();
        let metrics = MilestoneMetrics::of(&picked, self.clock.now());
        let item = milestone(&state, &picked, (metrics, false));
        let answer = (WithMetrics { metrics }, item);
        Ok(object_result(
            (&state, as_of),
            (&place.name(), size.bytes()),
            answer,
        ))
    }
}
