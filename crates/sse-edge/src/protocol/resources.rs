//! `github://` resources: which there are, and what is in them.

use std::sync::LazyLock;

use event_flow::query::{EventQuery, Order};
use mcp::{
    params,
    resource::{
        Contents, ReadResult, ResourceDescriptor, TemplateDescriptor, UriParams, not_found,
    },
};
use model::{CursorScope, EventFacts, Filter, FilterSet, ResourceUri, Sequence};

use serde_json::{json, value::RawValue};

use super::{CallError, Caller};
use crate::{
    error::EdgeError,
    policy::{Policy, RateClass},
};
use access::Principal;
use event_flow::raw_events::raw_events;

/// Events in the content of an event list.
const LISTED_EVENTS: usize = 50;

static RESOURCES: LazyLock<Vec<ResourceDescriptor>> = LazyLock::new(|| {
    let mut all = vec![ResourceDescriptor {
        uri: "github://events".to_owned(),
        name: "events".to_owned(),
        title: Some("Recent events".to_owned()),
        description: Some(
            "The newest events of everything, newest first, with a cursor".to_owned(),
        ),
        mime_type: Some("application/json".to_owned()),
    }];
    #[cfg(feature = "conformance")]
    all.extend(crate::conformance::resources());
    all.sort_by(|a, b| a.uri.cmp(&b.uri));
    all
});

static TEMPLATES: LazyLock<Vec<TemplateDescriptor>> = LazyLock::new(|| {
    let template = |uri: &str, name: &str, description: &str| TemplateDescriptor {
        uri_template: uri.to_owned(),
        name: name.to_owned(),
        title: None,
        description: Some(description.to_owned()),
        mime_type: Some("application/json".to_owned()),
    };
    let mut all = vec![
        template(
            "github://events/{owner}",
            "owner-events",
            "The newest events of an owner",
        ),
        template(
            "github://events/{owner}/{repo}",
            "repo-events",
            "The newest events of a repository",
        ),
        template(
            "github://issues/{owner}/{repo}/{number}",
            "issue",
            "An issue as last known",
        ),
        template(
            "github://pulls/{owner}/{repo}/{number}",
            "pull",
            "A pull request as last known",
        ),
        template(
            "github://milestones/{owner}/{repo}/{number}",
            "milestone",
            "A milestone as last known",
        ),
        template(
            "github://projects/{owner}/{number}",
            "project",
            "A project as last known",
        ),
    ];
    #[cfg(feature = "conformance")]
    all.extend(crate::conformance::templates());
    all.sort_by(|a, b| a.uri_template.cmp(&b.uri_template));
    all
});

pub(crate) fn descriptors() -> &'static [ResourceDescriptor] {
    &RESOURCES
}

pub(crate) fn templates() -> &'static [TemplateDescriptor] {
    &TEMPLATES
}

/// `resources/read`.
///
/// # Errors
/// Not a resource of ours, not known yet, not admitted, or a store that does not answer.
pub(crate) async fn read(
    caller: &Caller,
    params: Option<&RawValue>,
) -> Result<ReadResult, CallError> {
    let UriParams { uri: spelt } = params::parse(params)?;
    #[cfg(feature = "conformance")]
    if let Some(contents) = crate::conformance::read(&spelt) {
        return Ok(ReadResult::new(contents));
    }
    let _admitted = caller.admit(Policy::read(RateClass::Store))?;
    let unknown = || not_found(caller.version, &spelt);
    let uri = ResourceUri::parse(&spelt).map_err(|_| unknown())?;
    let json = content(caller, &uri).await?.ok_or_else(unknown)?;
    Ok(ReadResult::new(Contents::json(&spelt, json)))
}

/// What is in a resource, as JSON. `None`: it is not there; what may not be seen is not there.
///
/// # Errors
/// A store or the sync role does not answer.
pub(crate) async fn content(
    caller: &Caller,
    uri: &ResourceUri,
) -> Result<Option<String>, EdgeError> {
    if !caller.principal.sees.allows_uri(uri) {
        return Ok(None);
    }
    match uri {
        ResourceUri::Events { owner, repo } => {
            let filter = Filter {
                owner: owner.clone(),
                repo: repo.clone(),
                ..Filter::default()
            };
            events(caller, filter).await.map(Some)
        }
        _ => {
            let state = caller.edge.resources.get_resource(uri, caller.trace);
            let state = state.await?.filter(|state| !state.deleted);
            Ok(state.map(|state| String::from_utf8_lossy(&state.json).into_owned()))
        }
    }
}

async fn events(caller: &Caller, filter: Filter) -> Result<String, EdgeError> {
    let edge = &caller.edge;
    let question = EventQuery {
        filters: FilterSet::new(vec![filter])?,
        after: Sequence::START,
        from: None,
        to: None,
        order: Order::NewestFirst,
        limit: LISTED_EVENTS,
    };
    let visible = |event: &EventFacts| caller.principal.sees.allows(event);
    let answer = edge.hub.ask(&question, &visible).await?;
    let cursor = edge
        .hub
        .reader(CursorScope::events(&caller.principal.id))
        .cursor(answer.through);
    let events = raw_events(answer.events);
    Ok(json!({ "events": events, "cursor": cursor.to_string() }).to_string())
}

/// Whether the URI names something whose changes can be told to this principal.
pub(crate) fn is_subscribable(principal: &Principal, uri: &str) -> bool {
    #[cfg(feature = "conformance")]
    if crate::conformance::is_subscribable(uri) {
        return true;
    }
    ResourceUri::parse(uri).is_ok_and(|uri| principal.sees.allows_uri(&uri))
}
