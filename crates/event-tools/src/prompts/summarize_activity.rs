//! `summarize_activity`: summarizes the events of a repository since a time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mcp::{
    params::InputError,
    prompt::{GetPromptParams, GetPromptResult, PromptDescriptor, PromptMessage},
};
use mcp_server::{CallError, Caller, Policy, RateClass, prompt::Prompt};
use model::{Clock, EventFacts, Timestamp};

use super::activity::{DATA_NOTE, PromptRepository, RecentActivity, optional};
use crate::events::EventAccess;

pub(super) const NAME: &str = "summarize_activity";

/// Maximum number of events in the prompt.
const EVENTS: usize = 200;
/// Default of `since`: this long before now.
const SINCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The prompt.
pub(crate) struct SummarizeActivity {
    events: EventAccess,
    clock: Arc<dyn Clock>,
}

impl SummarizeActivity {
    pub(crate) fn new(events: EventAccess, clock: Arc<dyn Clock>) -> Self {
        Self { events, clock }
    }
}

#[async_trait]
impl Prompt for SummarizeActivity {
    fn descriptor(&self) -> PromptDescriptor {
        PromptDescriptor {
            name: NAME,
            title: "Summarize a repository's activity",
            description: "The events of a repository since a given time, with a request to summarize them.",
            arguments: [
                &PromptRepository::arguments()[..],
                &[optional(
                    "since",
                    "Only events received at or after this time (RFC 3339; default: 24 hours ago)",
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
        let repository = PromptRepository::read(caller, params)?;
        let since = match params.arguments.get("since").map(String::as_str) {
            None | Some("") => self.clock.now().minus(SINCE),
            Some(text) => Timestamp::from_input(text).ok_or_else(|| {
                let reason = "use RFC 3339, for instance 2026-11-20T10:00:00Z";
                InputError::new("arguments.since", reason)
            })?,
        };
        let activity = RecentActivity::recent(
            &self.events,
            caller,
            &repository,
            Some(since),
            EVENTS,
            &|_: &EventFacts| true,
        )
        .await?;
        let PromptRepository { owner, repo } = &repository;
        let count = activity.len();
        let newest = match (activity.has_more, activity.truncated) {
            (true, _) => " (the newest)",
            (false, true) => " (the oldest of that time are no longer kept)",
            (false, false) => "",
        };
        let task = format!(
            "Summarize what happened in {owner}/{repo} since {since}: {count} events{newest}. {DATA_NOTE}"
        );
        let question = "From the attached data alone, write a short summary for a contributor to the \
             repository: what was opened, closed and decided, what is stuck, and what needs an answer. \
             Group by issue or pull request, and give the number of each. Leave out unimportant details.";
        Ok(GetPromptResult {
            description: Some(format!("Activity in {owner}/{repo} since {since}")),
            messages: vec![
                PromptMessage::user(task),
                activity.message(&repository),
                PromptMessage::user(question),
            ],
        })
    }
}
