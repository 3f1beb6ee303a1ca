//! Completes owners, repositories and numbers while they are typed, from the newest events that the
//! principal may see.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use event_flow::query::{EventQuery, MAX_ANSWER_BYTES, Order};
use mcp::{
    completion::{CompleteParams, CompleteResult, CompletionReference},
    params::InputError,
};
use mcp_server::{CallError, Caller, completion::Completer};
use model::{EventFacts, FilterRequest, FilterSet, ResourceType};

use crate::{events::EventAccess, prompts, resources::TEMPLATES};

/// Number of newest events from which candidates are taken.
const LOOKED_AT: usize = 1000;

/// The arguments that events can complete.
const COMPLETED: [&str; 3] = ["owner", "repo", "number"];

/// The kinds whose numbers complete a template.
const KINDS: [(&str, &[ResourceType]); 4] = [
    ("github://issues/", &[ResourceType::ISSUE]),
    ("github://pulls/", &[ResourceType::PULL_REQUEST]),
    ("github://milestones/", &[ResourceType::MILESTONE]),
    ("github://projects/", &[ResourceType::PROJECT]),
];

/// The completer.
pub(crate) struct EventCompleter {
    events: EventAccess,
}

impl EventCompleter {
    pub(crate) fn new(events: EventAccess) -> Self {
        Self { events }
    }

    /// The newest events that match the arguments already filled in, and whether there may be more.
    async fn newest(
        &self,
        caller: &Caller,
        params: &CompleteParams,
        kinds: &[ResourceType],
    ) -> Result<(Vec<Arc<EventFacts>>, bool), CallError> {
        let name = params.argument.name.as_str();
        let filled = |other: &str| {
            let value = params.context.arguments.get(other);
            value
                .filter(|value| other != name && !value.is_empty())
                .cloned()
        };
        let filter = FilterRequest {
            owner: filled("owner"),
            repo: filled("repo"),
            ..FilterRequest::default()
        };
        let filter = filter.read();
        let filter = filter.map_err(|error| InputError::within("context.arguments", &error))?;
        let filters = FilterSet::new(vec![filter]).expect("one filter is within the bounds");
        let question = EventQuery::new(filters, Order::NewestFirst, LOOKED_AT, MAX_ANSWER_BYTES);
        let fits = |event: &EventFacts| name != "number" || kinds.contains(&event.resource_type);
        let events = self.events.facts_where(caller, &question, &fits).await?;
        let has_more = events.len() == LOOKED_AT;
        Ok((events, has_more))
    }
}

#[async_trait]
impl Completer for EventCompleter {
    async fn complete(
        &self,
        caller: &Caller,
        params: &CompleteParams,
    ) -> Result<Option<CompleteResult>, CallError> {
        let name = params.argument.name.as_str();
        let Some(kinds) = kinds(&params.reference).filter(|_| COMPLETED.contains(&name)) else {
            return Ok(None);
        };
        let (events, has_more) = self.newest(caller, params, kinds).await?;
        let candidates = distinct(&events, name, &params.argument.value);
        let total = (!has_more).then_some(candidates.len());
        Ok(Some(CompleteResult::part(candidates, total, has_more)))
    }
}

/// The kinds whose numbers fit; `None` if the reference does not belong to this crate.
fn kinds(reference: &CompletionReference) -> Option<&'static [ResourceType]> {
    match reference {
        CompletionReference::Prompt { name } => prompts::NAMES
            .contains(&name.as_str())
            .then_some(&[ResourceType::ISSUE, ResourceType::PULL_REQUEST]),
        CompletionReference::Resource { uri } => {
            let mut templates = TEMPLATES.iter();
            templates.find(|(template, ..)| template == uri)?;
            let mut kinds = KINDS.iter();
            let kinds = kinds.find(|(begin, _)| uri.starts_with(begin));
            Some(kinds.map_or(&[], |(_, kinds)| *kinds))
        }
    }
}

/// The values that begin with the typed text, ignoring case, most recent first.
fn distinct(events: &[Arc<EventFacts>], name: &str, typed: &str) -> Vec<String> {
    let typed = typed.to_lowercase();
    let mut seen = HashSet::new();
    let value = |event: &EventFacts| match name {
        "owner" => event.owner.clone(),
        "repo" => event.repo.clone(),
        _ => event.number.map(|number| number.to_string()),
    };
    let values = events.iter().filter_map(|event| value(event));
    values
        .filter(|value| {
            let folded = value.to_lowercase();
            folded.starts_with(&typed) && seen.insert(folded)
        })
        .collect()
}
