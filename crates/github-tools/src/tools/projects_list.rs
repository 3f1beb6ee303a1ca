//! `projects_list`: the projects of an owner.

use async_trait::async_trait;
use mcp::{
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{
    CallError, Caller, Policy, answer_size::RESULT_SIZE_HINT, arguments::Arguments, tool::Tool,
};
use ports::MirroredKind;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::methods::{POLICY, listing, method, owner_place};
use crate::{
    inputs::{PageInput, SizeInput},
    items::project,
    limits::MAX_QUERY_BYTES,
    mirror::MirrorAccess,
    output::{ListOutput, answer_list},
    page_reader::PageQuestion,
    project_facts::{PROJECT, project_state},
};

/// Methods of GitHub's own server that are not answered here.
const OTHERS: [&str; 4] = [
    "list_project_fields",
    "list_project_items",
    "list_project_status_updates",
    "list_project_views",
];

/// The tool's own input.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
#[schemars(rename = "Input", extend("required" = ["owner"]))]
struct ProjectsInput {
    /// list_projects (default). Sprints have tools of their own, such as get_current_sprint; fields, items and views have none.
    method: Option<String>,
    /// Login of the owner: a user or an organization.
    owner: Option<String>,
    /// Words, each of which has to be in the title, and is:open or is:closed.
    query: Option<String>,
}

/// The tool.
pub(crate) struct ProjectsList {
    mirror: MirrorAccess,
}

impl ProjectsList {
    pub(crate) fn new(mirror: MirrorAccess) -> Self {
        Self { mirror }
    }
}

#[async_trait]
impl Tool for ProjectsList {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<ProjectsInput>(
            "projects_list",
            "List projects",
            "Use this to list the GitHub projects of a user or an organization, newest first, by words of their titles or by \
             state. Each item has number, title, state, shortDescription, creator, updatedAt and url; projects_get has \
             one whole. Answered from a mirror, without a call to GitHub; asOf says how new it is at least.",
            ToolAnnotations::read_only(),
        )
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
        let page = arguments.take::<PageInput>()?.request()?;
        let size = arguments.take::<SizeInput>()?;
        let input: ProjectsInput = arguments.rest()?;
        method(input.method.as_deref(), &["list_projects"], &OTHERS)?;
        let owner = owner_place(input.owner.as_deref())?;
        let selected = SelectedProjects::read(input.query.as_deref().unwrap_or_default())?;
        let question = PageQuestion {
            listing: listing(MirroredKind::Project, &owner, &page),
            max_items: page.items,
            max_bytes: size.bytes(),
            selection: &PROJECT,
            is_selective: selected != SelectedProjects::default(),
            show: &|state, picked| selected.has(picked).then(|| project(state, picked)),
        };
        let place = format!("the projects of {}", owner.name());
        answer_list(&self.mirror, caller, question, &place).await
    }
}

/// What the query selects.
#[derive(Debug, Default, PartialEq)]
struct SelectedProjects {
    state: Option<&'static str>,
    words: Vec<String>,
}

impl SelectedProjects {
    fn read(query: &str) -> Result<Self, InputError> {
        if query.len() > MAX_QUERY_BYTES {
            let reason = format!("is longer than {MAX_QUERY_BYTES} bytes");
            return Err(InputError::new("query", &reason));
        }
        let mut read = Self::default();
        for word in query.split_whitespace() {
            let word = word.to_lowercase();
            let state = match word.as_str() {
                "is:open" => "open",
                "is:closed" => "closed",
                word if word.starts_with("is:") => {
                    let reason = format!("{word}: use words, is:open or is:closed");
                    return Err(InputError::new("query", &reason));
                }
                _ => {
                    read.words.push(word);
                    continue;
                }
            };
            read.state = Some(state);
        }
        Ok(read)
    }

    fn has(&self, picked: &Value) -> bool {
        let title = picked["title"].as_str().unwrap_or_default().to_lowercase();
        self.state
            .is_none_or(|state| project_state(picked) == state)
            && self.words.iter().all(|word| title.contains(&**word))
    }
}
