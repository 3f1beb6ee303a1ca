//! Frames of an event stream (HTML, "Server-sent events"), and a parser of them for tests.
//!
//! MCP requires `X-Accel-Buffering: no` on every stream, and comments as keep-alive: [`HEADERS`]
//! and [`KEEP_ALIVE`]. Events have no `event` line, because its absence already means `message`.

use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};

mod parser;

pub use parser::{ParsedFrame, SseBlock, SseParseError, SseStreamParser};

/// Headers of every stream.
pub const HEADERS: [(&str, &str); 3] = [
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
];

/// An empty comment; it keeps proxies from closing an idle stream.
pub const KEEP_ALIVE: &[u8] = b":\n\n";

/// A value that is not allowed in an `id` or `event` line: it would end the line, or (NUL in an id)
/// make clients drop it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an id or event name has a line break or NUL")]
pub struct InvalidSseField;

impl model::Classified for InvalidSseField {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Permanent
    }
}

/// An event id or name without line breaks and NUL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SseField<'a>(&'a str);

impl<'a> SseField<'a> {
    /// Checks a value.
    ///
    /// # Errors
    /// It contains CR, LF or NUL.
    pub fn new(text: &'a str) -> Result<Self, InvalidSseField> {
        if text.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            Err(InvalidSseField)
        } else {
            Ok(Self(text))
        }
    }
}

/// One event. An event without data sets only the id or the reconnection time; clients dispatch
/// nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SseFrame<'a> {
    /// The id that the client sends as `Last-Event-ID` when it reconnects.
    pub id: Option<SseField<'a>>,
    /// The event's type; absent means `message`.
    pub event: Option<SseField<'a>>,
    /// The reconnection delay, in milliseconds.
    pub retry_ms: Option<u64>,
    /// The payload; CR LF, CR and LF all arrive as LF.
    pub data: Option<&'a str>,
}

impl<'a> SseFrame<'a> {
    /// The priming event: an id and empty data, so that a client can resume before anything has
    /// happened (MCP 2025-11-25, Transports, "Sending Messages to the Server"; SEP-1699). Only if
    /// [`crate::ProtocolVersion::has_priming`]: older clients fail on empty data.
    #[must_use]
    pub const fn priming(id: SseField<'a>, retry_ms: Option<u64>) -> Self {
        Self {
            id: Some(id),
            event: None,
            retry_ms,
            data: Some(""),
        }
    }

    /// The reconnection delay, sent before the server closes the stream.
    #[must_use]
    pub const fn retry(retry_ms: u64) -> Self {
        Self {
            id: None,
            event: None,
            retry_ms: Some(retry_ms),
            data: None,
        }
    }

    /// The first event of HTTP+SSE: the URI for POSTs (MCP 2024-11-05, Transports, "HTTP with
    /// SSE"). It is relative, because clients refuse another origin.
    #[must_use]
    pub const fn endpoint(uri: &'a str) -> Self {
        Self {
            id: None,
            event: Some(SseField("endpoint")),
            retry_ms: None,
            data: Some(uri),
        }
    }

    /// The bytes on the wire, including the blank line.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut text = String::with_capacity(64 + self.data.map_or(0, str::len));
        // Writing to a String cannot fail.
        if let Some(SseField(event)) = self.event {
            let _ = writeln!(text, "event: {event}");
        }
        if let Some(SseField(id)) = self.id {
            let _ = writeln!(text, "id: {id}");
        }
        if let Some(retry) = self.retry_ms {
            let _ = writeln!(text, "retry: {retry}");
        }
        for line in self.data.into_iter().flat_map(lines) {
            let _ = writeln!(text, "data: {line}");
        }
        text.push('\n');
        Bytes::from(text)
    }
}

/// A JSON-RPC message as an event. `json` has no line breaks, like all output of
/// [`crate::envelope`].
#[must_use]
pub fn message(id: Option<SseField<'_>>, json: &[u8]) -> Bytes {
    debug_assert!(!json.contains(&b'\n') && !json.contains(&b'\r'));
    let id = id.map_or("", |SseField(id)| id);
    let mut bytes = BytesMut::with_capacity(json.len() + id.len() + 14);
    if !id.is_empty() {
        bytes.put_slice(b"id: ");
        bytes.put_slice(id.as_bytes());
        bytes.put_u8(b'\n');
    }
    bytes.put_slice(b"data: ");
    bytes.put_slice(json);
    bytes.put_slice(b"\n\n");
    bytes.freeze()
}

/// A comment, which clients skip; line breaks start further comment lines.
#[must_use]
pub fn comment(text: &str) -> Bytes {
    let mut bytes = String::with_capacity(text.len() + 4);
    for line in lines(text) {
        let _ = writeln!(bytes, ": {line}");
    }
    bytes.push('\n');
    Bytes::from(bytes)
}

/// Splits at CR LF, CR and LF.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        let Some(end) = current.find(['\r', '\n']) else {
            rest = None;
            return Some(current);
        };
        let (line, after) = current.split_at(end);
        let ending = if after.starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&after[ending..]);
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    fn parse_all(bytes: &[u8], chunk: usize) -> Vec<SseBlock> {
        let mut parser = SseStreamParser::default();
        let chunks = bytes.chunks(chunk.max(1));
        chunks.flat_map(|c| parser.feed(c).unwrap()).collect()
    }

    #[test]
    fn frames_look_as_the_spec_shows_them() {
        let id = SseField::new("abc").unwrap();
        assert_eq!(
            text(&SseFrame::priming(id, Some(3000)).encode()),
            "id: abc\nretry: 3000\ndata: \n\n"
        );
        assert_eq!(text(&SseFrame::retry(50).encode()), "retry: 50\n\n");
        assert_eq!(
            text(&SseFrame::endpoint("/messages?s=1").encode()),
            "event: endpoint\ndata: /messages?s=1\n\n"
        );
        assert_eq!(text(&message(Some(id), b"{}")), "id: abc\ndata: {}\n\n");
        assert_eq!(text(&message(None, b"{}")), "data: {}\n\n");
        assert_eq!(text(&comment("a\nb")), ": a\n: b\n\n");
    }

    #[test]
    fn an_id_or_event_cannot_start_another_line() {
        for hostile in ["a\nb", "a\rdata: x", "\0", "\r\n\r\n"] {
            assert_eq!(SseField::new(hostile), Err(InvalidSseField), "{hostile:?}");
        }
    }

    #[test]
    fn data_cannot_start_another_field() {
        let frame = SseFrame {
            data: Some("a\nid: evil\r\nevent: evil\rretry: 1\n\ndata: b"),
            ..SseFrame::default()
        };
        let blocks = parse_all(&frame.encode(), 3);
        assert_eq!(
            blocks,
            [SseBlock::Frame(ParsedFrame {
                data: Some("a\nid: evil\nevent: evil\nretry: 1\n\ndata: b".into()),
                ..ParsedFrame::default()
            })]
        );
    }

    prop_compose! {
        fn any_frame()(
            id in proptest::option::of("[^\r\n\0]{0,20}"),
            event in proptest::option::of("[^\r\n\0]{1,20}"),
            retry in proptest::option::of(any::<u64>()),
            data in "([^\r]|\n){0,60}",
        ) -> ParsedFrame {
            ParsedFrame { id, event, retry_ms: retry, data: Some(data) }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed_whatever_the_chunks(
            frames in proptest::collection::vec(any_frame(), 1..5),
            chunk in 1_usize..40,
        ) {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for frame in frames {
                bytes.extend_from_slice(&comment("tick"));
                expected.push(SseBlock::Comment("tick".into()));
                let encoded = SseFrame {
                    id: frame.id.as_deref().map(|id| SseField::new(id).unwrap()),
                    event: frame.event.as_deref().map(|name| SseField::new(name).unwrap()),
                    retry_ms: frame.retry_ms,
                    data: frame.data.as_deref(),
                };
                bytes.extend_from_slice(&encoded.encode());
                expected.push(SseBlock::Frame(frame));
            }
            prop_assert_eq!(parse_all(&bytes, chunk), expected);
        }

        #[test]
        fn line_breaks_of_every_kind_arrive_as_lf(data in "[ab\r\n]{0,30}") {
            let frame = SseFrame { data: Some(&data), ..SseFrame::default() };
            let expected = data.replace("\r\n", "\n").replace('\r', "\n");
            let blocks = parse_all(&frame.encode(), 1);
            let expected = ParsedFrame { data: Some(expected), ..ParsedFrame::default() };
            prop_assert_eq!(blocks, [SseBlock::Frame(expected)]);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            chunk in 1_usize..20,
        ) {
            let mut parser = SseStreamParser::default();
            for part in bytes.chunks(chunk) {
                let _ = parser.feed(part);
            }
        }
    }
}
