//! One answer off a socket: HTTP/1.1 head, chunks, SSE frames. Keeps of an event only its cursor and its
//! mark, so that thousands of streams can be read on a part of a core.

use super::world::Mark;

/// Longest response head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Longest line that is put together when reads cut it: above the largest event of the soak.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// Of data without a mark so much is kept: opening frames and updates are shorter.
const KEPT_DATA_BYTES: usize = 1024;

/// Why an answer is not a stream that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Another status than 200.
    Status(u16),
    /// Not HTTP/1.1, not chunked, or longer than anything that we are sent.
    Malformed,
}

/// The `event:` line of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Name {
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

/// What stood between two blank lines, heartbeats aside.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// `id:`, empty if there was none.
    pub(crate) id: Vec<u8>,
    /// `event:`.
    pub(crate) name: Name,
    /// The first mark in the data.
    pub(crate) mark: Option<Mark>,
    /// The data, if there is no mark in it; its first KiB.
    pub(crate) data: Vec<u8>,
    has_data: bool,
}

impl Frame {
    fn clear(&mut self) {
        self.id.clear();
        self.data.clear();
        (self.name, self.mark, self.has_data) = (Name::None, None, false);
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
                    b"connected" => Name::Connected,
                    b"event" => Name::Event,
                    b"message" => Name::Message,
                    b"truncated" => Name::Truncated,
                    _ => Name::Other,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    ChunkSize(usize),
    /// Past the digits, before the line end.
    ChunkExtension(usize),
    Data(usize),
    /// So many bytes of the line end after the data are still to come.
    DataEnd(usize),
    Ended,
}

/// One answer's parser.
#[derive(Debug)]
pub(crate) struct Wire {
    part: Part,
    /// What is known of a line, or of the head, that has not ended yet.
    rest: Vec<u8>,
    frame: Frame,
}

impl Wire {
    /// Before the first byte.
    pub(crate) fn new() -> Self {
        Self {
            part: Part::Head,
            rest: Vec::new(),
            frame: Frame::default(),
        }
    }

    /// The server said that there is no more.
    pub(crate) fn has_ended(&self) -> bool {
        self.part == Part::Ended
    }

    /// Takes in bytes, and hands out the frames that they complete.
    ///
    /// # Errors
    /// The answer is no stream.
    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        arrived: &mut impl FnMut(&Frame),
    ) -> Result<(), Broken> {
        while let Some(&first) = input.first() {
            match self.part {
                Part::Head => input = self.head(input)?,
                Part::ChunkSize(size) => {
                    input = &input[1..];
                    self.part = match char::from(first).to_digit(16) {
                        Some(_) if size > usize::MAX >> 8 => return Err(Broken::Malformed),
                        Some(digit) => Part::ChunkSize(size * 16 + digit as usize),
                        None if first == b'\n' => begin_data(size),
                        None => Part::ChunkExtension(size),
                    };
                }
                Part::ChunkExtension(size) => {
                    input = &input[1..];
                    if first == b'\n' {
                        self.part = begin_data(size);
                    }
                }
                Part::Data(left) => {
                    let (data, after) = input.split_at(left.min(input.len()));
                    self.text(data, arrived)?;
                    input = after;
                    self.part = match left - data.len() {
                        0 => Part::DataEnd(2),
                        left => Part::Data(left),
                    };
                }
                Part::DataEnd(left) => {
                    input = &input[1..];
                    self.part = match left {
                        1 => Part::ChunkSize(0),
                        left => Part::DataEnd(left - 1),
                    };
                }
                Part::Ended => return Ok(()),
            }
        }
        Ok(())
    }

    fn head<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], Broken> {
        let known = self.rest.len();
        self.rest.extend_from_slice(input);
        let Some(end) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            let is_too_long = self.rest.len() > MAX_HEAD_BYTES;
            return if is_too_long {
                Err(Broken::Malformed)
            } else {
                Ok(&[])
            };
        };
        let head = String::from_utf8_lossy(&self.rest[..end]).to_ascii_lowercase();
        let status = head
            .strip_prefix("http/1.1 ")
            .and_then(|rest| rest.get(..3));
        match status.and_then(|status| status.parse().ok()) {
            Some(200) if head.contains("transfer-encoding: chunked") => {}
            Some(200) | None => return Err(Broken::Malformed),
            Some(status) => return Err(Broken::Status(status)),
        }
        self.rest = Vec::new();
        self.part = Part::ChunkSize(0);
        Ok(&input[end + 4 - known..])
    }

    fn text(&mut self, mut data: &[u8], arrived: &mut impl FnMut(&Frame)) -> Result<(), Broken> {
        while let Some(end) = data.iter().position(|byte| *byte == b'\n') {
            if self.rest.is_empty() {
                self.line(&data[..end], arrived);
            } else {
                let mut line = std::mem::take(&mut self.rest);
                line.extend_from_slice(&data[..end]);
                self.line(&line, arrived);
            }
            data = &data[end + 1..];
        }
        self.rest.extend_from_slice(data);
        let is_too_long = self.rest.len() > MAX_LINE_BYTES;
        if is_too_long {
            Err(Broken::Malformed)
        } else {
            Ok(())
        }
    }

    fn line(&mut self, line: &[u8], arrived: &mut impl FnMut(&Frame)) {
        if !line.is_empty() && line != b"\r" {
            return self.frame.line(line);
        }
        if self.frame.has_data || !self.frame.id.is_empty() {
            arrived(&self.frame);
        }
        self.frame.clear();
    }
}

fn begin_data(size: usize) -> Part {
    match size {
        0 => Part::Ended,
        size => Part::Data(size),
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
                let mut arrived = |frame: &Frame| {
                    let id = String::from_utf8_lossy(&frame.id).into_owned();
                    got.push((id, frame.name, frame.mark));
                };
                parser.feed(part, &mut arrived).unwrap();
            }
            let events = (1..=3).map(|n| (format!("c{n}"), Name::Event, Some(mark(n))));
            let mut expected = vec![("c0".to_owned(), Name::Connected, None)];
            expected.extend(events);
            assert_eq!(got, expected, "in steps of {step}");
            assert!(parser.has_ended());
        }
    }

    #[test]
    fn data_without_a_mark_is_kept_and_a_priming_frame_is_one() {
        let wire = HEAD.to_owned() + &chunk("id: p\ndata: \n\nevent: message\ndata: {\"a\":1}\n\n");
        let mut got = Vec::new();
        let mut arrived = |frame: &Frame| got.push((frame.name, frame.data.clone()));
        Wire::new().feed(wire.as_bytes(), &mut arrived).unwrap();
        let expected = [(Name::None, vec![]), (Name::Message, b"{\"a\":1}".to_vec())];
        assert_eq!(got, expected);
    }

    #[test]
    fn what_is_no_stream_is_named() {
        let feed = |text: &str| Wire::new().feed(text.as_bytes(), &mut |_| {});
        assert_eq!(
            feed("HTTP/1.1 503 No\r\n\r\nfull"),
            Err(Broken::Status(503))
        );
        assert_eq!(feed("HTTP/1.1 200 OK\r\n\r\n"), Err(Broken::Malformed));
        assert_eq!(feed(&"x".repeat(20_000)), Err(Broken::Malformed));
        let endless = HEAD.to_owned() + "fffff\r\n" + &"x".repeat(70_000);
        assert_eq!(feed(&endless), Err(Broken::Malformed));
    }
}
