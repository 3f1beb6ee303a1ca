//! `github://` resources: the list and the contents.

use std::sync::Arc;

use access::Principal;
use async_trait::async_trait;
use event_flow::{
    query::{EventQuery, Order},
    raw_events::{RawEvents, raw_events_up_to},
};
use mcp::resource::{ResourceContents, ResourceDescriptor, TemplateDescriptor};
use mcp_server::{CallError, Caller, resource::ResourceSource};
use model::{Filter, FilterSet, ResourceUri, Sequence};
use ports::ResourceReader;
use serde_json::json;

use crate::{events::EventAccess, limits::MAX_RESULT_BYTES};

/// Events in the content of an event list.
const LISTED_EVENTS: usize = 50;

/// URI template, name and description of the resources without a fixed URI.
pub(crate) const TEMPLATES: [(&str, &str, &str); 6] = [
    (
        "github://events/{owner}",
        "owner-events",
        "The newest events of an owner",
    ),
    (
        "github://events/{owner}/{repo}",
        "repo-events",
        "The newest events of a repository",
    ),
    (
        "github://issues/{owner}/{repo}/{number}",
        "issue",
        "An issue, in its last known state",
    ),
    (
        "github://pulls/{owner}/{repo}/{number}",
        "pull",
        "A pull request, in its last known state",
    ),
    (
        "github://milestones/{owner}/{repo}/{number}",
        "milestone",
        "A milestone, in its last known state",
    ),
    (
        "github://projects/{owner}/{number}",
        "project",
        "A project, in its last known state",
    ),
];

/// The resources. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct GithubResources {
    events: EventAccess,
    reader: Arc<dyn ResourceReader>,
}

impl GithubResources {
    pub(crate) fn new(events: EventAccess, reader: Arc<dyn ResourceReader>) -> Self {
        Self { events, reader }
    }

    /// The contents of a resource as JSON; `None` if it does not exist, or the caller may not see
    /// it.
    ///
    /// # Errors
    /// A store or the sync role does not answer.
    pub(crate) async fn content(
        &self,
        caller: &Caller,
        uri: &ResourceUri,
    ) -> Result<Option<String>, CallError> {
        if !caller.reader()?.sees.allows_uri(uri) {
            return Ok(None);
        }
        if let ResourceUri::Events { owner, repo } = uri {
            let filter = Filter {
                owner: owner.clone(),
                repo: repo.clone(),
                ..Filter::default()
            };
            return self.event_list(caller, filter).await.map(Some);
        }
        // The caller may have been notified of an event up to here.
        let read = self
            .reader
            .get_resource(uri, Some(caller.since), caller.trace);
        let state = read.await.map_err(CallError::failed)?;
        // Asked again: the sync role took its time.
        let sees = &caller.reader()?.sees;
        let state = state.filter(|state| !state.deleted && sees.allows_uri(uri));
        let json = state.map(|state| sees.cut_resource(uri, &state.json));
        Ok(json.map(|json| String::from_utf8_lossy(&json).into_owned()))
    }

    async fn event_list(&self, caller: &Caller, filter: Filter) -> Result<String, CallError> {
        let question = EventQuery {
            filters: FilterSet::new(vec![filter]).expect("one filter is within the bounds"),
            after: Sequence::START,
            before: None,
            from: None,
            to: None,
            order: Order::NewestFirst,
            limit: LISTED_EVENTS,
            max_bytes: MAX_RESULT_BYTES,
        };
        let page = self.events.query(caller, &question).await?;
        let cursor = self.events.cursor_after(caller, &page)?;
        let RawEvents { events, truncated } =
            raw_events_up_to(page.events, page.truncated, MAX_RESULT_BYTES);
        let list = json!({
            "events": events, "cursor": cursor, "hasMore": page.has_more, "truncated": truncated,
        });
        Ok(list.to_string())
    }
}

#[async_trait]
impl ResourceSource for GithubResources {
    fn resources(&self) -> Vec<ResourceDescriptor> {
        let description = "The newest events of all owners, newest first, with a cursor";
        vec![ResourceDescriptor {
            uri: "github://events".to_owned(),
            name: "events".to_owned(),
            title: Some("Recent events".to_owned()),
            description: Some(description.to_owned()),
            mime_type: Some("application/json".to_owned()),
        }]
    }

    fn templates(&self) -> Vec<TemplateDescriptor> {
        let template = |(uri, name, description): (&str, &str, &str)| TemplateDescriptor {
            uri_template: uri.to_owned(),
            name: name.to_owned(),
            title: None,
            description: Some(description.to_owned()),
            mime_type: Some("application/json".to_owned()),
        };
        TEMPLATES.into_iter().map(template).collect()
    }

    async fn read(
        &self,
        caller: &Caller,
        uri: &str,
    ) -> Result<Option<ResourceContents>, CallError> {
        let Ok(parsed) = ResourceUri::parse(uri) else {
            return Ok(None);
        };
        let json = self.content(caller, &parsed).await?;
        Ok(json.map(|json| ResourceContents::json(uri, json)))
    }

    fn is_subscribable(&self, principal: &Principal, uri: &str) -> bool {
        ResourceUri::parse(uri).is_ok_and(|uri| principal.sees.allows_uri(&uri))
    }
}
