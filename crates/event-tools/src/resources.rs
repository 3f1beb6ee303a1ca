//! `github://` resources: the list and the contents.

use std::sync::Arc;

use access::Principal;
use async_trait::async_trait;
use event_flow::{
    query::{EventQuery, Order},
    raw_events::{RawEvents, raw_events_up_to},
};
use mcp::resource::{ResourceContents, ResourceDescriptor, TemplateDescriptor};
use mcp_server::{CallError, Caller, answer_size::MAX_RESULT_BYTES, resource::ResourceSource};
use model::{Filter, FilterSet, PlaceName, ResourceUri};
use ports::{ResourceReader, ResourceState};
use serde_json::json;

use crate::events::EventAccess;

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
        if let ResourceUri::Events { owner, repo } = uri {
            if !caller.reader()?.sees.allows_uri(uri) {
                return Ok(None);
            }
            let filter = Filter {
                owner: owner.clone(),
                repo: repo.clone(),
                ..Filter::default()
            };
            return self.event_list(caller, filter).await.map(Some);
        }
        // Who has the name, and where it is now, is known of the log that is followed.
        self.events.position()?;
        let mut state = self.state(caller, uri).await?;
        // A sync role of an older build, or one that started after a rename, knows the present name only.
        if state.is_none()
            && let Some(present) = self.events.present_uri(uri)
        {
            state = self.state(caller, &present).await?;
        }
        // Asked of what was read: another one may have had the name, or have it now.
        let sees = &caller.reader()?.sees;
        let state =
            state.filter(|state| !state.deleted && sees.allows_state(&state.uri, state.ids));
        let json = state.map(|state| sees.cut_resource(&state.uri, state.ids, &state.json));
        Ok(json.map(|json| String::from_utf8_lossy(&json).into_owned()))
    }

    async fn state(
        &self,
        caller: &Caller,
        uri: &ResourceUri,
    ) -> Result<Option<ResourceState>, CallError> {
        // The caller may have been notified of an event up to here.
        let read = self
            .reader
            .get_resource(uri, Some(caller.since), caller.trace);
        read.await.map_err(CallError::failed)
    }

    /// What the caller should know of the name in a URI, if several have had it.
    fn notes(&self, caller: &Caller, uri: &ResourceUri) -> Vec<String> {
        let name = uri.place();
        let filter = name.map(|PlaceName { owner, repo }| Filter {
            owner: Some(owner.to_owned()),
            repo: repo.map(ToOwned::to_owned),
            ..Filter::default()
        });
        let filters = FilterSet::new(filter.into_iter().collect());
        let filters = filters.expect("one filter is within the bounds");
        self.events.name_notes(caller, &filters)
    }

    async fn event_list(&self, caller: &Caller, filter: Filter) -> Result<String, CallError> {
        let filters = FilterSet::new(vec![filter]).expect("one filter is within the bounds");
        let (order, limit) = (Order::NewestFirst, LISTED_EVENTS);
        let notes = self.events.name_notes(caller, &filters);
        let question = EventQuery::new(filters, order, limit, MAX_RESULT_BYTES);
        let page = self.events.query(caller, &question).await?;
        let cursor = self.events.cursor_after(caller, &page)?;
        let previous = self.events.cursor_before(caller, &page)?;
        let RawEvents { events, truncated } =
            raw_events_up_to(page.events, page.truncated, MAX_RESULT_BYTES);
        let mut list = json!({
            "events": events, "cursor": cursor, "nextCursor": cursor, "hasMore": page.has_more,
            "truncated": truncated,
        });
        if let Some(previous) = previous {
            list["previousCursor"] = previous.into();
        }
        if !notes.is_empty() {
            list["notes"] = notes.into();
        }
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
        let Some(json) = self.content(caller, &parsed).await? else {
            return Ok(None);
        };
        let contents = ResourceContents::json(uri, json);
        // A list of events has its notes where other answers with events have theirs.
        Ok(Some(match parsed {
            ResourceUri::Events { .. } => contents,
            uri => contents.with_notes(self.notes(caller, &uri)),
        }))
    }

    fn is_subscribable(&self, principal: &Principal, uri: &str) -> bool {
        ResourceUri::parse(uri).is_ok_and(|uri| principal.sees.allows_uri(&uri))
    }
}
