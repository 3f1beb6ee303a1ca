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
use mcp_server::{
    CallError, Caller, Policy, RateClass,
    answer_size::{RESULT_SIZE_HINT, structured_result},
    arguments::Arguments,
    tool::Tool,
};
use model::{FilterSet, SubscriptionId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use subscriptions::{ClientId, ClientIdError};

use super::{
    GetEvent, GetRecentEvents, ReplayEvents, SubscribeToEvents, answer_input::AnswerInput,
};
use crate::{
    events::EventAccess,
    limits::NOTE_BYTES,
    sessions::{SessionEditor, change_session},
    subscriptions::{ClientSubscriptions, ListedSubscriptions},
};

const NAME: &str = "manage_events";
/// The field of the confirmation form, and the key of the question.
const CONFIRM: &str = "unsubscribe";

/// The action.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    Subscribe,
    GetRecent,
    GetEvent,
    Replay,
    Unsubscribe,
    List,
}

/// The action, and the arguments of the tool that it stands for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", expecting = "an object")]
#[schemars(rename = "Input")]
struct ManageInput {
    /// subscribe, get_recent, get_event, replay, unsubscribe or list.
    action: Action,
    /// The subscription to end (unsubscribe).
    #[serde(default)]
    subscription_id: Option<String>,
    /// End all subscriptions (unsubscribe). The user is asked to confirm if the client supports it.
    #[serde(default, deserialize_with = "lenient::flag")]
    all: bool,
    /// Arguments of subscribe_to_events, get_recent_events, get_event or replay_events.
    #[serde(flatten)]
    arguments: Map<String, Value>,
}

/// What list takes beside the action.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "for the schema; the arguments have it")]
struct ListInput {
    /// List the subscriptions under this name of a client alone; with subscribe as in subscribe_to_events.
    client_id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionEntry<'a> {
    subscription_id: &'a str,
    filters: &'a FilterSet,
    created_at: model::Timestamp,
    /// The name under which it lives beyond the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    /// When it ends if it is not used; one of the session alone ends with the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<model::Timestamp>,
}

/// The tool.
pub(crate) struct ManageEvents {
    events: EventAccess,
    subscribe: SubscribeToEvents,
    recent: GetRecentEvents,
    event: GetEvent,
    replay: ReplayEvents,
    sessions: Arc<dyn SessionEditor>,
    subscriptions: Arc<dyn ClientSubscriptions>,
}

impl ManageEvents {
    pub(crate) fn new(
        events: EventAccess,
        subscribe: SubscribeToEvents,
        (recent, event, replay): (GetRecentEvents, GetEvent, ReplayEvents),
        sessions: Arc<dyn SessionEditor>,
        subscriptions: Arc<dyn ClientSubscriptions>,
    ) -> Self {
        Self {
            events,
            subscribe,
            recent,
            event,
            replay,
            sessions,
            subscriptions,
        }
    }
}

#[async_trait]
impl Tool for ManageEvents {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<ManageInput>(
            NAME,
            "Manage GitHub events",
            "Use this to list subscriptions to GitHub events and to end them: list (with clientId: those of the client) \
             and unsubscribe (by subscriptionId, or all). It also stands for the other event tools: subscribe (like \
             subscribe_to_events), get_recent (like get_recent_events), get_event and replay (like replay_events). GitHub's own word for a change goes into filters here, because \
             action is the name of the call.",
            ToolAnnotations::additive(),
        )
        .with_more_input::<ListInput>()
        .with_meta(RESULT_SIZE_HINT)
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
        let client = input.arguments.get("clientId").cloned();
        let arguments = Value::Object(input.arguments).to_string();
        let arguments = RawValue::from_string(arguments).ok();
        let call = CallToolParams {
            name: call.name.clone(),
            arguments,
        };
        match input.action {
            Action::Subscribe => self.subscribe.call(caller, &call).await,
            Action::GetRecent => self.recent.call(caller, &call).await,
            Action::GetEvent => self.event.call(caller, &call).await,
            Action::Replay => self.replay.call(caller, &call).await,
            Action::Unsubscribe if input.all => self.unsubscribe_all(caller).await,
            Action::Unsubscribe => {
                let id = input.subscription_id.as_deref();
                self.unsubscribe(caller, id).await
            }
            Action::List => {
                let client = listed_client(client.as_ref())?;
                let form = Arguments::of(&call)?.take::<AnswerInput>()?.form();
                self.list(caller, client.as_ref(), form.max_bytes).await
            }
        }
    }
}

/// The client whose subscriptions are listed; an empty name counts as absent.
fn listed_client(given: Option<&Value>) -> Result<Option<ClientId>, InputError> {
    let name = match given {
        None | Some(Value::Null) => "",
        Some(Value::String(name)) => name.trim(),
        Some(_) => return Err(InputError::new("clientId", "must be a string")),
    };
    let client = Some(name)
        .filter(|name| !name.is_empty())
        .map(ClientId::new);
    let refused = |error: ClientIdError| InputError::new("clientId", &error.to_string());
    client.transpose().map_err(refused)
}

impl ManageEvents {
    /// Where the rest of a list is.
    fn way_to_rest(&self) -> String {
        format!(
            "there are more; GET {} has all subscriptions with a clientId, in pages, list with a clientId those of the \
             client, and maxBytes makes this list longer",
            self.events.path("/events/subscribe")
        )
    }

    /// Ends a subscription of the session, of the client's name, or of both.
    async fn unsubscribe(
        &self,
        caller: &Caller,
        id: Option<&str>,
    ) -> Result<CallToolResult, CallError> {
        let missing = |reason: &str| InputError::new("subscriptionId", reason);
        let id = id.ok_or_else(|| missing("required to unsubscribe"))?;
        let session = caller.session();
        let own = session.as_deref().map(|session| &session.id);
        let owner = &caller.principal.id;
        let deleted = match SubscriptionId::new(id) {
            Ok(id) => self.subscriptions.delete(owner, &id, own).await?,
            Err(_) => false,
        };
        let removed = match session.is_some() {
            true => {
                change_session(&*self.sessions, caller, |session| {
                    let before = session.subscriptions.len();
                    session
                        .subscriptions
                        .retain(|subscription| subscription.id.as_str() != id);
                    session.subscriptions.len() < before
                })
                .await?
            }
            false => false,
        };
        match (deleted || removed, session.is_some()) {
            (true, _) => Ok(structured_result(
                &serde_json::json!({ "success": true, "unsubscribed": id }),
            )),
            (false, true) => Err(missing("no such subscription of this session").into()),
            (false, false) => Err(missing(
                "no such subscription; this protocol version has no sessions, so only those with a clientId",
            )
            .into()),
        }
    }

    /// Ends every subscription of the session, also where it lives beyond it, unless the user declines.
    async fn unsubscribe_all(&self, caller: &Caller) -> Result<CallToolResult, CallError> {
        let Some(session) = caller.session() else {
            let reason = "this protocol version has no sessions: end those with a clientId by subscriptionId";
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
        for id in &ids {
            let own = Some(&session.id);
            self.subscriptions
                .delete(&caller.principal.id, id, own)
                .await?;
        }
        // Only those that the user was asked about; a later one stays.
        let ended = change_session(&*self.sessions, caller, |session| {
            let before = session.subscriptions.len();
            session
                .subscriptions
                .retain(|subscription| !ids.contains(&subscription.id));
            before - session.subscriptions.len()
        });
        Ok(structured_result(
            &serde_json::json!({ "success": true, "unsubscribedCount": ended.await? }),
        ))
    }

    /// The subscriptions of the session, if there is one, and the first of those that live beyond it; with a name
    /// those of the client.
    async fn list(
        &self,
        caller: &Caller,
        client: Option<&ClientId>,
        max_bytes: usize,
    ) -> Result<CallToolResult, CallError> {
        let session = caller.session();
        let session = session.as_deref();
        let owner = &caller.principal.id;
        let ListedSubscriptions {
            subscriptions: kept,
            has_more,
        } = self.subscriptions.list(owner, client).await?;
        let session = session.filter(|_| client.is_none());
        let own = session.map_or(&[][..], |session| &session.subscriptions);
        let of_session = own
            .iter()
            .filter(|own| kept.iter().all(|kept| kept.id != own.id));
        let of_session = of_session.map(|subscription| SubscriptionEntry {
            subscription_id: subscription.id.as_str(),
            filters: &subscription.filters,
            created_at: subscription.created_at,
            client_id: None,
            expires_at: None,
        });
        let beyond = kept.iter().map(|subscription| SubscriptionEntry {
            subscription_id: subscription.id.as_str(),
            filters: &subscription.filters,
            created_at: subscription.created_at,
            client_id: subscription.client.as_ref().map(ClientId::as_str),
            expires_at: Some(subscription.expires_at),
        });
        let (mut listed, mut bytes, mut has_more) = (Vec::new(), 0, has_more);
        for entry in of_session.chain(beyond) {
            // With the comma before it.
            bytes += serde_json::to_vec(&entry).map_or(0, |json| json.len() + 1);
            if bytes > max_bytes - NOTE_BYTES && !listed.is_empty() {
                has_more = true;
                break;
            }
            listed.push(entry);
        }
        let mut told = serde_json::json!({
            "success": true, "count": listed.len(), "subscriptions": listed,
        });
        if has_more {
            told["hasMore"] = true.into();
            told["notes"] = vec![self.way_to_rest()].into();
        }
        Ok(structured_result(&told))
    }
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
