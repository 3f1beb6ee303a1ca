//! Tools that each answer with one kind of content.

use mcp::{
    resource::{ResourceContents, ResourcePayload},
    tool::{CallToolResult, ContentBlock},
};

use crate::fixture::{Nothing, fixture};
use mcp_server::tool::Tool;

/// A red pixel (PNG, 1 × 1).
pub(super) const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// Silence (WAV, no samples).
const SILENCE: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

fn image() -> ContentBlock {
    ContentBlock::Image {
        data: PIXEL.into(),
        mime_type: "image/png".into(),
    }
}

fn resource(uri: &str, mime_type: &str, text: &str) -> ContentBlock {
    let payload = ResourcePayload::Text(text.into());
    ContentBlock::Resource {
        resource: ResourceContents {
            uri: uri.into(),
            mime_type: Some(mime_type.into()),
            payload,
            meta: None,
        },
    }
}

pub(super) fn tools() -> Vec<Box<dyn Tool>> {
    vec![
        fixture::<Nothing>("test_simple_text", "Answers text.", |_, _| {
            let text = ContentBlock::text("This is a simple text response for testing.");
            Box::pin(async { Ok(CallToolResult::new(vec![text])) })
        }),
        fixture::<Nothing>("test_image_content", "Gives an image.", |_, _| {
            Box::pin(async { Ok(CallToolResult::new(vec![image()])) })
        }),
        fixture::<Nothing>("test_audio_content", "Gives audio.", |_, _| {
            let sound = ContentBlock::Audio {
                data: SILENCE.into(),
                mime_type: "audio/wav".into(),
            };
            Box::pin(async { Ok(CallToolResult::new(vec![sound])) })
        }),
        fixture::<Nothing>("test_embedded_resource", "Gives a resource.", |_, _| {
            let text = "This is an embedded resource content.";
            let embedded = resource("test://embedded-resource", "text/plain", text);
            Box::pin(async { Ok(CallToolResult::new(vec![embedded])) })
        }),
        fixture::<Nothing>(
            "test_multiple_content_types",
            "Gives several kinds of content.",
            |_, _| {
                let json = r#"{"test":"data","value":123}"#;
                let content = vec![
                    ContentBlock::text("Multiple content types test:"),
                    image(),
                    resource("test://mixed-content-resource", "application/json", json),
                ];
                Box::pin(async { Ok(CallToolResult::new(content)) })
            },
        ),
        fixture::<Nothing>("test_error_handling", "Fails.", |_, _| {
            let text = "This tool intentionally returns an error for testing";
            Box::pin(async move { Ok(CallToolResult::failed(text)) })
        }),
    ]
}
