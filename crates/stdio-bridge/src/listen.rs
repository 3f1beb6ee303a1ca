//! Stateless era: a subscription that outlives its stream.
//!
//! A listen stream has no event ids and cannot be resumed: after a reconnect, a client reads again
//! the things that it cares about (MCP 2026-07-28, "Subscriptions"). The client does not see that
//! its stream broke, so after each further acknowledgement the bridge notifies it that everything
//! may have changed.

use std::time::Duration;

use bytes::Bytes;
use http_client::Backoff;
use mcp::{
    RequestId, envelope,
    line::{OpenRequests, ServerMessageKind},
    method,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use crate::{
    bridge::Bridge,
    call::PendingCall,
    error::ExchangeError,
    events::ResponseEvents,
    http::{body, is_stream, may_pass},
    limits::{STREAM_HEALTHY_AFTER, STREAM_PAUSE, STREAM_PAUSE_MAX, STREAM_SILENCE},
};

const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// The notifications that the server has agreed to send.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
struct AcknowledgedFilter {
    tools_list_changed: bool,
    prompts_list_changed: bool,
    resources_list_changed: bool,
    resource_subscriptions: Vec<String>,
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

impl AcknowledgedFilter {
    /// Reads a message; `None` if it is not an acknowledgement.
    fn read(message: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Message {
            method: String,
            #[serde(default)]
            params: Params,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Params {
            notifications: AcknowledgedFilter,
        }
        let message: Message = serde_json::from_slice(message).ok()?;
        (message.method == method::LISTEN_ACKNOWLEDGED).then_some(message.params.notifications)
    }

    fn is_nothing(&self) -> bool {
        self.hints(&RequestId::Integer(0)).is_empty() && self.others.is_empty()
    }

    /// Notifications that everything may have changed. There is none for tasks: their notification
    /// contains the whole task.
    fn hints(&self, id: &RequestId) -> Vec<Bytes> {
        let meta = json!({ SUBSCRIPTION_ID: id });
        let lists = [
            (self.tools_list_changed, method::TOOLS_LIST_CHANGED),
            (self.prompts_list_changed, method::PROMPTS_LIST_CHANGED),
            (self.resources_list_changed, method::RESOURCES_LIST_CHANGED),
        ];
        let lists = lists.iter().filter(|(acknowledged, _)| *acknowledged);
        let lists =
            lists.map(|(_, name)| envelope::notification(name, Some(&json!({ "_meta": meta }))));
        let resources = self.resource_subscriptions.iter().map(|uri| {
            let params = json!({ "uri": uri, "_meta": meta });
            envelope::notification(method::RESOURCES_UPDATED, Some(&params))
        });
        lists.chain(resources).collect()
    }
}

/// The outcome of one stream.
enum ListenOutcome {
    /// The call is finished: all responses have been passed on.
    Done,
    /// The stream has ended, and the subscription should continue.
    Reconnect,
}

impl Bridge {
    /// Keeps a subscription open until the client cancels it or the server refuses it.
    pub(crate) async fn listen(&self, call: &mut PendingCall) -> Result<(), ExchangeError> {
        let Some(id) = call.open.ids().first().cloned() else {
            return Ok(());
        };
        let mut backoff = Backoff::new(STREAM_PAUSE, STREAM_PAUSE_MAX);
        let mut acknowledged = false;
        loop {
            let began = Instant::now();
            match self.round(call, &id, &mut acknowledged).await {
                Ok(ListenOutcome::Done) => return Ok(()),
                Err(failure) if !acknowledged => return Err(failure),
                Ok(ListenOutcome::Reconnect) => {
                    debug!("a subscription's stream ended; listening again");
                }
                Err(failure) => debug!(error = %failure, "cannot listen again yet"),
            }
            if began.elapsed() > STREAM_HEALTHY_AFTER {
                backoff.reset();
            }
            call.open = OpenRequests::one(id.clone());
            sleep(backoff.pause().max(Duration::ZERO)).await;
        }
    }

    async fn round(
        &self,
        call: &mut PendingCall,
        id: &RequestId,
        acknowledged: &mut bool,
    ) -> Result<ListenOutcome, ExchangeError> {
        let response = self.http.post(&call.head.headers, &call.line.text).await?;
        let status = response.status();
        if !is_stream(&response) {
            if *acknowledged && may_pass(status) {
                return Err(ExchangeError::Http(status));
            }
            let answer = body(response).await?;
            self.forward(call, status, None, &answer).await?;
            return Ok(ListenOutcome::Done);
        }
        let mut events = ResponseEvents::new(response);
        let mut nothing = false;
        while let Some(line) = events.next(STREAM_SILENCE).await {
            if let Some(filter) = AcknowledgedFilter::read(&line) {
                nothing = filter.is_nothing();
                if std::mem::replace(acknowledged, true) {
                    info!("a subscription continues after an interruption");
                    for hint in filter.hints(id) {
                        self.out.line(hint).await;
                    }
                } else {
                    self.out.line(line).await;
                }
                continue;
            }
            let is_end = call.open.register(&line) != ServerMessageKind::Other;
            if is_end && *acknowledged && !nothing && is_result(&line) {
                // The edge is draining; another edge continues the subscription.
                return Ok(ListenOutcome::Reconnect);
            }
            self.out.line(line).await;
            if is_end {
                return Ok(ListenOutcome::Done);
            }
        }
        if *acknowledged {
            Ok(ListenOutcome::Reconnect)
        } else {
            Err(ExchangeError::Broken)
        }
    }
}

/// Whether a response is a result, not an error.
pub(crate) fn is_result(message: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Message {
        #[serde(rename = "result")]
        _result: serde::de::IgnoredAny,
    }
    serde_json::from_slice::<Message>(message).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(notifications: &Value) -> AcknowledgedFilter {
        let message = json!({ "jsonrpc": "2.0", "method": method::LISTEN_ACKNOWLEDGED,
            "params": { "notifications": notifications } });
        AcknowledgedFilter::read(message.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn after_a_break_everything_that_was_listened_to_may_have_changed() {
        let all = filter(
            &json!({ "toolsListChanged": true, "promptsListChanged": false,
            "resourceSubscriptions": ["github://events"] }),
        );
        let hints = all.hints(&RequestId::Text("7".into()));
        let hints: Vec<Value> = hints
            .iter()
            .map(|hint| serde_json::from_slice(hint).unwrap())
            .collect();
        let named: Vec<_> = hints
            .iter()
            .map(|hint| (hint["method"].as_str().unwrap(), &hint["params"]["uri"]))
            .collect();
        let uri = json!("github://events");
        assert_eq!(
            named,
            [
                ("notifications/tools/list_changed", &Value::Null),
                ("notifications/resources/updated", &uri)
            ]
        );
        assert!(
            hints
                .iter()
                .all(|hint| hint["params"]["_meta"][SUBSCRIPTION_ID] == "7")
        );
    }

    #[test]
    fn a_subscription_to_nothing_is_known_as_such() {
        assert!(filter(&json!({})).is_nothing());
        assert!(!filter(&json!({ "taskIds": ["t"] })).is_nothing());
        assert!(
            AcknowledgedFilter::read(br#"{"jsonrpc":"2.0","method":"notifications/message"}"#)
                .is_none()
        );
    }
}
