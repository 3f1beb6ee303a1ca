//! Notifications of listen streams, tagged with the id of the request that opened the stream.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

use crate::envelope::RequestId;

/// The `_meta` key that every message of a listen stream carries.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// A notification that many listen streams share: encoded once, with a hole for each stream's id.
///
/// A frame is the head, the stream's id as JSON ([`RequestId`]'s `Display`) and the tail: three
/// slices for a vectored write that does not copy the shared bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaggedNotification {
    frame_head: Bytes,
}

/// The bytes before the JSON in a frame.
const FRAME_PREFIX: &[u8] = b"data: ";
/// The bytes after the id in a message.
const MESSAGE_TAIL: &[u8] = b"}}}";
/// The bytes after the id in a frame.
const FRAME_TAIL: &[u8] = b"}}}\n\n";

impl TaggedNotification {
    /// Encodes the notification. `params` is a JSON object without `_meta`; other JSON counts as
    /// `{}`.
    #[must_use]
    pub fn new(method: &str, params: &impl Serialize) -> Self {
        let params = serde_json::to_string(params).unwrap_or_default();
        let inner = params.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
        let inner = inner.unwrap_or_default();
        let comma = if inner.is_empty() { "" } else { "," };
        let method = serde_json::to_string(method).unwrap_or_default();
        let params = format!(r#"{{{inner}{comma}"_meta":{{"{SUBSCRIPTION_ID}":"#);
        let head = format!(r#"data: {{"jsonrpc":"2.0","method":{method},"params":{params}"#);
        Self {
            frame_head: Bytes::from(head),
        }
    }

    /// The bytes before the id in an SSE frame.
    #[must_use]
    pub fn frame_head(&self) -> &Bytes {
        &self.frame_head
    }

    /// The bytes after the id in an SSE frame.
    #[must_use]
    pub const fn frame_tail() -> &'static [u8] {
        FRAME_TAIL
    }

    /// The whole SSE frame for one stream.
    #[must_use]
    pub fn frame(&self, id: &RequestId) -> Bytes {
        around(&self.frame_head, id, FRAME_TAIL)
    }

    /// The JSON-RPC message for one stream, without SSE around it.
    #[must_use]
    pub fn message(&self, id: &RequestId) -> Bytes {
        around(&self.frame_head[FRAME_PREFIX.len()..], id, MESSAGE_TAIL)
    }
}

fn around(head: &[u8], id: &RequestId, tail: &[u8]) -> Bytes {
    let id = id.to_string();
    let mut bytes = BytesMut::with_capacity(head.len() + id.len() + tail.len());
    bytes.put_slice(head);
    bytes.put_slice(id.as_bytes());
    bytes.put_slice(tail);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{method, sse};

    fn json_of(bytes: &Bytes) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn a_tagged_notification_is_one_json_message_for_any_id(
            id in "\\PC{0,20}",
            uri in "\\PC{0,30}",
        ) {
            let id = RequestId::Text(id.into());
            let params = json!({"uri": uri});
            let tagged = TaggedNotification::new(method::RESOURCES_UPDATED, &params);
            let message = json_of(&tagged.message(&id));
            prop_assert_eq!(&message["params"]["uri"], &params["uri"]);
            let tag = serde_json::to_value(&id).unwrap();
            prop_assert_eq!(&message["params"]["_meta"][SUBSCRIPTION_ID], &tag);
            prop_assert_eq!(tagged.frame(&id), sse::message(None, &tagged.message(&id)));
            let empty = TaggedNotification::new(method::TOOLS_LIST_CHANGED, &json!({}));
            let message = json_of(&empty.message(&id));
            prop_assert_eq!(&message["params"]["_meta"][SUBSCRIPTION_ID], &tag);
        }
    }
}
