//! Tools that each answer with one kind of content.

use mcp::{
    resource::{Contents, Payload},
    tool::{CallResult, Content},
};

use crate::fixture::{Nothing, fixture};
use mcp_server::tool::Tool;

/// A red pixel (PNG, 1 × 1).
pub(super) const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// Silence (WAV, no samples).
const SILENCE: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

fn image() -> Content {
    Content::Image {
        data: PIXEL.into(),
        mime_type: "image/png".into(),
    }
}

fn resource(uri: &str, mime_type: &str, text: &str) -> Content {
    let payload = Payload::Text(text.into());
    Content::Resource {
        resource: Contents {
            uri: uri.into(),
            mime_type: Some(mime_type.into()),
            payload,
        },
    }
}

pub(super) fn tools() -> Vec<Box<dyn Tool>> {
    vec![
        fixture::<Nothing>("test_simple_text", "Answers text.", |_, _| {
            let text = Content::text("This is a simple text response for testing.");
            Box::pin(async { Ok(CallResult::new(vec![text])) })
        }),
        fixture::<Nothing>("test_image_content", "Gives an image.", |_, _| {
            Box::pin(async { Ok(CallResult::new(vec![image()])) })
        }),
        fixture::<Nothing>("test_audio_content", "Gives audio.", |_, _| {
            let sound = Content::Audio {
                data: SILENCE.into(),
                mime_type: "audio/wav".into(),
            };
            Box::pin(async { Ok(CallResult::new(vec![sound])) })
        }),
        fixture::<Nothing>("test_embedded_resource", "Gives a resource.", |_, _| {
            let text = "This is an embedded resource content.";
            let embedded = resource("test://embedded-resource", "text/plain", text);
            Box::pin(async { Ok(CallResult::new(vec![embedded])) })
        }),
        fixture::<Nothing>(
            "test_multiple_content_types",
            "Gives several kinds of content.",
            |_, _| {
                let json = r#"{"test":"data","value":123}"#;
                let content = vec![
                    Content::text("Multiple content types test:"),
                    image(),
                    resource("test://mixed-content-resource", "application/json", json),
                ];
                Box::pin(async { Ok(CallResult::new(content)) })
            },
        ),
        fixture::<Nothing>("test_error_handling", "Fails.", |_, _| {
            let text = "This tool intentionally returns an error for testing";
            Box::pin(async move { Ok(CallResult::failed(text)) })
        }),
    ]
}
