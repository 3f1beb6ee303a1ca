//! `manage_events`: the other event tools in one, with unsubscribe and list.

use std::sync::Arc;

use async_trait::async_trait;
use mcp::{
    client::{
        ClientRequest, ClientResult, ElicitResult, Elicitation, Form, FormField, FormProperty,
    },
    lenient,
    params::InputError,
    tool::{CallToolParams, CallToolResult, ToolAnnotations, ToolDescriptor},
};
use mcp_server::{CallError, Caller, Policy, RateClass, tool::Tool};
use model::{FilterSet, Session};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use super::{GetRecentEvents, ReplayEvents, SubscribeToEvents, structured};
use crate::sessions::{SessionEditor, change_session};

const NAME: &str = "manage_events";
/// The field of the confirmation form, and the key of the question.
const CONFIRM: &str = "unsubscribe";

/// The action.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    Subscribe,
    GetRecent,
    Replay,
    Unsubscribe,
    List,
}

/// The action, and the arguments of the tool that it stands for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", expecting = "an object")]
#[schemars(rename = "Input")]
struct ManageInput {
    /// subscribe, get_recent, replay, unsubscribe or list.
    action: Action,
    /// The subscription to end (unsubscribe).
    #[serde(default)]
    subscription_id: Option<String>,
    /// End all subscriptions (unsubscribe). The user is asked to confirm if the client supports it.
    #[serde(default, deserialize_with = "lenient::flag")]
    all: bool,
    /// Arguments of subscribe_to_events, get_recent_events or replay_events.
    #[serde(flatten)]
    arguments: Map<String, Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionEntry<'a> {
    subscription_id: &'a str,
    filters: &'a FilterSet,
    created_at: model::Timestamp,
}

/// The tool.
pub(crate) struct ManageEvents {
    subscribe: SubscribeToEvents,
    recent: GetRecentEvents,
    replay: ReplayEvents,
    sessions: Arc<dyn SessionEditor>,
}

impl ManageEvents {
    pub(crate) fn new(
        subscribe: SubscribeToEvents,
        recent: GetRecentEvents,
        replay: ReplayEvents,
        sessions: Arc<dyn SessionEditor>,
    ) -> Self {
        Self {
            subscribe,
            recent,
            replay,
            sessions,
        }
    }
}

#[async_trait]
impl Tool for ManageEvents {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<ManageInput>(
            NAME,
            "Manage GitHub events",
            "All event tools in one: subscribe (like subscribe_to_events), get_recent (like \
             get_recent_events), replay (like replay_events), unsubscribe (by subscriptionId, or all) and \
             list.",
            ToolAnnotations::additive(),
        )
    }

    fn policy(&self) -> Policy {
        // Costs as much as the most expensive tool it stands for.
        Policy::read(RateClass::Wait)
    }

    async fn call(
        &self,
        caller: &Caller,
        call: &CallToolParams,
    ) -> Result<CallToolResult, CallError> {
        let input: ManageInput = call.arguments()?;
        let arguments = Value::Object(input.arguments).to_string();
        let arguments = RawValue::from_string(arguments).ok();
        let call = CallToolParams {
            name: call.name.clone(),
            arguments,
        };
        match input.action {
            Action::Subscribe => self.subscribe.call(caller, &call).await,
            Action::GetRecent => self.recent.call(caller, &call).await,
            Action::Replay => self.replay.call(caller, &call).await,
            Action::Unsubscribe if input.all => unsubscribe_all(&*self.sessions, caller).await,
            Action::Unsubscribe => {
                let id = input.subscription_id.as_deref();
                unsubscribe(&*self.sessions, caller, id).await
            }
            Action::List => list(caller.session.as_deref()),
        }
    }
}

async fn unsubscribe(
    sessions: &dyn SessionEditor,
    caller: &Caller,
    id: Option<&str>,
) -> Result<CallToolResult, CallError> {
    let missing = |reason: &str| InputError::new("subscriptionId", reason);
    let id = id.ok_or_else(|| missing("required to unsubscribe"))?;
    if caller.session.is_none() {
        return Err(missing("this protocol version has no sessions, so no subscriptions").into());
    }
    let removed = change_session(sessions, caller, |session| {
        let before = session.subscriptions.len();
        session
            .subscriptions
            .retain(|subscription| subscription.id.as_str() != id);
        session.subscriptions.len() < before
    });
    match removed.await? {
        true => Ok(structured(&serde_json::json!({ "unsubscribed": id }))),
        false => Err(missing("no such subscription of this session").into()),
    }
}

/// Ends every subscription of the session, unless the user declines.
async fn unsubscribe_all(
    sessions: &dyn SessionEditor,
    caller: &Caller,
) -> Result<CallToolResult, CallError> {
    let Some(session) = caller.session.as_deref() else {
        let reason = "this protocol version has no sessions, so no subscriptions";
        return Err(InputError::new("all", reason).into());
    };
    let ids: Vec<_> = session
        .subscriptions
        .iter()
        .map(|subscription| subscription.id.clone())
        .collect();
    if !ids.is_empty() && !confirmed(caller, ids.len()).await? {
        return Ok(CallToolResult::failed(
            "the user did not confirm; no subscription was ended",
        ));
    }
    // Only those that the user was asked about; a later one stays.
    let ended = change_session(sessions, caller, |session| {
        let before = session.subscriptions.len();
        session
            .subscriptions
            .retain(|subscription| !ids.contains(&subscription.id));
        before - session.subscriptions.len()
    });
    Ok(structured(
        &serde_json::json!({ "unsubscribedCount": ended.await? }),
    ))
}

/// Asks the user to confirm, if the client supports questions; otherwise counts as confirmed,
/// because such a client decides itself whether to ask before a call.
async fn confirmed(caller: &Caller, count: usize) -> Result<bool, CallError> {
    let form = Form::new(vec![
        FormProperty::required(CONFIRM, FormField::boolean())
            .titled("Unsubscribe")
            .described("Ends every subscription of this session"),
    ]);
    let question = ClientRequest::Elicit(Elicitation::Form {
        message: format!("Unsubscribe from all {count} event subscriptions of this session?"),
        form,
    });
    if !caller.can_ask(&question) {
        return Ok(true);
    }
    Ok(match caller.ask(CONFIRM, question).await? {
        ClientResult::Elicited(ElicitResult::Accepted(content)) => {
            content.get(CONFIRM).and_then(Value::as_bool) == Some(true)
        }
        _ => false,
    })
}

fn list(session: Option<&Session>) -> Result<CallToolResult, CallError> {
    let subscriptions = session.map_or(&[][..], |session| &session.subscriptions);
    let listed: Vec<_> = subscriptions
        .iter()
        .map(|subscription| SubscriptionEntry {
            subscription_id: subscription.id.as_str(),
            filters: &subscription.filters,
            created_at: subscription.created_at,
        })
        .collect();
    Ok(structured(&serde_json::json!({ "subscriptions": listed })))
}
