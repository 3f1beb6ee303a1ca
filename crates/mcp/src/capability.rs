//! The capabilities that clients and servers declare.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{channel, version::ProtocolVersion};

/// The capabilities of a client, as declared on one request or at `initialize`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientCapabilities(Map<String, Value>);

impl ClientCapabilities {
    /// Wraps a capabilities object; `None` for any other JSON value.
    #[must_use]
    pub fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self(map)),
            _ => None,
        }
    }

    /// Whether a capability such as `sampling` is declared.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Value::is_object)
    }

    /// Whether a nested capability such as `["sampling", "tools"]` is declared.
    #[must_use]
    pub fn declares(&self, path: &[&str]) -> bool {
        let Some((first, rest)) = path.split_first() else {
            return true;
        };
        let mut current = self.0.get(*first);
        for key in rest {
            current = current.and_then(|value| value.get(key));
        }
        current.is_some_and(Value::is_object)
    }

    /// The capabilities object that declares only this nested capability, as
    /// [`crate::HttpRefusal::missing_capability`] expects it.
    #[must_use]
    pub fn only(path: &[&str]) -> Self {
        let mut value = Value::Object(Map::new());
        for key in path.iter().rev() {
            value = Value::Object(Map::from_iter([((*key).to_owned(), value)]));
        }
        Self::from_value(value).unwrap_or_default()
    }

    /// The settings of an extension, if it is declared.
    #[must_use]
    pub fn extension(&self, id: &str) -> Option<&Value> {
        self.0.get("extensions")?.get(id)
    }

    /// As JSON.
    #[must_use]
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// The capabilities of the server. They have to agree with the methods that are served: clients and
/// the conformance suite rely on a declared capability, and on the absence of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capabilities {
    /// `tools/*`, and whether changes of the list are announced.
    pub tools: Option<ListChanged>,
    /// `resources/*`.
    pub resources: Option<ResourceCapability>,
    /// `prompts/*`, and whether changes of the list are announced.
    pub prompts: Option<ListChanged>,
    /// `completion/complete`.
    pub completions: bool,
    /// `notifications/message`.
    pub logging: bool,
    /// `notifications/claude/channel`, an experimental capability.
    pub channels: bool,
}

/// Whether changes of a list are announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ListChanged(pub bool);

/// The features of resources.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResourceCapability {
    /// Whether a client can subscribe to `notifications/resources/updated`.
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
        // `completions` was introduced in 2025-03-26, together with annotations.
        if self.completions && version.has_annotations() {
            all.insert("completions".into(), json!({}));
        }
        if self.logging {
            all.insert("logging".into(), json!({}));
        }
        if self.channels {
            all.insert("experimental".into(), channel::declaration());
        }
        Value::Object(all)
    }
}
