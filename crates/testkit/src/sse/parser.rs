//! The event-stream format of the HTML standard (section "Server-sent events"), byte by byte.

use std::{collections::VecDeque, time::Duration};

/// Largest accepted block, in bytes: far above any event, far below a size that would slow a test
/// run.
const MAX_BLOCK_BYTES: usize = 16 * 1024 * 1024;

/// One block of the stream: the lines between two blank lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceivedFrame {
    /// `id:`; an empty one resets the last id. Ids with a NUL are ignored, as the standard
    /// requires.
    pub id: Option<String>,
    /// `event:`; `None` means `message`.
    pub event: Option<String>,
    /// The `data:` lines, joined with line feeds. `Some("")` for a priming event; `None` if there
    /// was no such line.
    pub data: Option<String>,
    /// `retry:`, if it is digits only.
    pub retry: Option<Duration>,
    /// Comment lines, without the colon and one leading space.
    pub comments: Vec<String>,
}

impl ReceivedFrame {
    /// Whether it carries nothing but comments: a heartbeat.
    #[must_use]
    pub fn is_comment(&self) -> bool {
        self.id.is_none() && self.event.is_none() && self.data.is_none() && self.retry.is_none()
    }

    /// The data as JSON; `None` if there is none or it is not JSON.
    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_str(self.data.as_deref()?).ok()
    }
}

/// The limit on the size of a block was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a block of the event stream is longer than {MAX_BLOCK_BYTES} bytes")]
pub struct BlockTooLong;

/// Takes bytes as they arrive, cut at any point, and gives whole frames.
///
/// Lines end with LF, CR LF or CR. A block that is cut off by the end of the stream is dropped.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    after_cr: bool,
    past_start: bool,
    block_bytes: usize,
    frame: ReceivedFrame,
    has_lines: bool,
    ready: VecDeque<ReceivedFrame>,
}

impl SseParser {
    /// A parser at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// A block grows beyond 16 MiB.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BlockTooLong> {
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(at) = rest.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            self.take(&rest[..at])?;
            self.end_line();
            let was_cr = rest[at] == b'\r';
            rest = &rest[at + 1..];
            if was_cr {
                // The LF of a CR LF may arrive with the next bytes.
                self.after_cr = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
        }
        self.take(rest)
    }

    /// The next whole frame.
    pub fn next_frame(&mut self) -> Option<ReceivedFrame> {
        self.ready.pop_front()
    }

    fn take(&mut self, part: &[u8]) -> Result<(), BlockTooLong> {
        self.block_bytes += part.len();
        if self.block_bytes > MAX_BLOCK_BYTES {
            return Err(BlockTooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        if !std::mem::replace(&mut self.past_start, true) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        if line.is_empty() {
            self.block_bytes = 0;
            if std::mem::take(&mut self.has_lines) {
                self.ready.push_back(std::mem::take(&mut self.frame));
            }
            return;
        }
        self.has_lines = true;
        self.field(&String::from_utf8_lossy(&line));
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => self.frame.comments.push(value.to_owned()),
            "id" if !value.contains('\0') => self.frame.id = Some(value.to_owned()),
            "event" => self.frame.event = Some(value.to_owned()),
            "data" => match &mut self.frame.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.frame.data = Some(value.to_owned()),
            },
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.frame.retry = value.parse().ok().map(Duration::from_millis);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<ReceivedFrame> {
        let mut parser = SseParser::new();
        for chunk in chunks {
            parser.push(chunk).unwrap();
        }
        std::iter::from_fn(|| parser.next_frame()).collect()
    }

    #[test]
    fn every_field_is_read_as_the_standard_says() {
        let text = b"\xef\xbb\xbf: hello\n\nid: 7\nevent:note\ndata: a\ndata:  b\nretry: 1500\n\n\
            id: 8\ndata:\n\nretry: soon\nunknown: x\ndata\n\ndata: cut off";
        let frames = parse(&[text]);
        assert_eq!(frames.len(), 4);
        assert!(frames[0].is_comment());
        assert_eq!(frames[0].comments, ["hello"]);
        assert_eq!(frames[1].data.as_deref(), Some("a\n b"));
        assert_eq!(frames[1].event.as_deref(), Some("note"));
        assert_eq!(frames[1].retry, Some(Duration::from_millis(1500)));
        let priming = ReceivedFrame {
            id: Some("8".into()),
            data: Some(String::new()),
            ..ReceivedFrame::default()
        };
        assert_eq!(frames[2], priming);
        assert_eq!(
            frames[3],
            ReceivedFrame {
                data: Some(String::new()),
                ..ReceivedFrame::default()
            }
        );
    }

    #[test]
    fn all_three_line_ends_mean_the_same() {
        let lf: &[u8] = b"id: 1\ndata: x\n\ndata: y\n\n";
        let text = String::from_utf8_lossy(lf);
        let expected = parse(&[lf]);
        assert_eq!(expected.len(), 2);
        for end in ["\r\n", "\r"] {
            let other = text.replace('\n', end);
            assert_eq!(parse(&[other.as_bytes()]), expected, "{end:?}");
        }
    }

    #[test]
    fn a_block_without_end_is_an_error_not_a_full_memory() {
        let mut parser = SseParser::new();
        let megabyte = vec![b'x'; 1 << 20];
        let failed = (0..20).find(|_| parser.push(&megabyte).is_err());
        assert_eq!(failed, Some(16));
    }

    fn lines() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            Just(String::new()),
            "[ -~\u{e4}\u{1f980}]{0,12}",
            "(data|id|event|retry|):? ?[0-9a-z\u{e9}]{0,8}",
        ];
        let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
        proptest::collection::vec((line, end), 0..30)
            .prop_map(|all| all.into_iter().map(|(line, end)| line + end).collect())
    }

    proptest! {
        #[test]
        fn where_the_network_cuts_changes_nothing(
            text in lines(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let bytes = text.as_bytes();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.sort_unstable();
            let mut chunks = Vec::new();
            let mut start = 0;
            for cut in at {
                chunks.push(&bytes[start..cut]);
                start = cut;
            }
            chunks.push(&bytes[start..]);
            prop_assert_eq!(parse(&chunks), parse(&[bytes]));
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(parse(&single), parse(&[bytes]));
        }
    }
}
