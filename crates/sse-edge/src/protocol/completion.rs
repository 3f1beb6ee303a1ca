//! `completion/complete`: owners, repositories and numbers while they are typed, from the newest events
//! that the principal may see.

use std::collections::HashSet;

use mcp::{
    completion::{CompleteParams, CompleteResult, Reference},
    params::InputError,
};
use model::{EventFacts, Filter, FilterSet, ResourceType, Sequence};
use ports::{EventQuery, Order};
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::{CallError, Caller, resources};
use crate::{
    error::EdgeError,
    limits::CALL_DEADLINE,
    policy::{Policy, RateClass},
};

/// Newest events that candidates are taken from.
const LOOKED_AT: usize = 1000;

/// What has the argument that is typed, as far as candidates differ by it.
struct Of {
    /// Which numbers fit.
    kinds: &'static [ResourceType],
}

/// Answers `completion/complete`.
///
/// # Errors
/// No such prompt, template or argument; not admitted; or the log does not answer.
pub(super) async fn complete(
    caller: &Caller,
    params: Option<&RawValue>,
) -> Result<CompleteResult, CallError> {
    let params = CompleteParams::parse(params)?;
    let of = reference(caller, &params)?;
    let _admitted = caller.admit(Policy::read(RateClass::Store))?;
    #[cfg(feature = "conformance")]
    if let Some(candidates) = crate::conformance::complete(&params) {
        return Ok(CompleteResult::of(candidates));
    }
    let name = params.argument.name.as_str();
    if !["owner", "repo", "number"].contains(&name) {
        return Ok(CompleteResult::of(Vec::new()));
    }
    let (events, has_more) = newest(caller, &params, &of).await?;
    let candidates = distinct(&events, name, &params.argument.value);
    let total = (!has_more).then_some(candidates.len());
    Ok(CompleteResult::part(candidates, total, has_more))
}

/// Checks that what is completed exists.
fn reference(caller: &Caller, params: &CompleteParams) -> Result<Of, InputError> {
    let name = &params.argument.name;
    let unknown = || InputError::new("argument.name", "there is no such argument");
    match &params.reference {
        Reference::Prompt { name: prompt } => {
            let found = caller.edge.prompts.find(prompt);
            let found = found.ok_or_else(|| InputError::new("ref.name", "unknown prompt"))?;
            let mut arguments = found.arguments.iter();
            arguments
                .any(|argument| argument.name == name)
                .then_some(Of {
                    kinds: &[ResourceType::ISSUE, ResourceType::PULL_REQUEST],
                })
                .ok_or_else(unknown)
        }
        Reference::Resource { uri } => {
            let mut templates = resources::templates().iter();
            if !templates.any(|template| template.uri_template == *uri) {
                return Err(InputError::new("ref.uri", "unknown resource template"));
            }
            if !uri.contains(&format!("{{{name}}}")) {
                return Err(unknown());
            }
            let mut kinds = KINDS.iter();
            let kinds = kinds.find(|(begin, _)| uri.starts_with(begin));
            Ok(Of {
                kinds: kinds.map_or(&[], |(_, kinds)| kinds),
            })
        }
    }
}

/// Whose number a template names.
const KINDS: [(&str, &[ResourceType]); 4] = [
    ("github://issues/", &[ResourceType::ISSUE]),
    ("github://pulls/", &[ResourceType::PULL_REQUEST]),
    ("github://milestones/", &[ResourceType::MILESTONE]),
    ("github://projects/", &[ResourceType::PROJECT]),
];

/// The newest events that fit what is settled already, and whether there may be others.
async fn newest(
    caller: &Caller,
    params: &CompleteParams,
    of: &Of,
) -> Result<(Vec<EventFacts>, bool), CallError> {
    let name = params.argument.name.as_str();
    let settled = |other: &str| {
        let value = params.context.arguments.get(other);
        value
            .filter(|value| other != name && !value.is_empty())
            .cloned()
    };
    let filter = Filter {
        owner: settled("owner"),
        repo: settled("repo"),
        ..Filter::default()
    };
    let question = EventQuery {
        filters: FilterSet::new(vec![filter])?,
        after: Sequence::START,
        from: None,
        to: None,
        order: Order::NewestFirst,
        limit: LOOKED_AT,
    };
    let visible = |event: &EventFacts| {
        caller.principal.sees.allows(event)
            && (name != "number" || of.kinds.contains(&event.resource_type))
    };
    let answer = ports::query_visible(&*caller.edge.log, &question, &visible);
    let answer = timeout(CALL_DEADLINE, answer)
        .await
        .map_err(EdgeError::from)?;
    let events = answer?.events;
    let has_more = events.len() == LOOKED_AT;
    Ok((
        events.into_iter().map(|event| event.item.facts).collect(),
        has_more,
    ))
}

/// The values that begin with what is typed, in any case, the most recent first.
fn distinct(events: &[EventFacts], name: &str, typed: &str) -> Vec<String> {
    let typed = typed.to_lowercase();
    let mut seen = HashSet::new();
    let value = |event: &EventFacts| match name {
        "owner" => event.owner.clone(),
        "repo" => event.repo.clone(),
        _ => event.number.map(|number| number.to_string()),
    };
    let values = events.iter().filter_map(value);
    values
        .filter(|value| {
            let folded = value.to_lowercase();
            folded.starts_with(&typed) && seen.insert(folded)
        })
        .collect()
}
