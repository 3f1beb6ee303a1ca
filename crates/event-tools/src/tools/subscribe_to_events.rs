//! `subscribe_to_events`: events pushed as they happen.

use std::sync::Arc;

use async_trait::async_trait;
use mcp::{
    lenient,
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{
    CallError, Caller, Policy, RateClass, answer_size::structured_result, arguments::Arguments,
    tool::Tool,
};
use model::{
    Clock, EventSubscription, FilterSet, IdSource, LogPosition, SubscriptionBound, SubscriptionId,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subscriptions::{ClientId, ClientKey, SubscriptionTransport};

use super::{
    filter_input::{FilterInput, filter_list},
    filters,
};
use crate::{
    events::EventAccess,
    sessions::{SessionEditor, change_session},
    subscriptions::{ClientSubscription, ClientSubscriptions},
};

const NAME: &str = "subscribe_to_events";

/// The tool's own input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[schemars(rename = "Input")]
struct SubscribeInput {
    /// An event has to match one of these; no filter means every event. The fields of a single filter may also
    /// stand beside the others, in place of this list.
    #[serde(default, deserialize_with = "filter_list")]
    filters: Vec<FilterInput>,
    /// A name of the client's own, up to 256 bytes: the stream events/stream?clientId=… of this server has the events of
    /// all subscriptions under this name too, also after the session. Without it the subscription ends with the session.
    #[serde(default)]
    client_id: Option<String>,
    /// sse or internal; both push on the session's stream.
    #[serde(default)]
    transport: Option<String>,
    /// Where events would be posted. Read to say that they are not, and not for a model to fill in.
    #[serde(default)]
    #[schemars(skip)]
    endpoint: Option<Value>,
    /// Whether the session's events are notifications/claude/channel, which a client with channels shows to its model,
    /// in place of notifications/message (default: true for Claude Code, false for others). Holds for all subscriptions
    /// of the session.
    #[serde(default, deserialize_with = "lenient::optional_flag")]
    channel: Option<bool>,
}

impl SubscribeInput {
    /// The transport, in lower case.
    fn transport(&self) -> Result<Option<String>, InputError> {
        let given = self
            .transport
            .as_deref()
            .map(|text| text.trim().to_ascii_lowercase());
        match given.as_deref() {
            None | Some("" | "sse" | "internal") if self.has_endpoint() => Err(InputError::new(
                "endpoint",
                "nothing is posted there: events come on the session's stream; leave it out",
            )),
            None | Some("" | "sse" | "internal") => Ok(given.filter(|text| !text.is_empty())),
            Some("webhook") => Err(InputError::new(
                "transport",
                "webhook is not supported yet: no event would be posted; use sse",
            )),
            Some(_) => Err(InputError::new("transport", "use sse or internal")),
        }
    }

    /// Whether an endpoint is given; null and a blank text count as absent.
    fn has_endpoint(&self) -> bool {
        match &self.endpoint {
            None | Some(Value::Null) => false,
            Some(Value::String(text)) => !text.trim().is_empty(),
            Some(_) => true,
        }
    }

    /// Whether the session is to have a channel, if the call says so.
    fn channel(&self, has_channels: bool) -> Result<Option<bool>, InputError> {
        match self.channel {
            Some(true) if !has_channels => Err(InputError::new(
                "channel",
                "this server has no channels: its operator has not turned them on (edge.channels)",
            )),
            given => Ok(given),
        }
    }

    /// The name; an empty one counts as absent.
    fn client_id(&self) -> Result<Option<ClientId>, InputError> {
        let given = self.client_id.as_deref().map(str::trim);
        let given = given.filter(|text| !text.is_empty());
        let read = given.map(ClientId::new).transpose();
        read.map_err(|error| InputError::new("clientId", &error.to_string()))
    }
}

/// Output.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Output")]
struct SubscribeOutput {
    /// Always true: a call that fails is an error.
    success: bool,
    /// Pass it to manage_events to unsubscribe; absent without a session and without a clientId.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_id: Option<String>,
    /// Events after this cursor are delivered; replay_events continues from it.
    cursor: String,
    /// How the events are delivered.
    delivery: &'static str,
    /// Resources to listen to in protocol versions without sessions (`subscriptions/listen`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    listen_uris: Vec<String>,
    /// The given clientId.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// The given transport.
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<String>,
    /// What to know of the given filters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// The tool.
#[derive(Clone)]
pub(crate) struct SubscribeToEvents {
    events: EventAccess,
    sessions: Arc<dyn SessionEditor>,
    subscriptions: Arc<dyn ClientSubscriptions>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl SubscribeToEvents {
    pub(crate) fn new(
        events: EventAccess,
        sessions: Arc<dyn SessionEditor>,
        subscriptions: Arc<dyn ClientSubscriptions>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            events,
            sessions,
            subscriptions,
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
            "Use this to have GitHub events pushed to this client as they happen: in Claude Code as <channel> tags, \
             elsewhere as notifications/message with logger github.events on the session's stream. In protocol versions without sessions, returns the \
             resources to listen to and a cursor for replay_events instead.",
            ToolAnnotations::additive(),
        )
        .with_more_input::<FilterInput>()
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
        let mut arguments = Arguments::of(call)?;
        let beside: FilterInput = arguments.take()?;
        let input: SubscribeInput = arguments.rest()?;
        let (client_id, transport) = (input.client_id()?, input.transport()?);
        let channel = input.channel(self.events.has_channels())?;
        let filters = filters::read(self.events.filter_defaults(), &input.filters, beside)?;
        let notes = filters::notes(&self.events, caller, &filters);
        // Taken before the subscription is stored, so that no event in between is missed.
        let since = self.events.position()?;
        let cursor = self.events.cursor(caller, since)?;
        let (owner, unique) = (&caller.principal.id, self.ids.uuid());
        let id = match &client_id {
            Some(client) => ClientKey::new(owner, client).id(&unique),
            None => SubscriptionId::new(&unique).expect("a UUID fits a subscription id"),
        };
        if client_id.is_some() || caller.session().is_some() {
            self.events.check_match_cost(caller, &filters)?;
        }
        if let Some(client) = &client_id {
            let transport = transport.as_deref().map(SubscriptionTransport::read);
            let new = ClientSubscription {
                client: client.clone(),
                filters: filters.clone(),
                transport: transport
                    .and_then(Result::ok)
                    .unwrap_or(SubscriptionTransport::Sse),
                since,
                session: caller.session().map(|session| session.id.clone()),
            };
            self.subscriptions.make(owner, &id, new).await?;
        }
        let output = SubscribeOutput {
            success: true,
            subscription_id: client_id.is_some().then(|| id.to_string()),
            cursor,
            delivery: "call subscriptions/listen with resourceSubscriptions = listenUris, and \
                       replay_events with the cursor after each notifications/resources/updated",
            listen_uris: Vec::new(),
            client_id: client_id.as_ref().map(ToString::to_string),
            transport,
            notes,
        };
        if caller.session().is_none() {
            let listen_uris = uris(&filters);
            return Ok(structured_result(&SubscribeOutput {
                listen_uris,
                ..output
            }));
        }
        let new = (&id, &filters, since);
        let stored = self.of_session(caller, new, channel).await;
        if let (Err(_), Some(_)) = (&stored, &client_id) {
            // The call fails as a whole.
            let own = caller.session().map(|session| session.id.clone());
            self.subscriptions
                .delete(&caller.principal.id, &id, own.as_ref())
                .await?;
        }
        let delivery = match stored? {
            true => "notifications/claude/channel on the session's GET stream",
            false => "notifications/message with logger github.events on the session's GET stream",
        };
        Ok(structured_result(&SubscribeOutput {
            subscription_id: Some(id.to_string()),
            delivery,
            ..output
        }))
    }
}

impl SubscribeToEvents {
    /// Adds the subscription to the caller's session, on whose stream its events are pushed. Returns whether they are
    /// notifications of a channel.
    async fn of_session(
        &self,
        caller: &Caller,
        (id, filters, since): (&SubscriptionId, &FilterSet, LogPosition),
        channel: Option<bool>,
    ) -> Result<bool, CallError> {
        let now = self.clock.now();
        let stored = change_session(&*self.sessions, caller, |session| {
            let new = EventSubscription {
                id: id.clone(),
                filters: filters.clone(),
                since,
                created_at: now,
                number: 0,
                expires_at: None,
            };
            session.subscribe(new, now)?;
            session.channel = channel.or(session.channel);
            Ok(self.events.is_channel(session))
        });
        let refused = |bound: SubscriptionBound| InputError::new("filters", &bound.to_string());
        Ok(stored.await?.map_err(refused)?)
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
