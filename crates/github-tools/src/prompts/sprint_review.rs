//! `sprint_review`: reviews a sprint of a project.

use std::sync::Arc;

use async_trait::async_trait;
use mcp::{
    lenient,
    params::InputError,
    prompt::{GetPromptParams, GetPromptResult, PromptDescriptor, PromptMessage},
};
use mcp_server::{
    CallError, Caller, Policy, RateClass,
    prompt::{Prompt, argument, required},
};
use model::{Clock, GithubReference};

use super::data::{DATA_NOTE, given, optional, resource};
use crate::{mirror::MirrorAccess, resources::sprint_content, sprints::UtcDay};

/// The prompt.
pub(crate) struct SprintReview {
    mirror: MirrorAccess,
    clock: Arc<dyn Clock>,
}

impl SprintReview {
    pub(crate) fn new(mirror: MirrorAccess, clock: Arc<dyn Clock>) -> Self {
        Self { mirror, clock }
    }
}

#[async_trait]
impl Prompt for SprintReview {
    fn descriptor(&self) -> PromptDescriptor {
        PromptDescriptor {
            name: "sprint_review",
            title: "Review a sprint",
            description: "A sprint of a project, its items and how far it is, with a request to review it.",
            arguments: vec![
                required("owner", "Login of the owner of the project"),
                required("project_number", "Number of the project"),
                optional(
                    "sprint",
                    "Title or id of the sprint, or current (default), previous or next",
                ),
            ],
        }
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Store)
    }

    async fn get(
        &self,
        caller: &Caller,
        params: &GetPromptParams,
    ) -> Result<GetPromptResult, CallError> {
        let owner = GithubReference::read_owner(argument(params, "owner"))
            .map_err(|error| InputError::new("arguments.owner", &error.to_string()))?;
        let number = lenient::resource_number(argument(params, "project_number"));
        let number = number.ok_or_else(|| {
            InputError::new("arguments.project_number", "use the number of a project")
        })?;
        let sprint = given(params, "sprint").unwrap_or("current").to_owned();
        let (of, today) = (
            (owner.clone(), number, sprint),
            UtcDay::of(self.clock.now()),
        );
        let content = sprint_content(&self.mirror, caller, of, today).await?;
        let (id, json) = content.ok_or_else(|| {
            let reason = "no such sprint is known of a project with this number";
            InputError::new("arguments.project_number", reason)
        })?;
        let task = format!("Review a sprint of project {number} of {owner}. {DATA_NOTE}");
        let question = "From the attached data alone, write a review of the sprint for its team: what was done, what \
             is not done and why, as far as the data shows it, what came after the start, and what should move to the \
             next sprint. Give the repository and number of each item, and begin with the figures of metrics.";
        let uri = format!("github://sprints/{owner}/{number}/{id}");
        Ok(GetPromptResult {
            description: Some(format!("Review of a sprint of project {number} of {owner}")),
            messages: vec![
                PromptMessage::user(task),
                resource(&uri, json),
                PromptMessage::user(question.to_owned()),
            ],
        })
    }
}
