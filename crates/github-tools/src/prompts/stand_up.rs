//! `stand_up`: prepares a stand-up for a repository.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mcp::prompt::{GetPromptParams, GetPromptResult, PromptDescriptor, PromptMessage};
use mcp_server::{CallError, Caller, Policy, RateClass, prompt::Prompt};
use model::Clock;
use ports::MirroredKind;

use super::data::{DATA_NOTE, add_changes, arguments, repository, resource, since};
use crate::{mirror::MirrorAccess, resources::ListInBytes};

/// Default of `since`: this long before now.
const SINCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The prompt.
pub(crate) struct StandUp {
    mirror: MirrorAccess,
    clock: Arc<dyn Clock>,
}

impl StandUp {
    pub(crate) fn new(mirror: MirrorAccess, clock: Arc<dyn Clock>) -> Self {
        Self { mirror, clock }
    }
}

#[async_trait]
impl Prompt for StandUp {
    fn descriptor(&self) -> PromptDescriptor {
        PromptDescriptor {
            name: "stand_up",
            title: "Prepare a stand-up",
            description: "The issues and pull requests of a repository that changed since a given time, with a request to prepare a \
                 stand-up.",
            arguments: arguments(
                "Only what changed at or after this time (RFC 3339; default: 24 hours ago)",
            ),
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
        let place = repository(caller, params)?;
        let since = since(params)?.unwrap_or_else(|| self.clock.now().minus(SINCE));
        let mut list = ListInBytes::default();
        let of = (&self.mirror, caller);
        for (kind, name) in [
            (MirroredKind::PullRequest, "pull_request"),
            (MirroredKind::Issue, "issue"),
        ] {
            add_changes(&mut list, of, (&place, kind, name), (since, &|_| true)).await?;
        }
        let (name, count) = (place.name(), list.items.len());
        let task = format!(
            "Prepare a stand-up for {name}: {count} issues and pull requests changed since {since}. {DATA_NOTE}"
        );
        let question = "From the attached data alone, say per person (author or assignee) what was finished, what is \
             in progress, and what waits for somebody, with the number of each issue and pull request. Keep it to what \
             a team needs for ten minutes.";
        Ok(GetPromptResult {
            description: Some(format!("Stand-up for {name} since {since}")),
            messages: vec![
                PromptMessage::user(task),
                resource(&format!("github://repositories/{name}"), list.finish()),
                PromptMessage::user(question.to_owned()),
            ],
        })
    }
}
