//! `actions_list`: runs of workflows.

use async_trait::async_trait;
use mcp::tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor};
use mcp_server::{
    CallError, Caller, Policy, answer_size::RESULT_SIZE_HINT, arguments::Arguments, tool::Tool,
};
use ports::{MirrorFilter, MirrorListing, MirroredKind};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::methods::{POLICY, listing, method};
use crate::{
    inputs::{PageInput, PlaceInput, SizeInput, login},
    items::{WORKFLOW_RUN, workflow_run},
    mirror::MirrorAccess,
    output::{ListOutput, answer_list},
    page_reader::PageQuestion,
};

/// Methods of GitHub's own server that the mirror cannot answer.
const OTHERS: [&str; 5] = [
    "list_workflows",
    "list_workflow_jobs",
    "list_workflow_run_artifacts",
    "list_check_runs",
    "list_check_run_annotations",
];

/// The tool's own input.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(rename = "Input")]
struct ActionsInput {
    /// list_workflow_runs (default). Workflows, jobs, artifacts and checks are not mirrored.
    method: Option<String>,
    /// Id of a workflow, or the name of its file, for instance ci.yaml; without it, the runs of all.
    #[serde(deserialize_with = "text_or_number")]
    resource_id: Option<String>,
    /// Only runs that all of these fit.
    #[serde(deserialize_with = "mcp::lenient::object")]
    workflow_runs_filter: RunsFilter,
}

/// Which runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
struct RunsFilter {
    /// Name of the branch.
    branch: Option<String>,
    /// Login of the account that started it.
    actor: Option<String>,
    /// The event that started it, for instance push.
    event: Option<String>,
    /// Its status, for instance completed or in_progress, or its conclusion, for instance failure.
    status: Option<String>,
}

/// A text, or a number as one. Null counts as absent.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(serde::de::Error::custom("must be a string")),
    }
}

/// The tool.
pub(crate) struct ActionsList {
    mirror: MirrorAccess,
}

impl ActionsList {
    pub(crate) fn new(mirror: MirrorAccess) -> Self {
        Self { mirror }
    }
}

#[async_trait]
impl Tool for ActionsList {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<ActionsInput>(
            "actions_list",
            "List workflow runs",
            "Use this to see how the GitHub Actions of one repository went: its workflow runs, newest first, by branch, \
             workflow, actor, event or status. Each item has id, name, status, conclusion, branch, sha, actor and url. \
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
        let input: ActionsInput = arguments.rest()?;
        method(input.method.as_deref(), &["list_workflow_runs"], &OTHERS)?;
        let place = place.repository()?;
        let runs = &input.workflow_runs_filter;
        let actor = runs
            .actor
            .as_deref()
            .map(|actor| login("workflow_runs_filter.actor", actor));
        let selected = SelectedRuns {
            workflow: input.resource_id.as_deref().map(str::trim),
            actor: actor.transpose()?,
            event: runs.event.as_deref().map(str::trim),
            status: runs.status.as_deref().map(str::trim),
        };
        let question = PageQuestion {
            listing: MirrorListing {
                filter: MirrorFilter {
                    branch: runs
                        .branch
                        .as_deref()
                        .map(|branch| branch.trim().to_owned()),
                    ..MirrorFilter::default()
                },
                ..listing(MirroredKind::WorkflowRun, &place, &page)
            },
            max_items: page.items,
            max_bytes: size.bytes(),
            selection: &WORKFLOW_RUN,
            is_selective: selected != SelectedRuns::default(),
            show: &|state, picked| selected.has(picked).then(|| workflow_run(state, picked)),
        };
        answer_list(&self.mirror, caller, question, &place.name()).await
    }
}

/// What the mirror cannot select itself.
#[derive(Debug, Default, PartialEq)]
struct SelectedRuns<'i> {
    workflow: Option<&'i str>,
    actor: Option<String>,
    event: Option<&'i str>,
    status: Option<&'i str>,
}

impl SelectedRuns<'_> {
    fn has(&self, run: &Value) -> bool {
        let is = |value: &Value, given: &str| {
            value
                .as_str()
                .is_some_and(|text| text.eq_ignore_ascii_case(given))
        };
        let path = run["path"].as_str().unwrap_or_default();
        // `.github/workflows/ci.yaml`, of a called one with its version behind it.
        let file = path
            .split('@')
            .next()
            .and_then(|path| path.rsplit('/').next());
        let is_workflow = |given: &str| {
            let id = run["workflow_id"].as_u64().map(|id| id.to_string());
            id.as_deref() == Some(given) || file == Some(given)
        };
        self.workflow.is_none_or(is_workflow)
            && self
                .actor
                .as_deref()
                .is_none_or(|actor| is(&run["actor"]["login"], actor))
            && self.event.is_none_or(|event| is(&run["event"], event))
            && self
                .status
                .is_none_or(|status| is(&run["status"], status) || is(&run["conclusion"], status))
    }
}
