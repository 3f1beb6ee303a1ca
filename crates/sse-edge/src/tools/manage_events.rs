//! `manage_events`: the other event tools under one name, with unsubscribe and list.

use async_trait::async_trait;
use mcp::{
    params::InputError,
    tool::{Annotations, CallParams, CallResult, ToolDescriptor},
};
use model::{FilterSet, Session};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use super::{
    Tool, done, get_recent_events::GetRecentEvents, replay_events::ReplayEvents,
    subscribe_to_events::SubscribeToEvents,
};
use crate::protocol::{CallError, Caller, handshake::update};

const NAME: &str = "manage_events";

/// What to do.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    Subscribe,
    GetRecent,
    Replay,
    Unsubscribe,
    List,
}

/// Input: the action, and beside it the arguments of the tool that it stands for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Input {
    /// subscribe, get_recent, replay, unsubscribe or list.
    action: Action,
    /// Which one (unsubscribe).
    #[serde(default)]
    subscription_id: Option<String>,
    /// Arguments of subscribe_to_events, get_recent_events or replay_events.
    #[serde(flatten)]
    arguments: Map<String, Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    subscription_id: &'a str,
    filters: &'a FilterSet,
    created_at: model::Timestamp,
}

/// The tool.
pub(super) struct ManageEvents;

#[async_trait]
impl Tool for ManageEvents {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<Input>(
            NAME,
            "Manage GitHub events",
            "The event tools under one name: subscribe (as subscribe_to_events), get_recent (as \
             get_recent_events), replay (as replay_events), unsubscribe by subscriptionId, list.",
            Annotations::additive(),
        )
    }

    async fn call(&self, caller: &Caller, call: &CallParams) -> Result<CallResult, CallError> {
        let input: Input = call.arguments()?;
        let arguments = Value::Object(input.arguments).to_string();
        let arguments = RawValue::from_string(arguments).ok();
        let call = CallParams {
            name: call.name.clone(),
            arguments,
        };
        match input.action {
            Action::Subscribe => SubscribeToEvents.call(caller, &call).await,
            Action::GetRecent => GetRecentEvents.call(caller, &call).await,
            Action::Replay => ReplayEvents.call(caller, &call).await,
            Action::Unsubscribe => unsubscribe(caller, input.subscription_id.as_deref()).await,
            Action::List => list(caller.session.as_deref()),
        }
    }
}

async fn unsubscribe(caller: &Caller, id: Option<&str>) -> Result<CallResult, CallError> {
    let missing = |reason: &str| InputError::new("subscriptionId", reason);
    let id = id.ok_or_else(|| missing("unsubscribe needs it"))?;
    if caller.session.is_none() {
        return Err(missing("this protocol version has no sessions, so no subscriptions").into());
    }
    let removed = update(caller, |session| {
        let before = session.subscriptions.len();
        session
            .subscriptions
            .retain(|subscription| subscription.id.as_str() != id);
        session.subscriptions.len() < before
    });
    match removed.await? {
        true => done(&serde_json::json!({ "unsubscribed": id })),
        false => Err(missing("no such subscription of this session").into()),
    }
}

fn list(session: Option<&Session>) -> Result<CallResult, CallError> {
    let subscriptions = session.map_or(&[][..], |session| &session.subscriptions);
    let listed: Vec<_> = subscriptions
        .iter()
        .map(|subscription| Listed {
            subscription_id: subscription.id.as_str(),
            filters: &subscription.filters,
            created_at: subscription.created_at,
        })
        .collect();
    done(&serde_json::json!({ "subscriptions": listed }))
}
