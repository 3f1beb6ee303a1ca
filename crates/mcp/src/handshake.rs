//! What only the handshake era has: the answer to `initialize`, and small parameters of session
//! methods.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    dispatch::LogLevel,
    envelope::{self, RequestId},
    version::ProtocolVersion,
};

/// What the server is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerInfo {
    /// For programs.
    pub name: String,
    /// For humans, where the revision has titles.
    pub title: Option<String>,
    /// Of the software.
    pub version: String,
    /// One sentence, from 2025-11-25 on.
    pub description: Option<String>,
    /// From 2025-11-25 on.
    pub website_url: Option<String>,
}

impl ServerInfo {
    /// Name and version alone.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            title: None,
            version: version.into(),
            description: None,
            website_url: None,
        }
    }

    /// The `Implementation` of a revision.
    #[must_use]
    pub fn describe(&self, version: ProtocolVersion) -> Value {
        let mut info = Map::new();
        let mut put = |key: &str, value: Option<&String>| {
            if let Some(value) = value {
                info.insert(key.into(), Value::from(value.as_str()));
            }
        };
        put("name", Some(&self.name));
        put("version", Some(&self.version));
        if version.has_titles() {
            put("title", self.title.as_ref());
        }
        if version.has_server_description() {
            put("description", self.description.as_ref());
            put("websiteUrl", self.website_url.as_ref());
        }
        Value::Object(info)
    }
}

/// What the server can do. It has to agree with what really answers: clients and the conformance
/// suite take a capability at its word, and its absence too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capabilities {
    /// `tools/*`; the value says whether changes of the list are announced.
    pub tools: Option<ListChanged>,
    /// `resources/*`.
    pub resources: Option<ResourceCapability>,
    /// `prompts/*`.
    pub prompts: Option<ListChanged>,
    /// `completion/complete`.
    pub completions: bool,
    /// `notifications/message`.
    pub logging: bool,
}

/// Whether changes of a list are announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ListChanged(pub bool);

/// What resources can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResourceCapability {
    /// Whether a client can ask for `notifications/resources/updated`.
    pub subscribe: bool,
    /// Whether changes of the list are announced.
    pub list_changed: ListChanged,
}

impl Capabilities {
    /// The `ServerCapabilities` of a revision.
    #[must_use]
    pub fn describe(&self, version: ProtocolVersion) -> Value {
        let mut all = Map::new();
        let list = |ListChanged(changed)| json!({"listChanged": changed});
        if let Some(tools) = self.tools {
            all.insert("tools".into(), list(tools));
        }
        if let Some(resources) = self.resources {
            let mut described = list(resources.list_changed);
            described["subscribe"] = resources.subscribe.into();
            all.insert("resources".into(), described);
        }
        if let Some(prompts) = self.prompts {
            all.insert("prompts".into(), list(prompts));
        }
        // `completions` came with 2025-03-26, together with annotations.
        if self.completions && version.has_annotations() {
            all.insert("completions".into(), json!({}));
        }
        if self.logging {
            all.insert("logging".into(), json!({}));
        }
        Value::Object(all)
    }
}

/// What `initialize` and `server/discover` tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerProfile {
    /// What the server is.
    pub info: ServerInfo,
    /// What it can do.
    pub capabilities: Capabilities,
    /// How a model should use it.
    pub instructions: Option<String>,
}

/// `InitializeResult` (MCP 2025-11-25, Lifecycle, "Initialization") for the negotiated revision.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InitializeResult<'a> {
    protocol_version: &'static str,
    capabilities: Value,
    server_info: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
}

/// Builds the answer to `initialize`.
#[must_use]
pub fn initialize_result(
    version: ProtocolVersion,
    profile: &ServerProfile,
) -> InitializeResult<'_> {
    InitializeResult {
        protocol_version: version.as_str(),
        capabilities: profile.capabilities.describe(version),
        server_info: profile.info.describe(version),
        instructions: profile.instructions.as_deref(),
    }
}

/// Params of `logging/setLevel`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub struct SetLevelParams {
    /// This and everything above.
    pub level: LogLevel,
}

/// Params of `notifications/cancelled`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelledParams {
    /// The request that is not wanted any more.
    pub request_id: RequestId,
    /// Why, for the log.
    #[serde(default)]
    pub reason: Option<String>,
}

#[derive(Serialize)]
struct LogParams<'a> {
    level: LogLevel,
    logger: &'a str,
    data: &'a Value,
}

/// `notifications/message` (MCP 2025-11-25, Utilities, "Logging").
#[must_use]
pub fn log_message(level: LogLevel, logger: &str, data: &Value) -> Bytes {
    let params = LogParams {
        level,
        logger,
        data,
    };
    envelope::notification(crate::method::MESSAGE, Some(&params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> ServerProfile {
        ServerProfile {
            info: ServerInfo {
                title: Some("Forgewire".into()),
                description: Some("GitHub events".into()),
                ..ServerInfo::new("forgewire", "1.0.0")
            },
            capabilities: Capabilities {
                tools: Some(ListChanged(true)),
                resources: Some(ResourceCapability {
                    subscribe: true,
                    list_changed: ListChanged(false),
                }),
                completions: true,
                logging: true,
                ..Capabilities::default()
            },
            instructions: Some("Subscribe first.".into()),
        }
    }

    fn initialize(version: ProtocolVersion) -> Value {
        serde_json::to_value(initialize_result(version, &profile())).unwrap()
    }

    #[test]
    fn initialize_tells_the_oldest_client_only_what_its_revision_knows() {
        assert_eq!(
            initialize(ProtocolVersion::V2024_11_05),
            json!({
                "protocolVersion": "2024-11-05",
                "capabilities": {
                    "tools": {"listChanged": true},
                    "resources": {"subscribe": true, "listChanged": false},
                    "logging": {}
                },
                "serverInfo": {"name": "forgewire", "version": "1.0.0"},
                "instructions": "Subscribe first."
            })
        );
    }

    #[test]
    fn titles_and_descriptions_come_with_their_revision() {
        let info = |version| initialize(version)["serverInfo"].clone();
        assert_eq!(info(ProtocolVersion::V2025_06_18)["title"], "Forgewire");
        assert_eq!(info(ProtocolVersion::V2025_06_18).get("description"), None);
        let newest = info(ProtocolVersion::V2025_11_25);
        assert_eq!(newest["description"], "GitHub events");
        let capabilities = initialize(ProtocolVersion::V2025_03_26)["capabilities"].clone();
        assert_eq!(capabilities["completions"], json!({}));
        assert_eq!(capabilities.get("prompts"), None);
    }

    #[test]
    fn session_params_are_read() {
        let level: SetLevelParams = serde_json::from_str(r#"{"level":"warning"}"#).unwrap();
        assert!(level.level > LogLevel::Info);
        let cancelled: CancelledParams = serde_json::from_str(r#"{"requestId":"7"}"#).unwrap();
        assert_eq!(cancelled.request_id, RequestId::Text("7".into()));
        let bytes = log_message(LogLevel::Info, "edge", &json!("hello"));
        assert_eq!(
            serde_json::from_slice::<Value>(&bytes).unwrap(),
            json!({
                "jsonrpc": "2.0", "method": "notifications/message",
                "params": {"level": "info", "logger": "edge", "data": "hello"}
            })
        );
    }
}
