//! `triage_event`: triages an issue or pull request.

use async_trait::async_trait;
use mcp::{
    params::InputError,
    prompt::{GetPromptParams, GetPromptResult, PromptDescriptor, PromptMessage},
};
use mcp_server::{
    CallError, Caller, Policy, RateClass,
    prompt::{Prompt, required},
};
use model::{EventFacts, ResourceUri};

use super::activity::{DATA_NOTE, ITEMS, PromptRepository, RecentActivity, resource};
use crate::{events::EventAccess, resources::GithubResources};

pub(super) const NAME: &str = "triage_event";

/// Maximum number of events of the item in the prompt.
const EVENTS: usize = 20;

/// The prompt.
pub(crate) struct TriageEvent {
    events: EventAccess,
    github: GithubResources,
}

impl TriageEvent {
    pub(crate) fn new(events: EventAccess, github: GithubResources) -> Self {
        Self { events, github }
    }
}

#[async_trait]
impl Prompt for TriageEvent {
    fn descriptor(&self) -> PromptDescriptor {
        PromptDescriptor {
            name: NAME,
            title: "Triage an issue or pull request",
            description: "The last known state of an issue or pull request and its newest events, with a request to triage it.",
            arguments: [
                &PromptRepository::arguments()[..],
                &[required(
                    "number",
                    "Number of the issue or pull request, or its URL",
                )],
            ]
            .concat(),
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
        let (repository, number) = PromptRepository::read_item(caller, params)?;
        let item = item(&self.github, caller, &repository, number).await?;
        let is_of_item = |event: &EventFacts| {
            event.number == Some(number) && ITEMS.contains(&event.resource_type)
        };
        let activity =
            RecentActivity::recent(&self.events, caller, &repository, None, EVENTS, &is_of_item)
                .await?;
        if item.is_none() && activity.len() == 0 {
            let reason = "nothing is known of an issue or pull request with this number";
            return Err(InputError::new("arguments.number", reason).into());
        }
        let PromptRepository { owner, repo } = &repository;
        let task = format!("Triage {owner}/{repo}#{number}. {DATA_NOTE}");
        let question = "From the attached data alone, state: what this is about, in one sentence; how urgent \
             it is and why; which labels and which assignee fit, if the data shows it; which information \
             is missing to act on it; and the next step. Cite the events that support your judgement by \
             their id.";
        let mut messages = vec![PromptMessage::user(task)];
        messages.extend(item);
        messages.push(activity.message(&repository));
        messages.push(PromptMessage::user(question));
        Ok(GetPromptResult {
            description: Some(format!("Triage of {owner}/{repo}#{number}")),
            messages,
        })
    }
}

/// The last known state of the item.
async fn item(
    github: &GithubResources,
    caller: &Caller,
    repository: &PromptRepository,
    number: u64,
) -> Result<Option<PromptMessage>, CallError> {
    let (owner, repo) = (&repository.owner, &repository.repo);
    let uris = ITEMS
        .iter()
        .filter_map(|kind| ResourceUri::numbered(kind, owner, Some(repo), number));
    for uri in uris {
        if let Some(json) = github.content(caller, &uri).await? {
            return Ok(Some(resource(&uri.to_string(), json)));
        }
    }
    Ok(None)
}
