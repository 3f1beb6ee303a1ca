//! Resources of the suite.

use access::Principal;
use async_trait::async_trait;
use mcp::resource::{ResourceContents, ResourceDescriptor, ResourcePayload, TemplateDescriptor};

use mcp_server::{CallError, Caller, resource::ResourceSource};

use super::content::PIXEL;

fn resource(uri: &str, name: &str, mime_type: &str) -> ResourceDescriptor {
    ResourceDescriptor {
        uri: uri.to_owned(),
        name: name.to_owned(),
        title: None,
        description: Some("For the conformance suite".to_owned()),
        mime_type: Some(mime_type.to_owned()),
    }
}

/// The additional entries of `resources/list`.
fn resources() -> Vec<ResourceDescriptor> {
    vec![
        resource("test://static-binary", "static-binary", "image/png"),
        resource("test://static-text", "static-text", "text/plain"),
        resource("test://watched-resource", "watched-resource", "text/plain"),
    ]
}

/// The additional entries of `resources/templates/list`.
fn templates() -> Vec<TemplateDescriptor> {
    vec![TemplateDescriptor {
        uri_template: "test://template/{id}/data".to_owned(),
        name: "template".to_owned(),
        title: None,
        description: Some("For the conformance suite".to_owned()),
        mime_type: Some("application/json".to_owned()),
    }]
}

/// A resource of the suite; `None` for any other URI.
fn read(uri: &str) -> Option<ResourceContents> {
    let text = |mime_type: &str, text: String| {
        let (uri, mime_type) = (uri.to_owned(), Some(mime_type.to_owned()));
        Some(ResourceContents {
            uri,
            mime_type,
            payload: ResourcePayload::Text(text),
            meta: None,
        })
    };
    match uri {
        "test://static-text" => text(
            "text/plain",
            "This is the content of the static text resource.".to_owned(),
        ),
        "test://watched-resource" => text("text/plain", "watched".to_owned()),
        "test://static-binary" => Some(ResourceContents {
            uri: uri.to_owned(),
            mime_type: Some("image/png".to_owned()),
            payload: ResourcePayload::Blob(PIXEL.to_owned()),
            meta: None,
        }),
        _ => {
            let id = uri
                .strip_prefix("test://template/")?
                .strip_suffix("/data")?;
            let json = serde_json::json!({
                "id": id, "templateTest": true, "data": format!("Data for ID: {id}")
            });
            text("application/json", json.to_string())
        }
    }
}

/// The resources of the suite.
pub(super) struct SuiteResources;

#[async_trait]
impl ResourceSource for SuiteResources {
    fn resources(&self) -> Vec<ResourceDescriptor> {
        resources()
    }

    fn templates(&self) -> Vec<TemplateDescriptor> {
        templates()
    }

    async fn read(&self, _: &Caller, uri: &str) -> Result<Option<ResourceContents>, CallError> {
        Ok(read(uri))
    }

    fn is_subscribable(&self, _: &Principal, uri: &str) -> bool {
        uri == "test://watched-resource"
    }
}
