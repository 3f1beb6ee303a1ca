//! Reads SSE frames from a socket. Keeps only the cursor and the mark of an event, so that
//! thousands of streams can be read on a fraction of a core.

use testkit::wire::{AnswerLines, AnswerPiece, WireError};

use super::world::Mark;

/// Longest line that is assembled when reads cut it: above the largest event of the soak.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// Number of bytes kept of data without a mark: opening frames and updates are shorter.
const KEPT_DATA_BYTES: usize = 1024;

/// Reason why an answer is not a readable stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamDefect {
    /// A status other than 200.
    Status(u16),
    /// Not HTTP/1.1, not chunked, or longer than anything that an edge sends.
    Malformed,
}

impl From<WireError> for StreamDefect {
    fn from(_: WireError) -> Self {
        Self::Malformed
    }
}

/// The `event:` line of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FrameName {
    /// There was none.
    #[default]
    None,
    /// `connected`.
    Connected,
    /// `event`.
    Event,
    /// `message`.
    Message,
    /// `truncated`.
    Truncated,
    /// Another.
    Other,
}

/// The lines between two blank lines, without heartbeats.
#[derive(Debug, Default)]
pub(crate) struct SoakFrame {
    /// `id:`, empty if there was none.
    pub(crate) id: Vec<u8>,
    /// `event:`.
    pub(crate) name: FrameName,
    /// The first mark in the data.
    pub(crate) mark: Option<Mark>,
    /// The data, if it contains no mark; its first KiB.
    pub(crate) data: Vec<u8>,
    has_data: bool,
}

impl SoakFrame {
    fn clear(&mut self) {
        self.id.clear();
        self.data.clear();
        (self.name, self.mark, self.has_data) = (FrameName::None, None, false);
    }

    /// Takes a line; an empty one ends the frame.
    fn take(&mut self, line: &[u8], arrived: &mut impl FnMut(&Self)) {
        if !line.is_empty() && line != b"\r" {
            return self.line(line);
        }
        if self.has_data || !self.id.is_empty() {
            arrived(self);
        }
        self.clear();
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = colon.map_or((line, &[][..]), |at| (&line[..at], &line[at + 1..]));
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"id" => {
                self.id.clear();
                self.id.extend_from_slice(value);
            }
            b"event" => {
                self.name = match value {
                    b"connected" => FrameName::Connected,
                    b"event" => FrameName::Event,
                    b"message" => FrameName::Message,
                    b"truncated" => FrameName::Truncated,
                    _ => FrameName::Other,
                };
            }
            b"data" => {
                self.has_data = true;
                self.mark = Mark::find(value);
                if self.mark.is_none() {
                    let kept = &value[..value.len().min(KEPT_DATA_BYTES)];
                    self.data.extend_from_slice(kept);
                }
            }
            _ => {}
        }
    }
}

/// One answer's parser.
#[derive(Debug)]
pub(crate) struct Wire {
    lines: AnswerLines,
    frame: SoakFrame,
}

impl Wire {
    /// A parser before the first byte.
    pub(crate) fn new() -> Self {
        Self {
            lines: AnswerLines::new(MAX_LINE_BYTES),
            frame: SoakFrame::default(),
        }
    }

    /// Whether the server has ended the answer.
    pub(crate) fn has_ended(&self) -> bool {
        self.lines.has_ended()
    }

    /// Takes bytes, and passes on the frames that they complete.
    ///
    /// # Errors
    /// The answer is not a stream.
    pub(crate) fn feed(
        &mut self,
        input: &[u8],
        arrived: &mut impl FnMut(&SoakFrame),
    ) -> Result<(), StreamDefect> {
        let frame = &mut self.frame;
        self.lines.feed(input, &mut |piece| match piece {
            AnswerPiece::Head { head, .. } => check(head),
            AnswerPiece::Line(line) => {
                frame.take(line, arrived);
                Ok(())
            }
        })
    }
}

fn check(head: &str) -> Result<(), StreamDefect> {
    let status = head.strip_prefix("http/1.1 ");
    let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
    match status {
        Some(200) if head.contains("transfer-encoding: chunked") => Ok(()),
        Some(200) | None => Err(StreamDefect::Malformed),
        Some(status) => Err(StreamDefect::Status(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

    fn chunk(text: &str) -> String {
        format!("{:x}\r\n{text}\r\n", text.len())
    }

    fn mark(number: u32) -> Mark {
        Mark {
            repository: 1,
            number,
            sent_millis: 9,
        }
    }

    #[test]
    fn where_reads_are_cut_makes_no_difference() {
        let event = |n| {
            format!(
                "id: c{n}\nevent: event\ndata: {{\"t\":\"{}\"}}\n\n",
                mark(n)
            )
        };
        let together = event(2) + &event(3);
        let (left, right) = together.split_at(33);
        let wire = [
            HEAD.to_owned(),
            chunk(": ok\nretry: 1000\nid: c0\nevent: connected\ndata: {}\n\n"),
            chunk(&event(1)),
            chunk(":\n\n"),
            chunk(left),
            chunk(right),
            "0\r\n\r\n".to_owned(),
        ]
        .concat();
        for step in 1..wire.len() {
            let (mut parser, mut got) = (Wire::new(), Vec::new());
            for part in wire.as_bytes().chunks(step) {
                let mut arrived = |frame: &SoakFrame| {
                    let id = String::from_utf8_lossy(&frame.id).into_owned();
                    got.push((id, frame.name, frame.mark));
                };
                parser.feed(part, &mut arrived).unwrap();
            }
            let events = (1..=3).map(|n| (format!("c{n}"), FrameName::Event, Some(mark(n))));
            let mut expected = vec![("c0".to_owned(), FrameName::Connected, None)];
            expected.extend(events);
            assert_eq!(got, expected, "in steps of {step}");
            assert!(parser.has_ended());
        }
    }

    #[test]
    fn data_without_a_mark_is_kept_and_a_priming_frame_is_one() {
        let wire = HEAD.to_owned() + &chunk("id: p\ndata: \n\nevent: message\ndata: {\"a\":1}\n\n");
        let mut got = Vec::new();
        let mut arrived = |frame: &SoakFrame| got.push((frame.name, frame.data.clone()));
        Wire::new().feed(wire.as_bytes(), &mut arrived).unwrap();
        let expected = [
            (FrameName::None, vec![]),
            (FrameName::Message, b"{\"a\":1}".to_vec()),
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn what_is_no_stream_is_named() {
        let feed = |text: &str| Wire::new().feed(text.as_bytes(), &mut |_| {});
        assert_eq!(
            feed("HTTP/1.1 503 No\r\n\r\nfull"),
            Err(StreamDefect::Status(503))
        );
        assert_eq!(
            feed("HTTP/1.1 200 OK\r\n\r\n"),
            Err(StreamDefect::Malformed)
        );
        assert_eq!(feed(&"x".repeat(20_000)), Err(StreamDefect::Malformed));
        let endless = HEAD.to_owned() + "fffff\r\n" + &"x".repeat(70_000);
        assert_eq!(feed(&endless), Err(StreamDefect::Malformed));
    }
}
