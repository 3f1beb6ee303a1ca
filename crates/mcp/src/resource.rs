//! Resources: descriptors, parameters and results (MCP, Server Features, "Resources").

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    envelope::{self, RpcError},
    method,
    tagged::Tagged,
    version::ProtocolVersion,
};

/// A resource in `resources/list`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceDescriptor {
    /// What clients read.
    pub uri: String,
    /// For programs.
    pub name: String,
    /// For humans, where the revision has titles.
    pub title: Option<String>,
    /// For models.
    pub description: Option<String>,
    /// Of the contents.
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
    /// Of the contents, if all have the same.
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
pub struct ListResult<'a> {
    resources: Vec<Described<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
}

/// Result of `resources/templates/list`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplatesResult<'a> {
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
) -> ListResult<'a> {
    let describe = |r: &'a ResourceDescriptor| Described {
        uri: Some(&r.uri),
        uri_template: None,
        name: &r.name,
        title: title(version, r.title.as_ref()),
        description: r.description.as_deref(),
        mime_type: r.mime_type.as_deref(),
    };
    ListResult {
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
) -> TemplatesResult<'a> {
    let describe = |t: &'a TemplateDescriptor| Described {
        uri: None,
        uri_template: Some(&t.uri_template),
        name: &t.name,
        title: title(version, t.title.as_ref()),
        description: t.description.as_deref(),
        mime_type: t.mime_type.as_deref(),
    };
    TemplatesResult {
        resource_templates: templates.iter().map(describe).collect(),
        next_cursor,
    }
}

/// Params of `resources/read`, `resources/subscribe` and `resources/unsubscribe`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct UriParams {
    /// Which resource.
    pub uri: String,
}

/// What is in a resource.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contents {
    /// Which resource.
    pub uri: String,
    /// Of the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The payload.
    #[serde(flatten)]
    pub payload: Payload,
}

/// Text or bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// Text.
    Text(String),
    /// Bytes in base64.
    Blob(String),
}

impl Contents {
    /// A JSON document.
    #[must_use]
    pub fn json(uri: &str, json: String) -> Self {
        Self {
            uri: uri.into(),
            mime_type: Some("application/json".into()),
            payload: Payload::Text(json),
        }
    }
}

/// Result of `resources/read`. Never without contents: a resource that is not there is
/// [`not_found`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ReadResult {
    contents: Vec<Contents>,
}

impl ReadResult {
    /// One resource.
    #[must_use]
    pub fn new(contents: Contents) -> Self {
        Self {
            contents: vec![contents],
        }
    }
}

/// The error for a resource that is not there, or not for this principal: -32002 with a handshake,
/// -32602 in the stateless era, both on HTTP 200.
#[must_use]
pub fn not_found(version: ProtocolVersion, uri: &str) -> RpcError {
    RpcError::new(version.resource_not_found(), "no such resource").with_data(json!({"uri": uri}))
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
pub fn updated_tagged(uri: &str) -> Tagged {
    Tagged::new(method::RESOURCES_UPDATED, &Updated { uri })
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
        let read = ReadResult::new(Contents::json("github://events", "{}".into()));
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
            let error = not_found(version, "github://x");
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
