//! Messages as lines: NDJSON over HTTP, and the framing of stdio (MCP, Transports, "stdio").

use bytes::{BufMut, Bytes, BytesMut};
use model::without_byte_order_mark;

use crate::{
    envelope::{self, InvalidMessage, MessageBody},
    limits::MAX_LINE_BYTES,
};

/// Bytes by which the buffer of a line grows, at least and at most.
const MIN_STEP_BYTES: usize = 4 << 10;
const MAX_STEP_BYTES: usize = 256 << 10;

/// A JSON-RPC message as a line. `json` has no line breaks, like all output of [`crate::envelope`].
#[must_use]
pub fn line(json: &[u8]) -> Bytes {
    debug_assert!(!json.contains(&b'\n') && !json.contains(&b'\r'));
    let mut bytes = BytesMut::with_capacity(json.len() + 1);
    bytes.put_slice(json);
    bytes.put_u8(b'\n');
    bytes.freeze()
}

/// A line that holds a message or a batch.
#[derive(Clone, Debug)]
pub struct JsonLine {
    /// The text as received, without a byte order mark and surrounding white space.
    pub text: Bytes,
    /// The parsed content.
    pub body: MessageBody,
}

/// Splits incoming bytes into lines and reads each as a message. An invalid line is reported
/// (-32700 if it is not JSON) and reading continues with the next; blank lines are skipped, and so is
/// a byte order mark before a line, which pipes of Windows put before the first one; the part of a
/// line beyond 4 MiB is skipped and the line is reported as too large.
#[derive(Debug)]
pub struct LineReader {
    buffer: Vec<u8>,
    max: usize,
    /// Within a line that is too long and has been reported.
    skipping: bool,
}

impl Default for LineReader {
    fn default() -> Self {
        Self::new(MAX_LINE_BYTES)
    }
}

impl LineReader {
    /// A reader for lines of up to `max` bytes, the line break not counted.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            max,
            skipping: false,
        }
    }

    /// Accepts bytes and returns the messages that they complete. Buffers up to one line.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Result<JsonLine, InvalidMessage>> {
        let mut messages = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (content, ended) = match part.split_last() {
                Some((b'\n', content)) => (content, true),
                _ => (part, false),
            };
            self.take(content, &mut messages);
            if ended {
                messages.extend(self.end_line());
            }
        }
        messages
    }

    /// Bytes of the line that has begun.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Whether a line has begun and not ended.
    #[must_use]
    pub const fn is_within_line(&self) -> bool {
        self.skipping || !self.buffer.is_empty()
    }

    /// Bytes of memory for the line that has begun.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Ends the input: the rest is the last line, unless it is blank.
    pub fn finish(&mut self) -> Option<Result<JsonLine, InvalidMessage>> {
        self.end_line()
    }

    fn take(&mut self, content: &[u8], messages: &mut Vec<Result<JsonLine, InvalidMessage>>) {
        if self.skipping {
            return;
        }
        if self.buffer.len() + content.len() > self.max {
            self.skipping = true;
            self.buffer = Vec::new();
            messages.push(Err(InvalidMessage::TooLarge));
        } else {
            self.reserve(content.len());
            self.buffer.extend_from_slice(content);
        }
    }

    /// Makes room for `more` bytes: twice as much as before while the line is short, later in steps, so that
    /// a long line holds little more memory than it has bytes.
    fn reserve(&mut self, more: usize) {
        let needed = self.buffer.len() + more;
        if needed > self.buffer.capacity() {
            let steps = self.buffer.capacity().clamp(MIN_STEP_BYTES, MAX_STEP_BYTES);
            let room = needed.next_multiple_of(steps);
            self.buffer.reserve_exact(room - self.buffer.len());
        }
    }

    fn end_line(&mut self) -> Option<Result<JsonLine, InvalidMessage>> {
        self.skipping = false;
        let line = std::mem::take(&mut self.buffer);
        let line = without_byte_order_mark(&line).trim_ascii();
        (!line.is_empty()).then(|| {
            let body = envelope::parse(line)?;
            let text = Bytes::copy_from_slice(line);
            Ok(JsonLine { text, body })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

    /// 0 for a message, otherwise the code of the error.
    fn read(input: &[u8], chunk: usize, max: usize) -> Vec<i32> {
        let mut reader = LineReader::new(max);
        let mut messages: Vec<_> = input
            .chunks(chunk.max(1))
            .flat_map(|c| reader.feed(c))
            .collect();
        messages.extend(reader.finish());
        let code = |message: Result<JsonLine, InvalidMessage>| match message {
            Ok(_) => 0,
            Err(rejected) => rejected.error().code.number(),
        };
        messages.into_iter().map(code).collect()
    }

    #[test]
    fn a_bad_line_is_reported_and_the_next_is_read() {
        let long = "x".repeat(100);
        let input = format!("{PING}\n\n{{\r\n  \n7\n{long}\n{PING}\r\n{PING}");
        for chunk in 1..input.len() {
            let codes = read(input.as_bytes(), chunk, 99);
            assert_eq!(
                codes,
                [0, -32700, -32600, -32600, 0, 0],
                "chunks of {chunk}"
            );
        }
        assert_eq!(read(b"", 1, 99), [0_i32; 0]);
    }

    #[test]
    fn a_byte_order_mark_before_a_line_is_no_part_of_it() {
        let input = format!("\u{feff}{PING}\r\n\u{feff}\r\n\u{feff}{PING}\n");
        for chunk in 1..8 {
            assert_eq!(
                read(input.as_bytes(), chunk, 99),
                [0, 0],
                "chunks of {chunk}"
            );
        }
        let mut lines = LineReader::default().feed(input.as_bytes()).into_iter();
        let first = lines.next().expect("two lines").expect("a message");
        assert_eq!(first.text, PING, "it is sent on without the mark");
    }

    #[test]
    fn a_line_of_exactly_the_bound_fits_and_a_longer_one_is_reported_once() {
        assert_eq!(read(PING.as_bytes(), 7, PING.len()), [0]);
        assert_eq!(read(PING.as_bytes(), 7, PING.len() - 1), [-32600]);
    }

    #[test]
    fn a_line_ends_where_it_ends() {
        assert_eq!(line(b"{}"), "{}\n");
        let mut reader = LineReader::new(3);
        for (part, within) in [("{", true), ("}\n", false), ("12345", true), ("6\n", false)] {
            reader.feed(part.as_bytes());
            assert_eq!(reader.is_within_line(), within, "{part}");
        }
    }

    #[test]
    fn a_line_holds_little_more_memory_than_it_has_bytes_and_none_when_it_has_ended() {
        let mut reader = LineReader::default();
        for bytes in (1..=30).map(|n| n * 100_000) {
            reader.feed(&[b'x'; 100_000]);
            let held = reader.held_bytes();
            assert!(
                (bytes..=bytes + MAX_STEP_BYTES).contains(&held),
                "{bytes}: {held}"
            );
        }
        reader.feed(b"\n");
        assert_eq!(reader.held_bytes(), 0);
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            lines in proptest::collection::vec("[{}\\[\\]a1 \r]{0,12}|PING", 0..8),
            chunk in 1_usize..20,
        ) {
            let input = lines.join("\n").replace("PING", PING);
            let whole = read(input.as_bytes(), input.len(), 60);
            prop_assert_eq!(read(input.as_bytes(), chunk, 60), whole);
        }
    }
}
