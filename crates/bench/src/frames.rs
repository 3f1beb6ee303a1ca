//! Reads one event stream off the wire: HTTP/1.1 head, chunks, SSE lines. Counts each event exactly
//! once, wherever reads happen to be cut, and allocates nothing while they are cut between lines.

use anyhow::{Result, bail};

/// Longest response head that is looked at, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Marks the counter and the intended send time inside an event; see [`stamp`].
const MARK: &[u8] = b"bench-at:";

/// The text that goes into an event: which one it is, and when it was meant to be sent
/// (nanoseconds of [`crate::clock::now_nanos`]). The width is fixed, so that all events are equally long.
pub(crate) fn stamp(number: u64, intended_nanos: u64) -> String {
    format!("bench-at:{number:010}:{intended_nanos:020}")
}

/// What a stamp says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) number: u64,
    pub(crate) intended_nanos: u64,
}

/// Spreads a number over 64 bits (the finaliser of SplitMix64): sums of these tell sets apart.
pub(crate) fn spread(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The sum that a stream has which got the events 1 to `events`, each once.
pub(crate) fn whole_set(events: u64) -> u64 {
    (1..=events).map(spread).fold(0, u64::wrapping_add)
}

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// The stream is open (`event: connected`).
    Connected,
    /// An event; without a stamp it is somebody else's.
    Event(Option<Stamp>),
}

#[derive(Debug, Clone, Copy)]
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Other,
    Connected,
    Event,
}

/// One stream's parser.
#[derive(Debug)]
pub(crate) struct Frames {
    part: Part,
    /// What is known of a line, or of the head, that has not ended yet.
    rest: Vec<u8>,
    kind: Kind,
    stamp: Option<Stamp>,
    /// The lines of one event as they came, once somebody wants a sample.
    sample: Option<String>,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self {
            part: Part::Head,
            rest: Vec::new(),
            kind: Kind::Other,
            stamp: None,
            sample: None,
        }
    }

    /// Takes in bytes and says what they complete.
    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        arrived: &mut impl FnMut(Arrived),
    ) -> Result<()> {
        while let Some(&first) = input.first() {
            match self.part {
                Part::Head => input = self.head(input)?,
                Part::ChunkSize(size) => {
                    input = &input[1..];
                    self.part = match char::from(first).to_digit(16) {
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
                    self.text(data, arrived);
                    input = after;
                    self.part = match left - data.len() {
                        0 => Part::DataEnd(2),
                        left => Part::Data(left),
                    };
                }
                Part::DataEnd(left) => {
                    input = &input[1..];
                    self.part = if left == 1 {
                        Part::ChunkSize(0)
                    } else {
                        Part::DataEnd(left - 1)
                    };
                }
                Part::Ended => return Ok(()),
            }
        }
        Ok(())
    }

    /// The server said that there is no more.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.part, Part::Ended)
    }

    /// Keeps the lines of one event from here on; see [`Self::sample`].
    pub(crate) fn keep_sample(&mut self) {
        self.sample = Some(String::new());
    }

    /// The lines of the last event, line ends included.
    pub(crate) fn sample(&self) -> Option<&str> {
        self.sample
            .as_deref()
            .filter(|sample| sample.ends_with("\n\n"))
    }

    fn head<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8]> {
        let known = self.rest.len();
        self.rest.extend_from_slice(input);
        let Some(end) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            if self.rest.len() > MAX_HEAD_BYTES {
                bail!("response head is longer than {MAX_HEAD_BYTES} bytes");
            }
            return Ok(&[]);
        };
        let head = String::from_utf8_lossy(&self.rest[..end]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            bail!(
                "stream was not opened: {}",
                String::from_utf8_lossy(&self.rest)
            );
        }
        if !head.contains("transfer-encoding: chunked") {
            bail!("stream is not chunked: {head}");
        }
        self.rest = Vec::new();
        self.part = Part::ChunkSize(0);
        Ok(&input[end + 4 - known..])
    }

    fn text(&mut self, mut data: &[u8], arrived: &mut impl FnMut(Arrived)) {
        while let Some(end) = data.iter().position(|byte| *byte == b'\n') {
            if self.rest.is_empty() {
                self.line(&data[..end], arrived);
            } else {
                let mut line = std::mem::take(&mut self.rest);
                line.extend_from_slice(&data[..end]);
                self.line(&line, arrived);
                line.clear();
                self.rest = line;
            }
            data = &data[end + 1..];
        }
        self.rest.extend_from_slice(data);
    }

    fn line(&mut self, line: &[u8], arrived: &mut impl FnMut(Arrived)) {
        if let Some(sample) = &mut self.sample {
            if sample.ends_with("\n\n") || line.first() == Some(&b':') {
                sample.clear();
            }
            sample.push_str(&String::from_utf8_lossy(line));
            sample.push('\n');
        }
        if line.is_empty() {
            match std::mem::replace(&mut self.kind, Kind::Other) {
                Kind::Other => {}
                Kind::Connected => arrived(Arrived::Connected),
                Kind::Event => arrived(Arrived::Event(self.stamp.take())),
            }
        } else if let Some(name) = line.strip_prefix(b"event:") {
            self.kind = match name.trim_ascii() {
                b"event" => Kind::Event,
                b"connected" => Kind::Connected,
                _ => Kind::Other,
            };
        } else if let Some(data) = line.strip_prefix(b"data:") {
            self.stamp = find_stamp(data);
        }
    }
}

fn begin_data(size: usize) -> Part {
    if size == 0 {
        Part::Ended
    } else {
        Part::Data(size)
    }
}

fn find_stamp(data: &[u8]) -> Option<Stamp> {
    let start = data.windows(MARK.len()).position(|here| here == MARK)? + MARK.len();
    let number = std::str::from_utf8(data.get(start..start + 10)?)
        .ok()?
        .parse()
        .ok()?;
    let nanos = std::str::from_utf8(data.get(start + 11..start + 31)?)
        .ok()?
        .parse()
        .ok()?;
    Some(Stamp {
        number,
        intended_nanos: nanos,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

    fn chunk(text: &str) -> String {
        format!("{:x}\r\n{text}\r\n", text.len())
    }

    fn wire() -> String {
        let event = |n| {
            format!(
                "id: c{n}\nevent: event\ndata: {{\"t\":\"{}\"}}\n\n",
                stamp(n, 7)
            )
        };
        let together = event(2) + &event(3);
        let (left, right) = together.split_at(33);
        [
            HEAD.to_owned(),
            chunk("event: connected\ndata: {}\n\n"),
            chunk(&event(1)),
            chunk(": heartbeat\n\n"),
            chunk(left),
            chunk(right),
        ]
        .concat()
    }

    /// However the bytes are cut, the same events come out, once each.
    #[test]
    fn where_reads_are_cut_makes_no_difference() {
        let wire = wire();
        let event = |number| {
            Arrived::Event(Some(Stamp {
                number,
                intended_nanos: 7,
            }))
        };
        let expected = [Arrived::Connected, event(1), event(2), event(3)];
        for step in 1..wire.len() {
            let mut frames = Frames::new();
            let mut arrived = Vec::new();
            for part in wire.as_bytes().chunks(step) {
                frames.feed(part, &mut |one| arrived.push(one)).unwrap();
            }
            assert_eq!(arrived, expected, "in steps of {step}");
            assert!(!frames.has_ended());
        }
    }

    #[test]
    fn the_sample_is_one_whole_event() {
        let mut frames = Frames::new();
        frames.keep_sample();
        frames.feed(wire().as_bytes(), &mut |_| {}).unwrap();
        let sample = frames.sample().unwrap();
        assert!(
            sample.starts_with("id: c3\nevent: event\ndata: "),
            "{sample}"
        );
        assert!(sample.ends_with("\n\n"));
    }

    #[test]
    fn a_refusal_is_an_error_and_the_last_chunk_is_the_end() {
        let refused = b"HTTP/1.1 503 Service Unavailable\r\n\r\nfull";
        assert!(Frames::new().feed(refused, &mut |_| {}).is_err());
        let mut frames = Frames::new();
        frames
            .feed(format!("{HEAD}0\r\n\r\n").as_bytes(), &mut |_| {})
            .unwrap();
        assert!(frames.has_ended());
    }
}
