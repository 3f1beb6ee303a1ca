//! Claude Code's channel: notifications that its session shows to the model
//! ([reference](https://code.claude.com/docs/en/channels-reference)). No revision of MCP knows it.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value, json};

use crate::{envelope::RequestId, tagged::SUBSCRIPTION_ID};

/// The capability, an experimental one of servers and clients.
pub const CHANNEL_CAPABILITY: &str = "claude/channel";
/// The notification.
pub const CHANNEL_METHOD: &str = "notifications/claude/channel";
/// The name in `clientInfo` of the client that has channels.
const CHANNEL_CLIENT: &str = "claude-code";
/// The key under which a notification has its position, and the last one.
const POSITION_KEY: &str = "cursor";

/// Whether a client has channels: it says so among its capabilities, or is known to by the name in its `clientInfo`.
#[must_use]
pub fn has_channels(client_info: &Value, capabilities: &Value) -> bool {
    is_channel_client(client_info["name"].as_str())
        || capabilities["experimental"][CHANNEL_CAPABILITY].is_object()
}

/// Whether the client with this name in its `clientInfo` has channels, whatever it declares.
pub(crate) fn is_channel_client(name: Option<&str>) -> bool {
    name == Some(CHANNEL_CLIENT)
}

/// A notification of a channel without its position, which each stream adds: many streams share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelNotification(Bytes);

impl ChannelNotification {
    /// Encodes a notification. Claude Code drops keys of `meta` that are no identifiers (`[a-zA-Z_][a-zA-Z0-9_]*`).
    pub fn new<'m>(content: &str, meta: impl IntoIterator<Item = (&'m str, &'m str)>) -> Self {
        let meta: Map<_, _> = meta
            .into_iter()
            .filter(|(key, _)| is_identifier(key) && *key != POSITION_KEY)
            .map(|(key, value)| (key.to_owned(), Value::from(value)))
            .collect();
        let separator = if meta.is_empty() { "" } else { "," };
        let mut meta = Value::Object(meta).to_string();
        meta.pop();
        let content = Value::from(content);
        let text = format!(r#""content":{content},"meta":{meta}{separator}"{POSITION_KEY}":""#);
        Self(text.into())
    }

    /// The encoded part, which streams share.
    #[must_use]
    pub fn encoded(&self) -> &Bytes {
        &self.0
    }

    /// Adds the message to `out`, with the position of the stream after it: a cursor, whose characters JSON does not
    /// escape. `tag` is the listen request of the stream, if it has one.
    pub fn put(&self, cursor: &str, tag: Option<&RequestId>, out: &mut BytesMut) {
        out.put_slice(br#"{"jsonrpc":"2.0","method":""#);
        out.put_slice(CHANNEL_METHOD.as_bytes());
        out.put_slice(br#"","params":{"#);
        if let Some(tag) = tag {
            out.put_slice(format!(r#""_meta":{{"{SUBSCRIPTION_ID}":{tag}}},"#).as_bytes());
        }
        out.put_slice(&self.0);
        out.put_slice(cursor.as_bytes());
        out.put_slice(br#""}}}"#);
    }
}

/// What a channel shows where events are gone, as the members of `params`: a client shows no log message to its model.
#[must_use]
pub fn gap_members() -> &'static str {
    r#""content":"[gap] Events are missing here: they are no longer kept, cannot be read, or the place to go on from is not known. Look at GitHub itself if the task depends on them.","meta":{"event":"gap"}"#
}

/// The declaration of the capability.
pub(crate) fn declaration() -> Value {
    json!({ CHANNEL_CAPABILITY: {} })
}

fn is_identifier(key: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    key.starts_with(starts) && key.chars().all(|c| starts(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(notification: &ChannelNotification, tag: Option<&RequestId>) -> Value {
        let mut out = BytesMut::new();
        notification.put("c.1-x", tag, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_notification_has_content_and_facts_and_the_position_last() {
        let notification = ChannelNotification::new(
            "a \"line\"\nand more",
            [
                ("number", "7"),
                ("bad-key", "x"),
                ("9", "x"),
                ("cursor", "x"),
            ],
        );
        let sent = message(&notification, None);
        assert_eq!(
            sent,
            json!({ "jsonrpc": "2.0", "method": "notifications/claude/channel", "params": {
                "content": "a \"line\"\nand more", "meta": { "number": "7", "cursor": "c.1-x" } } })
        );
        let tag = RequestId::Text("7".into());
        let tagged = message(&ChannelNotification::new("x", []), Some(&tag));
        assert_eq!(tagged["params"]["meta"], json!({ "cursor": "c.1-x" }));
        assert_eq!(tagged["params"]["_meta"][SUBSCRIPTION_ID], "7");
    }

    #[test]
    fn a_client_has_channels_by_its_name_or_its_word() {
        let told = json!({ "experimental": { "claude/channel": {} } });
        assert!(has_channels(
            &json!({ "name": "claude-code" }),
            &Value::Null
        ));
        assert!(has_channels(&Value::Null, &told));
        assert!(!has_channels(&json!({ "name": "claude" }), &json!({})));
        assert!(!has_channels(&json!(1), &json!([])));
    }
}
