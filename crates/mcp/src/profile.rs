//! What the server says of itself, in `initialize`, `server/discover` and results.

use serde_json::{Map, Value};

use crate::{capability::Capabilities, version::ProtocolVersion};

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
