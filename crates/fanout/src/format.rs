//! The form of an event on each kind of stream. The event's JSON is copied from the log unchanged, unless it
//! has content that the reader may not see.

mod end;
mod named;

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use mcp::{
    ProtocolVersion, RequestId,
    channel::{CHANNEL_METHOD, ChannelNotification},
    connection::{self, ConnectionEvent},
    profile::ServerInfo,
    stateless::listen_result,
    tagged::{SUBSCRIPTION_ID, TaggedNotification},
};
use model::{
    Cursor, CursorKeys, CursorScope, CursorText, EntryTag, GapMark, Sequence, SessionId, Timestamp,
};
use stream_driver::{Chunk, OutgoingFrames};

use self::named::{connection_message, connection_notification, of_connection};
pub use self::{
    end::StreamEnd,
    named::{connection_event_id, parse_connection_event_id},
};

use super::{
    announcement::Announcement, interest::StreamInterest, news::StreamNews, ring::RingEntry,
};

/// The logger's name on notifications that carry an event.
pub const EVENT_LOGGER: &str = "github.events";

/// The kind of a stream, with the data that its frames need.
#[derive(Debug)]
pub enum StreamFormat {
    /// `GET /events/stream`: `event: event`, the cursor as id.
    Events,
    /// The GET stream of a handshake-era session: notifications, the cursor as id.
    Session,
    /// `GET /mcp/sse`: named events, the connection and the cursor as id.
    Connection {
        /// The session behind the connection.
        id: SessionId,
    },
    /// `subscriptions/listen`: tagged notifications, no ids.
    Listen {
        /// The JSON-RPC id of the listen request.
        tag: RequestId,
        /// The revision that the client speaks.
        version: ProtocolVersion,
        /// This server's name and version.
        server: Arc<ServerInfo>,
    },
}

/// The reader and its log: the data of which a cursor is made.
#[derive(Debug, Clone)]
pub struct StreamReader {
    /// The keys of its cursors, which are those of one log.
    pub keys: Arc<CursorKeys>,
    /// The scope of its cursors.
    pub scope: CursorScope,
    /// The reader's position in its session's inbox; without a session, where its names mean what they mean
    /// ([`Cursor::inbox`]).
    pub inbox: Sequence,
    /// Number of the newest subscription of the session that the stream knows.
    pub newest_subscription: u64,
    /// The newest gap of the log of which the reader has been told ([`Cursor::told`]).
    pub told: Option<GapMark>,
}

impl StreamReader {
    /// The id of an event: the cursor after it.
    #[must_use]
    pub fn event_id(&self, sequence: Sequence, tag: EntryTag) -> CursorText {
        self.keys.seal(&self.cursor(sequence, Some(tag)))
    }

    /// The cursor after an entry, in a scope in which tools take it.
    fn tool_cursor(&self, entry: &RingEntry, scope: CursorScope) -> CursorText {
        self.keys.seal(&Cursor {
            scope,
            inbox: Sequence::START,
            newest_subscription: 0,
            ..self.cursor(entry.sequence, Some(entry.tag))
        })
    }

    /// The cursor after a position of the log; `tag` is that of the entry there, if it is known.
    #[must_use]
    pub fn cursor(&self, sequence: Sequence, tag: Option<EntryTag>) -> Cursor {
        Cursor {
            is_sealed: true,
            epoch: self.keys.epoch(),
            sequence,
            tag,
            told: None,
            scope: self.scope,
            inbox: self.inbox,
            newest_subscription: self.newest_subscription,
        }
    }
}

impl StreamFormat {
    /// Adds the frames of one event.
    pub(crate) fn event(
        &self,
        interest: &StreamInterest,
        entry: &RingEntry,
        reader: &StreamReader,
        out: &mut OutgoingFrames,
    ) {
        let position = entry.sequence.0;
        match self {
            Self::Events => {
                // A frame that was cut is never shared: two tokens of one principal may differ.
                if let Some(json) = interest.cut_for(entry) {
                    return out.push_event(position, |out| plain(entry, &json, reader, out));
                }
                let json = &entry.event.json;
                let encode = || {
                    let size_hint = json.len() + 112;
                    Chunk::new(size_hint, |out| plain(entry, json, reader, out))
                };
                if reader.newest_subscription != 0 || reader.inbox != Sequence::START {
                    // Its ids say which subscriptions it knew, or since when it means its names, which those of other
                    // streams do not.
                    return out.push_event(position, |out| plain(entry, json, reader, out));
                }
                match entry.frame.get_or_init(|| (reader.scope, encode())) {
                    (scope, frame) if *scope == reader.scope => out.push_shared(position, frame),
                    _ => out.push_event(position, |out| plain(entry, json, reader, out)),
                }
            }
            Self::Session => out.push_event(position, |out| session(interest, entry, reader, out)),
            Self::Connection { id } => out.push_event(position, |out| {
                of_connection(id, interest, entry, reader, out);
            }),
            Self::Listen { tag, .. } => out.push_event(position, |out| {
                for uri in interest.wanted_uris(entry) {
                    updated(uri, Some(tag), out);
                }
                if let Some(scope) = interest.channel()
                    && interest.wants_in_list(entry)
                {
                    let cursor = reader.tool_cursor(entry, scope);
                    let shown = interest.channel_for(entry);
                    channel("", &shown, (&cursor, Some(tag)), out);
                }
            }),
        }
    }

    /// Reports that events before `cursor` are gone.
    pub(crate) fn truncated(
        &self,
        interest: &StreamInterest,
        cursor: &CursorText,
        now: Timestamp,
        out: &mut BytesMut,
    ) {
        let body = format!(
            r#"{{"truncated":true,"cursor":"{cursor}","detail":"events before this cursor are missing: they are no longer kept, cannot be read, or the id to resume from is not known here"}}"#
        );
        match self {
            Self::Events => {
                out.put_slice(
                    format!("id: {cursor}\nevent: truncated\ndata: {body}\n\n").as_bytes(),
                );
            }
            Self::Session if interest.channel().is_some() => {
                let params = format!("{{{}}}", mcp::channel::gap_members());
                let id = format!("id: {cursor}\n");
                notification(&id, CHANNEL_METHOD, &params, out);
            }
            Self::Session => {
                let params =
                    format!(r#"{{"level":"warning","logger":"{EVENT_LOGGER}","data":{body}}}"#);
                let id = format!("id: {cursor}\n");
                notification(&id, "notifications/message", &params, out);
            }
            Self::Connection { id } => {
                let params =
                    format!(r#"{{"level":"warning","logger":"{EVENT_LOGGER}","data":{body}}}"#);
                let id = connection_event_id(id, cursor);
                connection_notification(Some(&id), "notifications/message", &params, now, out);
            }
            // `subscriptions/listen` has no message for a gap: any of its resources may have
            // changed, so all are reported as changed.
            Self::Listen { tag, .. } => {
                interest
                    .requested_uris()
                    .for_each(|uri| updated(uri, Some(tag), out));
                if interest.channel().is_some() {
                    let members = mcp::channel::gap_members();
                    let params = format!(r#"{{"_meta":{{"{SUBSCRIPTION_ID}":{tag}}},{members}}}"#);
                    notification("", CHANNEL_METHOD, &params, out);
                }
            }
        }
    }

    /// Whether a client can resume from the frames.
    pub(crate) fn has_event_ids(&self) -> bool {
        !matches!(self, Self::Listen { .. })
    }

    /// Adds an event id without a message. A client that was primed (MCP 2025-11-25, Streamable HTTP, "Sending
    /// Messages to the Server") knows one with empty data; the parsers of others may take that for a message,
    /// and skip an id alone ([HTML, 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html)).
    pub(crate) fn id_alone(&self, cursor: &CursorText, is_primed: bool, out: &mut BytesMut) {
        let data = match self {
            Self::Session if is_primed => "data: \n",
            _ => "",
        };
        let id = self.event_id(cursor);
        out.put_slice(format!("id: {id}\n{data}\n").as_bytes());
    }

    /// The event id of a cursor.
    fn event_id(&self, cursor: &CursorText) -> String {
        match self {
            Self::Connection { id } => connection_event_id(id, cursor),
            _ => cursor.to_string(),
        }
    }

    /// Adds a JSON-RPC message without an id.
    pub(crate) fn message(&self, json: &[u8], now: Timestamp, out: &mut BytesMut) {
        match self {
            Self::Connection { .. } => connection_message(None, json, now, out),
            _ => out.put_slice(&mcp::sse::message(None, json)),
        }
    }

    /// Adds a message that was sent to the session.
    pub(crate) fn mail(
        &self,
        cursor: &CursorText,
        json: &[u8],
        now: Timestamp,
        out: &mut BytesMut,
    ) {
        let id = self.event_id(cursor);
        match self {
            Self::Connection { .. } => connection_message(Some(&id), json, now, out),
            _ => {
                out.put_slice(format!("id: {id}\nevent: message\ndata: ").as_bytes());
                out.put_slice(json);
                out.put_slice(b"\n\n");
            }
        }
    }

    /// Reports that messages sent to the session are gone.
    pub(crate) fn lost_mail(&self, cursor: &CursorText, now: Timestamp, out: &mut BytesMut) {
        let data = r#"{"truncated":true,"detail":"messages to this session before this one are no longer kept"}"#;
        let params =
            format!(r#"{{"level":"warning","logger":"forgewire.messages","data":{data}}}"#);
        let (id, method) = (self.event_id(cursor), "notifications/message");
        match self {
            Self::Connection { .. } => {
                connection_notification(Some(&id), method, &params, now, out);
            }
            _ => notification(&format!("id: {id}\n"), method, &params, out),
        }
    }

    /// Adds a heartbeat that clients see; only connections have them.
    pub(crate) fn heartbeat(&self, active: usize, now: Timestamp, out: &mut BytesMut) {
        if let Self::Connection { .. } = self {
            let data = connection::heartbeat(active, now);
            connection::put_frame(ConnectionEvent::Heartbeat, None, data.as_bytes(), out);
        }
    }

    /// Adds a message to many clients. It carries no id, because a client cannot resume from it.
    pub(crate) fn announcement(&self, announcement: &Announcement, out: &mut BytesMut) {
        let message = announcement.message();
        match self {
            Self::Session => out.put_slice(&mcp::sse::message(None, &message.rpc)),
            Self::Events | Self::Connection { .. } => {
                let (event, data) = connection::shown(&message.object, Timestamp::default());
                connection::put_frame(event, None, &data, out);
            }
            Self::Listen { tag, .. } => {
                if let Some(list) = announcement.list() {
                    out.put_slice(&list.changed_tagged().frame(tag));
                } else if let Some(uri) = announcement.resource() {
                    updated(uri, Some(tag), out);
                }
            }
        }
    }

    /// Adds news other than events. They carry no id, because a client cannot resume from them.
    pub(crate) fn news(&self, news: &StreamNews, now: Timestamp, out: &mut BytesMut) {
        match self {
            Self::Events => {}
            Self::Connection { .. } => {
                for list in news.lists() {
                    self.message(&list.changed(), now, out);
                }
            }
            Self::Session => {
                for list in news.lists() {
                    out.put_slice(&mcp::sse::message(None, &list.changed()));
                }
            }
            Self::Listen { tag, .. } => {
                for list in news.lists() {
                    out.put_slice(&list.changed_tagged().frame(tag));
                }
            }
        }
    }

    /// Adds the state of a task; only listen streams follow tasks.
    pub(crate) fn task(&self, state: &TaggedNotification, out: &mut BytesMut) {
        if let Self::Listen { tag, .. } = self {
            out.put_slice(state.frame_head());
            out.put_slice(tag.to_string().as_bytes());
            out.put_slice(TaggedNotification::frame_tail());
        }
    }

    /// The last frame before the stream ends.
    pub(crate) fn farewell(
        &self,
        ending: StreamEnd,
        retry_millis: u64,
        now: Timestamp,
        out: &mut BytesMut,
    ) {
        match self {
            Self::Connection { id } => {
                let data = connection::closing(id.as_str(), ending.farewell_text(), now);
                out.put_slice(format!("retry: {retry_millis}\n").as_bytes());
                connection::put_frame(
                    ConnectionEvent::ConnectionStatus,
                    None,
                    data.as_bytes(),
                    out,
                );
            }
            Self::Listen {
                tag,
                version,
                server,
            } => {
                out.put_slice(&mcp::sse::message(
                    None,
                    &listen_result(*version, server, tag),
                ));
            }
            Self::Events | Self::Session => {
                let why = ending.farewell_text();
                if ending.is_final() {
                    let reason = ending.as_str();
                    let data = format!(r#"{{"reason":"{reason}","detail":"{why}"}}"#);
                    out.put_slice(format!("event: ended\ndata: {data}\n\n").as_bytes());
                }
                out.put_slice(format!(": {why}\nretry: {retry_millis}\n\n").as_bytes());
            }
        }
    }
}

fn plain(entry: &RingEntry, json: &[u8], reader: &StreamReader, out: &mut BytesMut) {
    let id = reader.event_id(entry.sequence, entry.tag);
    out.put_slice(format!("id: {id}\nevent: event\ndata: ").as_bytes());
    out.put_slice(json);
    out.put_slice(b"\n\n");
}

/// Only the event's last frame carries the id: a client that disconnects in between gets the event
/// again.
fn session(
    interest: &StreamInterest,
    entry: &RingEntry,
    reader: &StreamReader,
    out: &mut BytesMut,
) {
    let id = format!("id: {}\n", reader.event_id(entry.sequence, entry.tag));
    let whole = interest.wants_event(entry);
    let mut uris = interest.wanted_uris(entry).peekable();
    while let Some(uri) = uris.next() {
        if !whole && uris.peek().is_none() {
            out.put_slice(id.as_bytes());
        }
        updated(uri, None, out);
    }
    if whole && let Some(scope) = interest.channel() {
        let cursor = reader.tool_cursor(entry, scope);
        let shown = interest.channel_for(entry);
        channel(&id, &shown, (&cursor, None), out);
    } else if whole {
        out.put_slice(id.as_bytes());
        out.put_slice(
            b"event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",",
        );
        out.put_slice(b"\"params\":{\"level\":\"info\",\"logger\":\"");
        out.put_slice(EVENT_LOGGER.as_bytes());
        out.put_slice(b"\",\"data\":");
        let cut = interest.cut_for(entry);
        out.put_slice(cut.as_ref().unwrap_or(&entry.event.json));
        out.put_slice(b"}}\n\n");
    }
}

/// Adds a notification of a channel with the position after it.
fn channel(
    id_line: &str,
    shown: &ChannelNotification,
    (cursor, tag): (&CursorText, Option<&RequestId>),
    out: &mut BytesMut,
) {
    out.put_slice(id_line.as_bytes());
    out.put_slice(b"event: message\ndata: ");
    shown.put(cursor.as_str(), tag, out);
    out.put_slice(b"\n\n");
}

fn updated(uri: &str, tag: Option<&RequestId>, out: &mut BytesMut) {
    // Our URIs contain no character that JSON escapes.
    let params = match tag {
        None => format!(r#"{{"uri":"{uri}"}}"#),
        Some(tag) => format!(r#"{{"_meta":{{"{SUBSCRIPTION_ID}":{tag}}},"uri":"{uri}"}}"#),
    };
    notification("", "notifications/resources/updated", &params, out);
}

fn notification(id_line: &str, method: &str, params: &str, out: &mut BytesMut) {
    let message = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
    out.put_slice(id_line.as_bytes());
    out.put_slice(b"event: message\ndata: ");
    out.put_slice(message.as_bytes());
    out.put_slice(b"\n\n");
}

#[cfg(test)]
mod tests;
