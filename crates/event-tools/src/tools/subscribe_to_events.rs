//! `subscribe_to_events`: events pushed as they happen.

use std::sync::Arc;

use async_trait::async_trait;
use mcp::{
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{CallError, Caller, Policy, RateClass, tool::Tool};
use model::{Clock, EventSubscription, FilterSet, IdSource, SubscriptionBound, SubscriptionId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    filter_input::{FilterInput, filter_list},
    filters, structured,
};
use crate::{
    events::EventAccess,
    sessions::{SessionEditor, change_session},
};

const NAME: &str = "subscribe_to_events";

/// Input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "Input")]
struct SubscribeInput {
    /// An event has to match one of these; no filter means every event.
    #[serde(default, deserialize_with = "filter_list")]
    filters: Vec<FilterInput>,
}

/// Output.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Output")]
struct SubscribeOutput {
    /// Pass it to manage_events to unsubscribe; absent in protocol versions without sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_id: Option<String>,
    /// Events after this cursor are delivered; replay_events continues from it.
    cursor: String,
    /// How the events are delivered.
    delivery: &'static str,
    /// Resources to listen to in protocol versions without sessions (`subscriptions/listen`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    listen_uris: Vec<String>,
}

/// The tool.
#[derive(Clone)]
pub(crate) struct SubscribeToEvents {
    events: EventAccess,
    sessions: Arc<dyn SessionEditor>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl SubscribeToEvents {
    pub(crate) fn new(
        events: EventAccess,
        sessions: Arc<dyn SessionEditor>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            events,
            sessions,
            clock,
            ids,
        }
    }
}

#[async_trait]
impl Tool for SubscribeToEvents {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<SubscribeInput>(
            NAME,
            "Subscribe to GitHub events",
            "Push GitHub events to this client as they happen, as notifications/message with logger \
             github.events on the session's stream. In protocol versions without sessions, returns the \
             resources to listen to and a cursor for replay_events instead.",
            ToolAnnotations::additive(),
        )
        .with_output::<SubscribeOutput>()
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Store)
    }

    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError> {
        let input: SubscribeInput = call.arguments()?;
        let filters = filters::read(&input.filters)?;
        // Taken before the subscription is stored, so that no event in between is missed.
        let since = self.events.position()?;
        let cursor = self.events.cursor(caller, since)?;
        if caller.session.is_none() {
            return Ok(structured(&SubscribeOutput {
                subscription_id: None,
                cursor,
                delivery: "call subscriptions/listen with resourceSubscriptions = listenUris, and \
                           replay_events with the cursor after each notifications/resources/updated",
                listen_uris: uris(&filters),
            }));
        }
        let id = SubscriptionId::new(&self.ids.uuid()).expect("a UUID fits a subscription id");
        let now = self.clock.now();
        self.events.check_match_cost(caller, &filters)?;
        let stored = change_session(&*self.sessions, caller, |session| {
            let new = EventSubscription {
                id: id.clone(),
                filters: filters.clone(),
                since,
                created_at: now,
                number: 0,
            };
            session.subscribe(new, now)
        });
        let refused = |bound: SubscriptionBound| InputError::new("filters", &bound.to_string());
        stored.await?.map_err(refused)?;
        Ok(structured(&SubscribeOutput {
            subscription_id: Some(id.to_string()),
            cursor,
            delivery: "notifications/message with logger github.events on the session's GET stream",
            listen_uris: Vec::new(),
        }))
    }
}

/// The event lists that together contain all events that the filters match.
fn uris(filters: &FilterSet) -> Vec<String> {
    let uri = |filter: &model::Filter| {
        let lower = |name: &Option<String>| name.as_deref().map(str::to_ascii_lowercase);
        let owner = lower(&filter.owner);
        let repo = owner.as_ref().and_then(|_| lower(&filter.repo));
        model::ResourceUri::Events { owner, repo }.to_string()
    };
    let mut uris: Vec<_> = filters.filters().iter().map(uri).collect();
    if uris.is_empty() {
        uris.push("github://events".to_owned());
    }
    uris.sort();
    uris.dedup();
    uris
}
