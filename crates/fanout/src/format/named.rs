//! The frames of a connection of `/mcp/sse`.

use bytes::BytesMut;
use mcp::connection::{self, ConnectionEvent};
use model::{CursorText, SessionId, Timestamp};

use super::{EVENT_LOGGER, StreamReader};
use crate::{interest::StreamInterest, ring::RingEntry};

/// The event id of a connection: which one it is, and where it is.
#[must_use]
pub fn connection_event_id(connection: &SessionId, cursor: &CursorText) -> String {
    format!("{connection}:{cursor}")
}

/// The connection and the cursor in such an id; `None` for any other text.
#[must_use]
pub fn parse_connection_event_id(id: &str) -> Option<(SessionId, &str)> {
    let (connection, cursor) = id.split_once(':')?;
    Some((SessionId::new(connection).ok()?, cursor))
}

pub(super) fn connection_message(
    id: Option<&str>,
    json: &[u8],
    now: Timestamp,
    out: &mut BytesMut,
) {
    let (event, data) = connection::shown(json, now);
    connection::put_frame(event, id, &data, out);
}

pub(super) fn connection_notification(
    id: Option<&str>,
    method: &str,
    params: &str,
    now: Timestamp,
    out: &mut BytesMut,
) {
    let message = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
    connection_message(id, message.as_bytes(), now, out);
}

/// The frames of one event; only the last of them carries the id, as on the stream of a session.
pub(super) fn of_connection(
    connection: &SessionId,
    interest: &StreamInterest,
    entry: &RingEntry,
    reader: &StreamReader,
    out: &mut BytesMut,
) {
    let id = connection_event_id(connection, &reader.event_id(entry.sequence, entry.tag));
    let received = entry.event.facts.received_at;
    let whole = interest.wants_event(entry);
    let mut uris = interest.wanted_uris(entry).peekable();
    while let Some(uri) = uris.next() {
        let is_last = !whole && uris.peek().is_none();
        let id = is_last.then_some(id.as_str());
        // Our URIs contain no character that JSON escapes.
        let params = format!(r#"{{"uri":"{uri}"}}"#);
        connection_notification(
            id,
            "notifications/resources/updated",
            &params,
            received,
            out,
        );
    }
    if whole {
        let head = format!(
            r#"{{"type":"mcp-notification","timestamp":"{received}","jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","logger":"{EVENT_LOGGER}","data":"#
        );
        let cut = interest.cut_for(entry);
        let json = cut.as_ref().unwrap_or(&entry.event.json);
        let data = [head.as_bytes(), json, b"}}"].concat();
        connection::put_frame(ConnectionEvent::McpNotification, Some(&id), &data, out);
    }
}
