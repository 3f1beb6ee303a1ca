//! Messages that exist only in the handshake era: the answer to `initialize`, and small parameters
//! of session methods.

use serde::{Deserialize, Deserializer, Serialize, de::IntoDeserializer as _};
use serde_json::Value;

use crate::{envelope::RequestId, log::LogLevel, profile::ServerProfile, version::ProtocolVersion};

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
    /// The lowest severity that the client receives.
    #[serde(deserialize_with = "level")]
    pub level: LogLevel,
}

/// An enumeration alone says of a number that it is no JSON.
fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LogLevel, D::Error> {
    let name = String::deserialize(deserializer)?;
    LogLevel::deserialize(name.into_deserializer())
}

/// Params of `notifications/cancelled`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelledParams {
    /// The request that the client cancels.
    pub request_id: RequestId,
    /// The reason, for the log.
    #[serde(default)]
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        capability::{Capabilities, ListChanged, ResourceCapability},
        profile::ServerInfo,
    };

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
    }
}
