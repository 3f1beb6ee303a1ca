//! An incremental parser of event streams, for tests and for the stdio bridge.

use crate::limits::MAX_SSE_EVENT_BYTES;

/// An event as the server sent it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ParsedFrame {
    /// The `id` of this event (not that of an earlier one).
    pub id: Option<String>,
    /// The `event`; absent means `message`.
    pub event: Option<String>,
    /// The `retry`, in milliseconds.
    pub retry_ms: Option<u64>,
    /// The payload; absent means that clients dispatch nothing.
    pub data: Option<String>,
}

/// A part of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SseBlock {
    /// An event.
    Frame(ParsedFrame),
    /// One comment line, without its colon and one space.
    Comment(String),
}

/// The reason why the parser cannot continue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SseParseError {
    /// Not UTF-8.
    #[error("the event stream is not UTF-8")]
    NotUtf8,
    /// A line or an event above the bound of the parser.
    #[error("an event is larger than {max_bytes} bytes")]
    TooLarge {
        /// The bound.
        max_bytes: usize,
    },
}

impl model::Classified for SseParseError {
    fn class(&self) -> model::ErrorClass {
        model::ErrorClass::Permanent
    }
}

/// Parses chunks that may be cut anywhere. An event counts once its blank line has arrived.
#[derive(Debug)]
pub struct SseStreamParser {
    max_bytes: usize,
    line: Vec<u8>,
    after_cr: bool,
    past_first_line: bool,
    frame: ParsedFrame,
    held_bytes: usize,
    last_event_id: Option<String>,
}

impl Default for SseStreamParser {
    /// A parser of events of up to 8 MiB.
    fn default() -> Self {
        Self::with_max_event_bytes(MAX_SSE_EVENT_BYTES)
    }
}

impl SseStreamParser {
    /// A parser of events of up to `max_bytes`.
    #[must_use]
    pub fn with_max_event_bytes(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            line: Vec::new(),
            after_cr: false,
            past_first_line: false,
            frame: ParsedFrame::default(),
            held_bytes: 0,
            last_event_id: None,
        }
    }

    const fn too_large(&self) -> SseParseError {
        SseParseError::TooLarge {
            max_bytes: self.max_bytes,
        }
    }

    /// Returns the events and comments that the chunk completes.
    ///
    /// # Errors
    /// Not UTF-8, or too large; the parser cannot continue after that.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<SseBlock>, SseParseError> {
        let mut blocks = Vec::new();
        for byte in chunk {
            let follows_cr = std::mem::replace(&mut self.after_cr, *byte == b'\r');
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    let line = String::from_utf8(line).map_err(|_| SseParseError::NotUtf8)?;
                    blocks.extend(self.line(&line)?);
                }
                _ if self.line.len() >= self.max_bytes => return Err(self.too_large()),
                _ => self.line.push(*byte),
            }
        }
        Ok(blocks)
    }

    /// The `Last-Event-ID` that a client would send now.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref().filter(|id| !id.is_empty())
    }

    fn line(&mut self, line: &str) -> Result<Option<SseBlock>, SseParseError> {
        let is_first = !std::mem::replace(&mut self.past_first_line, true);
        let line = match line.strip_prefix('\u{feff}') {
            Some(without_mark) if is_first => without_mark,
            _ => line,
        };
        if line.is_empty() {
            self.held_bytes = 0;
            let frame = std::mem::take(&mut self.frame);
            return Ok((frame != ParsedFrame::default()).then_some(SseBlock::Frame(frame)));
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        if name.is_empty() {
            return Ok(Some(SseBlock::Comment(value.to_owned())));
        }
        self.held_bytes += line.len();
        if self.held_bytes > self.max_bytes {
            return Err(self.too_large());
        }
        self.field(name, value);
        Ok(None)
    }

    fn field(&mut self, name: &str, value: &str) {
        match name {
            "data" => match &mut self.frame.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.frame.data = Some(value.to_owned()),
            },
            "event" => self.frame.event = Some(value.to_owned()),
            "id" if !value.contains('\0') => {
                self.frame.id = Some(value.to_owned());
                self.last_event_id = Some(value.to_owned());
            }
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => {
                self.frame.retry_ms = value.parse().ok();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_colon_a_mark_and_unknown_fields_follow_the_standard() {
        let mut parser = SseStreamParser::default();
        let blocks = parser.feed("\u{feff}data\nfoo: x\nretry: 1x\n\n".as_bytes());
        let empty = ParsedFrame {
            data: Some(String::new()),
            ..ParsedFrame::default()
        };
        assert_eq!(blocks.unwrap(), [SseBlock::Frame(empty)]);
    }

    #[test]
    fn an_unfinished_event_does_not_count_and_the_last_id_stays() {
        let mut parser = SseStreamParser::default();
        assert_eq!(parser.feed(b"id: 1\r\n\r\ndata: x\r").unwrap().len(), 1);
        assert_eq!(parser.last_event_id(), Some("1"));
        assert_eq!(parser.feed(b"\n").unwrap(), []);
        assert_eq!(parser.feed(b"\r\n").unwrap().len(), 1);
        assert_eq!(parser.last_event_id(), Some("1"));
        assert_eq!(parser.feed(b"id\n\n").unwrap().len(), 1);
        assert_eq!(parser.last_event_id(), None);
    }

    #[test]
    fn a_stream_that_never_ends_a_line_or_an_event_is_given_up() {
        let megabyte = vec![b'x'; 1 << 20];
        let mut parser = SseStreamParser::default();
        let endless = (0..9).try_for_each(|_| parser.feed(&megabyte).map(drop));
        let too_large = Err(SseParseError::TooLarge {
            max_bytes: MAX_SSE_EVENT_BYTES,
        });
        assert_eq!(endless, too_large);
        let mut line = b"data: ".to_vec();
        line.extend_from_slice(&megabyte);
        line.push(b'\n');
        let mut parser = SseStreamParser::default();
        let many_lines = (0..9).try_for_each(|_| parser.feed(&line).map(drop));
        assert_eq!(many_lines, too_large);
        let mut parser = SseStreamParser::with_max_event_bytes(10 << 20);
        let larger = (0..9).try_for_each(|_| parser.feed(&megabyte).map(drop));
        assert_eq!(larger, Ok(()));
    }
}
