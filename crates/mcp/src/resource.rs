//! Resources: descriptors, parameters and results (MCP, Server Features, "Resources").

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    envelope::{self, RpcError},
    method,
    tagged::TaggedNotification,
    version::ProtocolVersion,
};

/// A resource in `resources/list`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceDescriptor {
    /// The URI to read.
    pub uri: String,
    /// For programs.
    pub name: String,
    /// For humans, where the revision has titles.
    pub title: Option<String>,
    /// For models.
    pub description: Option<String>,
    /// Media type of the contents.
    pub mime_type: Option<String>,
}

/// A pattern of URIs in `resources/templates/list` (RFC 6570).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TemplateDescriptor {
    /// The pattern.
    pub uri_template: String,
    /// For programs.
    pub name: String,
    /// For humans, where the revision has titles.
    pub title: Option<String>,
    /// For models.
    pub description: Option<String>,
    /// Media type of the contents, if all have the same.
    pub mime_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Described<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_template: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'a str>,
}

/// Result of `resources/list`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListResourcesResult<'a> {
    resources: Vec<Described<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
}

/// Result of `resources/templates/list`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListResourceTemplatesResult<'a> {
    resource_templates: Vec<Described<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
}

fn title(version: ProtocolVersion, title: Option<&String>) -> Option<&str> {
    title.filter(|_| version.has_titles()).map(String::as_str)
}

/// Builds the result of `resources/list`.
#[must_use]
pub fn list_result<'a>(
    version: ProtocolVersion,
    resources: &'a [ResourceDescriptor],
    next_cursor: Option<&'a str>,
) -> ListResourcesResult<'a> {
    let describe = |r: &'a ResourceDescriptor| Described {
        uri: Some(&r.uri),
        uri_template: None,
        name: &r.name,
        title: title(version, r.title.as_ref()),
        description: r.description.as_deref(),
        mime_type: r.mime_type.as_deref(),
    };
    ListResourcesResult {
        resources: resources.iter().map(describe).collect(),
        next_cursor,
    }
}

/// Builds the result of `resources/templates/list`.
#[must_use]
pub fn templates_result<'a>(
    version: ProtocolVersion,
    templates: &'a [TemplateDescriptor],
    next_cursor: Option<&'a str>,
) -> ListResourceTemplatesResult<'a> {
    let describe = |t: &'a TemplateDescriptor| Described {
        uri: None,
        uri_template: Some(&t.uri_template),
        name: &t.name,
        title: title(version, t.title.as_ref()),
        description: t.description.as_deref(),
        mime_type: t.mime_type.as_deref(),
    };
    ListResourceTemplatesResult {
        resource_templates: templates.iter().map(describe).collect(),
        next_cursor,
    }
}

/// Params of `resources/read`, `resources/subscribe` and `resources/unsubscribe`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct UriParams {
    /// The resource's URI.
    pub uri: String,
}

/// The contents of a resource.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceContents {
    /// The resource's URI.
    pub uri: String,
    /// Media type of the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The payload.
    #[serde(flatten)]
    pub payload: ResourcePayload,
    /// What is said about the resource beside its payload.
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<ContentsMeta>,
}

/// What is said about a resource beside its payload.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ContentsMeta {
    /// What a reader should know, in sentences.
    #[serde(rename = "forgewire/notes")]
    pub notes: Vec<String>,
}

/// Text or bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourcePayload {
    /// Text.
    Text(String),
    /// Bytes in base64.
    Blob(String),
}

impl ResourceContents {
    /// A JSON document.
    #[must_use]
    pub fn json(uri: &str, json: String) -> Self {
        Self {
            uri: uri.into(),
            mime_type: Some("application/json".into()),
            payload: ResourcePayload::Text(json),
            meta: None,
        }
    }

    /// The same with notes, if there are any.
    #[must_use]
    pub fn with_notes(self, notes: Vec<String>) -> Self {
        Self {
            meta: (!notes.is_empty()).then_some(ContentsMeta { notes }),
            ..self
        }
    }
}

/// Result of `resources/read`. It always has contents: a missing resource is [`not_found`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ReadResourceResult {
    contents: Vec<ResourceContents>,
}

impl ReadResourceResult {
    /// The contents of one resource.
    #[must_use]
    pub fn new(contents: ResourceContents) -> Self {
        Self {
            contents: vec![contents],
        }
    }
}

/// The error for a resource that does not exist, or is not visible to this principal: -32002 with a
/// handshake, -32602 in the stateless era, both on HTTP 200. `reason` may say what to do.
#[must_use]
pub fn not_found(version: ProtocolVersion, uri: &str, reason: &str) -> RpcError {
    let text = format!("no such resource: {reason}");
    RpcError::new(version.resource_not_found(), text).with_data(json!({"uri": uri}))
}

#[derive(Serialize)]
struct Updated<'a> {
    uri: &'a str,
}

/// `notifications/resources/updated` for the streams of sessions.
#[must_use]
pub fn updated(uri: &str) -> Bytes {
    envelope::notification(method::RESOURCES_UPDATED, Some(&Updated { uri }))
}

/// `notifications/resources/updated` for listen streams.
#[must_use]
pub fn updated_tagged(uri: &str) -> TaggedNotification {
    TaggedNotification::new(method::RESOURCES_UPDATED, &Updated { uri })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource() -> ResourceDescriptor {
        ResourceDescriptor {
            uri: "github://events".into(),
            name: "events".into(),
            title: Some("All events".into()),
            description: None,
            mime_type: Some("application/json".into()),
        }
    }

    #[test]
    fn titles_are_left_out_where_the_revision_has_none() {
        let resources = [resource()];
        let list = |version| serde_json::to_value(list_result(version, &resources, None)).unwrap();
        assert_eq!(
            list(ProtocolVersion::V2025_03_26),
            json!({"resources": [
                {"uri": "github://events", "name": "events", "mimeType": "application/json"}
            ]})
        );
        let newer = list(ProtocolVersion::V2025_06_18);
        assert_eq!(newer["resources"][0]["title"], "All events");
    }

    #[test]
    fn templates_and_contents_have_their_shape() {
        let templates = [TemplateDescriptor {
            uri_template: "github://issues/{owner}/{repo}/{number}".into(),
            name: "issue".into(),
            title: None,
            description: Some("One issue".into()),
            mime_type: None,
        }];
        let version = ProtocolVersion::V2025_11_25;
        assert_eq!(
            serde_json::to_value(templates_result(version, &templates, Some("c"))).unwrap(),
            json!({
                "resourceTemplates": [{
                    "uriTemplate": "github://issues/{owner}/{repo}/{number}",
                    "name": "issue", "description": "One issue"
                }],
                "nextCursor": "c"
            })
        );
        let read = ReadResourceResult::new(ResourceContents::json("github://events", "{}".into()));
        assert_eq!(
            serde_json::to_value(read).unwrap(),
            json!({"contents": [
                {"uri": "github://events", "mimeType": "application/json", "text": "{}"}
            ]})
        );
    }

    #[test]
    fn a_missing_resource_has_the_code_of_the_era() {
        for (version, code) in [
            (ProtocolVersion::V2024_11_05, -32002),
            (ProtocolVersion::V2025_11_25, -32002),
            (ProtocolVersion::V2026_07_28, -32602),
        ] {
            let error = not_found(version, "github://x", "try another");
            assert_eq!(error.code.number(), code);
            assert_eq!(error.data, Some(json!({"uri": "github://x"})));
        }
    }

    #[test]
    fn an_update_names_the_uri() {
        let bytes = updated("github://events");
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&bytes).unwrap(),
            json!({
                "jsonrpc": "2.0", "method": "notifications/resources/updated",
                "params": {"uri": "github://events"}
            })
        );
    }
}
