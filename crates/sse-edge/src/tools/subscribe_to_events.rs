//! `subscribe_to_events`: events pushed as they happen.

use async_trait::async_trait;
use mcp::{
    params::InputError,
    tool::{Annotations, CallParams, CallResult, ToolDescriptor},
};
use model::{CursorScope, FilterSet, Subscription, SubscriptionId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Tool, done,
    filters::{self, FilterInput},
};
use crate::{
    policy::{Policy, RateClass},
    protocol::{CallError, Caller, handshake::update},
};

const NAME: &str = "subscribe_to_events";
/// Subscriptions of one session.
const MAX_SUBSCRIPTIONS: usize = 64;

/// Input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Input {
    /// Any of these has to fit; none means every event.
    #[serde(default)]
    filters: Vec<FilterInput>,
}

/// Output.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Output {
    /// Give it to manage_events to unsubscribe; absent where the protocol has no sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_id: Option<String>,
    /// Events after this cursor are covered; replay_events goes on from it.
    cursor: String,
    /// How they arrive.
    delivery: &'static str,
    /// Resources to listen to where the protocol has no sessions (`subscriptions/listen`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    listen_uris: Vec<String>,
}

/// The tool.
pub(super) struct SubscribeToEvents;

#[async_trait]
impl Tool for SubscribeToEvents {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<Input>(
            NAME,
            "Subscribe to GitHub events",
            "Push GitHub events to this client as they happen, as notifications/message with logger \
             github.events on the session's stream. Protocol versions without sessions get the resources to \
             listen to instead, and a cursor for replay_events.",
            Annotations::additive(),
        )
        .with_output::<Output>()
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Store)
    }

    async fn call(&self, caller: &Caller, call: &CallParams) -> Result<CallResult, CallError> {
        answer(caller, call.arguments()?).await
    }
}

pub(super) async fn answer(caller: &Caller, input: Input) -> Result<CallResult, CallError> {
    let filters = filters::read(&input.filters)?;
    let edge = &caller.edge;
    // Taken before the subscription is stored: what happens in between is covered.
    let since = edge.hub.position();
    let reader = edge.hub.reader(CursorScope::events(&caller.principal.id));
    let cursor = reader.cursor(since.sequence).to_string();
    if caller.session.is_none() {
        return done(&Output {
            subscription_id: None,
            cursor,
            delivery: "call subscriptions/listen with resourceSubscriptions = listenUris, and \
                       replay_events with the cursor at each notifications/resources/updated",
            listen_uris: uris(&filters),
        });
    }
    let id = SubscriptionId::new(&edge.ids.uuid()).expect("a UUID fits a subscription id");
    let now = edge.clock.now();
    let stored = update(caller, |session| {
        let room = session.subscriptions.len() < MAX_SUBSCRIPTIONS;
        if room {
            let (id, filters) = (id.clone(), filters.clone());
            let wish = session.next_wish();
            session.subscriptions.push(Subscription {
                id,
                filters,
                since,
                created_at: now,
                wish,
            });
        }
        room
    });
    if !stored.await? {
        let reason = format!("a session has at most {MAX_SUBSCRIPTIONS} subscriptions");
        return Err(InputError::new("filters", &reason).into());
    }
    done(&Output {
        subscription_id: Some(id.to_string()),
        cursor,
        delivery: "notifications/message with logger github.events on the session's GET stream",
        listen_uris: Vec::new(),
    })
}

/// The event lists that together hold whatever the filters let through.
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
