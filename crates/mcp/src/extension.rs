//! Extensions that the server declares (MCP 2026-07-28, Base Protocol, "Capabilities").

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// `capabilities.extensions` of `server/discover`: id to settings. An extension without settings
/// has an empty object.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Extensions(BTreeMap<&'static str, Map<String, Value>>);

impl Extensions {
    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// With an extension that has no settings.
    #[must_use]
    pub fn with(self, id: &'static str) -> Self {
        self.with_settings(id, Map::new())
    }

    /// With an extension and its settings.
    #[must_use]
    pub fn with_settings(mut self, id: &'static str, settings: Map<String, Value>) -> Self {
        self.0.insert(id, settings);
        self
    }

    /// Whether it is declared.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Whether none is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As JSON.
    #[must_use]
    pub fn describe(&self) -> Value {
        let entries = self.0.iter();
        Value::Object(
            entries
                .map(|(id, settings)| ((*id).to_owned(), Value::Object(settings.clone())))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ProtocolVersion,
        capability::Capabilities,
        profile::{ServerInfo, ServerProfile},
        stateless::discover_result,
        task,
    };
    use serde_json::json;

    #[test]
    fn discover_lists_the_extensions_and_nothing_where_there_are_none() {
        let profile = ServerProfile {
            info: ServerInfo::new("f", "1"),
            capabilities: Capabilities::default(),
            instructions: None,
        };
        let declared = |extensions: &Extensions| {
            let result = discover_result(ProtocolVersion::V2026_07_28, &profile);
            let result = serde_json::to_value(result.with_extensions(extensions)).unwrap();
            result["capabilities"].clone()
        };
        assert_eq!(declared(&Extensions::none()), json!({}));
        let settings = Map::from_iter([("listChanged".to_owned(), json!(true))]);
        let some = Extensions::none()
            .with(task::EXTENSION)
            .with_settings("io.modelcontextprotocol/events", settings);
        assert_eq!(
            declared(&some),
            json!({"extensions": {
                "io.modelcontextprotocol/events": {"listChanged": true},
                "io.modelcontextprotocol/tasks": {}
            }})
        );
    }
}
