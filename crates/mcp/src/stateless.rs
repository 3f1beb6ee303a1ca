//! Methods that exist only in the stateless era: `server/discover` and `subscriptions/listen` (MCP
//! 2026-07-28).

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    answer::{EmptyResult, VersionedResult},
    capability::{Capabilities, ClientCapabilities, ListChanged},
    envelope::{RequestId, RpcError},
    extension::Extensions,
    lenient,
    limits::{MAX_LISTEN_TASKS, MAX_LISTEN_URIS, MAX_TASK_ID_BYTES, MAX_URI_BYTES},
    method,
    params::{self, InputError},
    profile::{ServerInfo, ServerProfile},
    refusal::HttpRefusal,
    sse,
    tagged::{SUBSCRIPTION_ID, TaggedNotification},
    task,
    version::ProtocolVersion,
};

/// `DiscoverResult`, to be wrapped in an [`VersionedResult`] with a cache hint.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoverResult<'a> {
    supported_versions: [&'static str; 1],
    capabilities: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
}

/// Builds the answer to `server/discover`. It lists only the stateless revisions: clients reach the
/// others through `initialize`, and the list of -32022 has to be a subset of this one.
#[must_use]
pub fn discover_result(version: ProtocolVersion, profile: &ServerProfile) -> DiscoverResult<'_> {
    DiscoverResult {
        supported_versions: ProtocolVersion::STATELESS.map(ProtocolVersion::as_str),
        capabilities: profile.capabilities.describe(version),
        instructions: profile.instructions.as_deref(),
    }
}

impl DiscoverResult<'_> {
    /// Declares the extensions as well; without extensions the member is absent.
    #[must_use]
    pub fn with_extensions(mut self, extensions: &Extensions) -> Self {
        if !extensions.is_empty() {
            self.capabilities["extensions"] = extensions.describe();
        }
        self
    }
}

/// The notifications of a listen stream: those that the client requested, or those that the server
/// accepts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenFilter {
    /// `notifications/tools/list_changed`.
    #[serde(skip_serializing_if = "is_off")]
    pub tools_list_changed: bool,
    /// `notifications/prompts/list_changed`.
    #[serde(skip_serializing_if = "is_off")]
    pub prompts_list_changed: bool,
    /// `notifications/resources/list_changed`.
    #[serde(skip_serializing_if = "is_off")]
    pub resources_list_changed: bool,
    /// `notifications/resources/updated` for exactly these URIs, as the client spelt them; up to
    /// 256.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub resource_subscriptions: BTreeSet<String>,
    /// `notifications/tasks` for these tasks (tasks extension); up to 256.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub task_ids: BTreeSet<String>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_off(flag: &bool) -> bool {
    !*flag
}

#[derive(Deserialize)]
struct ListenParams {
    notifications: ListenWire,
}

/// Unknown members are extensions that this server does not support; the acknowledgement omits
/// them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct ListenWire {
    #[serde(deserialize_with = "lenient::flag")]
    tools_list_changed: bool,
    #[serde(deserialize_with = "lenient::flag")]
    prompts_list_changed: bool,
    #[serde(deserialize_with = "lenient::flag")]
    resources_list_changed: bool,
    #[serde(deserialize_with = "lenient::null_as_default")]
    resource_subscriptions: Vec<String>,
    #[serde(deserialize_with = "lenient::null_as_default")]
    task_ids: Vec<String>,
}

impl ListenFilter {
    /// Reads the params of `subscriptions/listen`.
    ///
    /// # Errors
    /// -32602: `notifications` is missing or of the wrong shape, has more than 256 URIs or tasks,
    /// or a URI that is empty or longer than 2048 bytes, or a task id longer than 128 bytes.
    pub fn parse(params: Option<&RawValue>) -> Result<Self, RpcError> {
        let ListenParams { notifications } = params::parse(params)?;
        let uris = notifications.resource_subscriptions;
        let tasks = notifications.task_ids;
        let refuse = |member: &str, reason: &str| {
            Err(InputError::new(&format!("notifications.{member}"), reason).into())
        };
        let fits = |text: &String, most: usize| !text.is_empty() && text.len() <= most;
        if uris.len() > MAX_LISTEN_URIS {
            return refuse("resourceSubscriptions", "at most 256 URIs on one stream");
        }
        if !uris.iter().all(|uri| fits(uri, MAX_URI_BYTES)) {
            return refuse("resourceSubscriptions", "a URI has 1 to 2048 bytes");
        }
        if tasks.len() > MAX_LISTEN_TASKS {
            return refuse("taskIds", "at most 256 tasks on one stream");
        }
        if !tasks.iter().all(|id| fits(id, MAX_TASK_ID_BYTES)) {
            return refuse("taskIds", "a task id has 1 to 128 bytes");
        }
        Ok(Self {
            tools_list_changed: notifications.tools_list_changed,
            prompts_list_changed: notifications.prompts_list_changed,
            resources_list_changed: notifications.resources_list_changed,
            resource_subscriptions: uris.into_iter().collect(),
            task_ids: tasks.into_iter().collect(),
        })
    }

    /// Checks that the client declared the extensions of the notifications that it requests
    /// (SEP-2663, "Task Status Notifications").
    ///
    /// # Errors
    /// 400 with -32021: the client requests tasks and does not declare the tasks extension.
    pub fn check_declared(&self, client: &ClientCapabilities) -> Result<(), HttpRefusal> {
        if self.task_ids.is_empty() {
            return Ok(());
        }
        task::require_extension(client)
    }

    /// The subset that the server accepts: lists that `server/discover` declares, and URIs of known
    /// resources. It has no tasks; [`Self::with_tasks`] adds them.
    #[must_use]
    pub fn accepted(&self, can: &Capabilities, mut is_known: impl FnMut(&str) -> bool) -> Self {
        let announced = |list: Option<ListChanged>| list.is_some_and(|ListChanged(yes)| yes);
        let uris = self.resource_subscriptions.iter();
        let known = uris.filter(|uri| is_known(uri)).cloned();
        let subscribe = can.resources.is_some_and(|resources| resources.subscribe);
        Self {
            tools_list_changed: self.tools_list_changed && announced(can.tools),
            prompts_list_changed: self.prompts_list_changed && announced(can.prompts),
            resources_list_changed: self.resources_list_changed
                && announced(can.resources.map(|resources| resources.list_changed)),
            resource_subscriptions: if subscribe {
                known.collect()
            } else {
                BTreeSet::new()
            },
            task_ids: BTreeSet::new(),
        }
    }

    /// The accepted subset with the tasks of `asked` that belong to this principal.
    #[must_use]
    pub fn with_tasks(mut self, asked: &Self, is_own: impl Fn(&str) -> bool) -> Self {
        let own = asked.task_ids.iter().filter(|id| is_own(id));
        self.task_ids = own.cloned().collect();
        self
    }

    /// Whether the filter selects no notification: the stream is then acknowledged and ended at
    /// once.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The first message of a listen stream; no other message may precede it.
#[must_use]
pub fn acknowledged(id: &RequestId, accepted: &ListenFilter) -> Bytes {
    #[derive(Serialize)]
    struct Params<'a> {
        notifications: &'a ListenFilter,
    }
    let params = Params {
        notifications: accepted,
    };
    TaggedNotification::new(method::LISTEN_ACKNOWLEDGED, &params).message(id)
}

/// The last message of a listen stream that the server ends: the result of the listen request.
#[must_use]
pub fn listen_result(version: ProtocolVersion, server: &ServerInfo, id: &RequestId) -> Bytes {
    let tag = serde_json::to_value(id).unwrap_or_default();
    VersionedResult::new(version, server, &EmptyResult)
        .with_meta(SUBSCRIPTION_ID, tag)
        .encode(id)
}

/// The acknowledgement as an SSE frame.
#[must_use]
pub fn acknowledged_frame(id: &RequestId, accepted: &ListenFilter) -> Bytes {
    sse::message(None, &acknowledged(id, accepted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::ResourceCapability;
    use serde_json::json;

    fn raw(json: &Value) -> Box<RawValue> {
        RawValue::from_string(json.to_string()).unwrap()
    }

    fn parse(params: &Value) -> Result<ListenFilter, RpcError> {
        ListenFilter::parse(Some(&raw(params)))
    }

    fn json_of(bytes: &Bytes) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn a_filter_without_notifications_is_refused_and_unknown_members_are_not_accepted() {
        for bad in [
            json!({}),
            json!({"notifications": 1}),
            json!({"notifications": {"toolsListChanged": "yes"}}),
            json!({"notifications": {"resourceSubscriptions": [1]}}),
            json!({"notifications": {"resourceSubscriptions": [""]}}),
            json!({"notifications": {"resourceSubscriptions": vec!["a"; 257]}}),
            json!({"notifications": {"resourceSubscriptions": ["a".repeat(2049)]}}),
            json!({"notifications": {"taskIds": "t"}}),
            json!({"notifications": {"taskIds": [""]}}),
            json!({"notifications": {"taskIds": vec!["t"; 257]}}),
            json!({"notifications": {"taskIds": ["t".repeat(129)]}}),
        ] {
            let error = parse(&bad).unwrap_err();
            assert_eq!(error.code.number(), -32602);
            assert!(error.message.contains("notifications"), "{error}");
        }
        let extended = json!({"notifications": {"eventsListChanged": true}, "_meta": {}});
        assert!(parse(&extended).unwrap().is_empty());
    }

    #[test]
    fn the_acknowledgement_names_the_accepted_subset_and_is_tagged() {
        let asked = parse(&json!({"notifications": {
            "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": false,
            "resourceSubscriptions": ["github://issues/o/r/7", "file:///etc/passwd"]
        }}))
        .unwrap();
        let can = Capabilities {
            tools: Some(ListChanged(true)),
            resources: Some(ResourceCapability {
                subscribe: true,
                list_changed: ListChanged(true),
            }),
            ..Capabilities::default()
        };
        let accepted = asked.accepted(&can, |uri| uri.starts_with("github://"));
        assert_eq!(
            json_of(&acknowledged(&RequestId::Integer(7), &accepted)),
            json!({
                "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                "params": {
                    "notifications": {
                        "toolsListChanged": true, "resourceSubscriptions": ["github://issues/o/r/7"]
                    },
                    "_meta": {"io.modelcontextprotocol/subscriptionId": 7}
                }
            })
        );
        let none = asked.accepted(&Capabilities::default(), |_| true);
        assert!(none.is_empty());
        let ack = json_of(&acknowledged(&RequestId::Text("7".into()), &none));
        assert_eq!(ack["params"]["notifications"], json!({}));
        assert_eq!(ack["params"]["_meta"][SUBSCRIPTION_ID], "7");
    }

    #[test]
    fn tasks_are_listened_to_by_those_who_declare_them_and_own_them() {
        let asked = parse(&json!({"notifications": {"taskIds": ["own", "foreign"]}})).unwrap();
        let client = |value| ClientCapabilities::from_value(value).unwrap();
        let declared = client(json!({"extensions": {task::EXTENSION: {}}}));
        assert_eq!(asked.check_declared(&declared), Ok(()));
        let refusal = asked.check_declared(&client(json!({}))).unwrap_err();
        assert_eq!(refusal.error.code.number(), -32021);
        assert_eq!(
            ListenFilter::default().check_declared(&client(json!({}))),
            Ok(())
        );
        let accepted = asked.accepted(&Capabilities::default(), |_| true);
        assert!(accepted.is_empty());
        let accepted = accepted.with_tasks(&asked, |id| id == "own");
        let ack = json_of(&acknowledged(&RequestId::Integer(7), &accepted));
        assert_eq!(ack["params"]["notifications"], json!({"taskIds": ["own"]}));
    }

    #[test]
    fn the_last_message_is_the_tagged_result_of_the_listen_request() {
        let server = ServerInfo::new("forgewire", "1");
        let id = RequestId::Integer(7);
        let result = json_of(&listen_result(ProtocolVersion::V2026_07_28, &server, &id));
        assert_eq!(result["id"], 7);
        assert_eq!(result["result"]["resultType"], "complete");
        assert_eq!(result["result"]["_meta"][SUBSCRIPTION_ID], 7);
    }

    #[test]
    fn discover_lists_only_what_a_request_can_name() {
        let profile = ServerProfile {
            info: ServerInfo::new("f", "1"),
            capabilities: Capabilities::default(),
            instructions: None,
        };
        let result = discover_result(ProtocolVersion::V2026_07_28, &profile);
        assert_eq!(
            serde_json::to_value(result).unwrap(),
            json!({"supportedVersions": ["2026-07-28"], "capabilities": {}})
        );
    }
}
