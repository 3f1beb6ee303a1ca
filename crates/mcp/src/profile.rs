//! The server's description of itself, in `initialize`, `server/discover` and results.

use serde_json::{Map, Value};

use crate::{capability::Capabilities, version::ProtocolVersion};

/// The identity of the server (`Implementation`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerInfo {
    /// The name for programs.
    pub name: String,
    /// The name for humans, in revisions that have titles.
    pub title: Option<String>,
    /// The version of the software.
    pub version: String,
    /// One sentence, from 2025-11-25 on.
    pub description: Option<String>,
    /// The address of the project's site, from 2025-11-25 on.
    pub website_url: Option<String>,
}

impl ServerInfo {
    /// An identity of name and version only.
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

    /// The `Implementation` in the form of a revision.
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

/// The content of the answers to `initialize` and `server/discover`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerProfile {
    /// The identity of the server.
    pub info: ServerInfo,
    /// The capabilities of the server.
    pub capabilities: Capabilities,
    /// Instructions to a model on how to use the server.
    pub instructions: Option<String>,
}
