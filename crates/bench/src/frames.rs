//! Parses one event stream, and counts each event exactly once.

use anyhow::{Context, Result, ensure};
use testkit::wire::{AnswerLines, AnswerPiece};

/// Longest line that is assembled: above any event of the benchmark.
const MAX_LINE_BYTES: usize = 16 << 20;

/// Marks the counter and the intended send time inside an event; see [`stamp`].
const MARK: &[u8] = b"bench-at:";

/// The text that identifies an event: its number, and its intended send time (nanoseconds of
/// [`crate::clock::now_nanos`]). The width is fixed, so that all events have the same length.
pub(crate) fn stamp(number: u64, intended_nanos: u64) -> String {
    format!("bench-at:{number:010}:{intended_nanos:020}")
}

/// The content of a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) number: u64,
    pub(crate) intended_nanos: u64,
}

/// Spreads a number over 64 bits (the finaliser of SplitMix64), so that sums of spread numbers
/// identify sets.
pub(crate) fn spread(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The sample with each of its stamps replaced by `stamp`; its length does not change.
pub(crate) fn with_stamp(sample: &str, stamp: &str) -> Result<String> {
    let start = sample
        .find("bench-at:")
        .context("the sample has no stamp")?;
    let old = sample
        .get(start..start + stamp.len())
        .context("the sample's stamp is cut off")?;
    Ok(sample.replace(old, stamp))
}

/// A unit that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamItem {
    /// The stream is open: its first frame is complete, whatever the first frame of its kind is.
    Opened,
    /// A complete event of the benchmark.
    Event(Stamp),
    /// A notice that a resource has changed; it does not name the event.
    Update,
    /// An answer to a request, received on this stream, and whether it is a success.
    Answer(bool),
    /// A comment on the open stream.
    Heartbeat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Other,
    /// `event: event`, as on `/events/stream`.
    Event,
    /// `event: message`, or no name, which means the same: JSON-RPC.
    Message,
}

/// The method of a notice that a resource has changed.
const UPDATED_METHOD: &[u8] = b"\"notifications/resources/updated\"";

/// One stream's parser.
#[derive(Debug)]
pub(crate) struct Frames {
    lines: AnswerLines,
    frame: Frame,
}

/// The state of a frame that is not complete yet.
#[derive(Debug)]
struct Frame {
    kind: Kind,
    /// The unit that the frame contains.
    item: Option<StreamItem>,
    open: bool,
    /// The received lines of one event, if a sample was requested.
    sample: Option<String>,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self {
            lines: AnswerLines::new(MAX_LINE_BYTES),
            frame: Frame {
                kind: Kind::Message,
                item: None,
                open: false,
                sample: None,
            },
        }
    }

    /// Takes bytes and reports the units that they complete.
    pub(crate) fn feed(
        &mut self,
        input: &[u8],
        arrived: &mut impl FnMut(StreamItem),
    ) -> Result<()> {
        let frame = &mut self.frame;
        self.lines.feed(input, &mut |piece| match piece {
            AnswerPiece::Head { head, read } => check(head, read),
            AnswerPiece::Line(line) => {
                frame.line(line, arrived);
                Ok(())
            }
        })
    }

    /// Whether the server has ended the stream.
    pub(crate) fn has_ended(&self) -> bool {
        self.lines.has_ended()
    }

    /// Keeps the lines of one event from now on; see [`Self::sample`].
    pub(crate) fn keep_sample(&mut self) {
        self.frame.sample = Some(String::new());
    }

    /// Stops keeping lines, and gives the last sample.
    pub(crate) fn take_sample(&mut self) -> Option<String> {
        let sample = self.frame.sample.take();
        sample.filter(|sample| sample.ends_with("\n\n"))
    }

    /// The lines of the last event, line ends included.
    pub(crate) fn sample(&self) -> Option<&str> {
        let sample = self.frame.sample.as_deref();
        sample.filter(|sample| sample.ends_with("\n\n"))
    }
}

fn check(head: &str, read: &[u8]) -> Result<()> {
    ensure!(
        head.starts_with("http/1.1 200"),
        "stream was not opened: {}",
        String::from_utf8_lossy(read)
    );
    ensure!(
        head.contains("content-type: text/event-stream"),
        "no event stream: {head}"
    );
    Ok(())
}

impl Frame {
    /// Comments, and the empty lines after them, are not frames: they leave the last frame
    /// unchanged.
    fn add_to_sample(&mut self, line: &[u8]) {
        let Some(sample) = &mut self.sample else {
            return;
        };
        if sample.is_empty() || sample.ends_with("\n\n") {
            if line.is_empty() || line.first() == Some(&b':') {
                return;
            }
            sample.clear();
        }
        sample.push_str(&String::from_utf8_lossy(line));
        sample.push('\n');
    }

    fn line(&mut self, line: &[u8], arrived: &mut impl FnMut(StreamItem)) {
        self.add_to_sample(line);
        if line.is_empty() {
            self.kind = Kind::Message;
            if !std::mem::replace(&mut self.open, true) {
                arrived(StreamItem::Opened);
            }
            if let Some(item) = self.item.take() {
                arrived(item);
            }
        } else if let Some(name) = line.strip_prefix(b"event:") {
            self.kind = match name.trim_ascii() {
                b"event" => Kind::Event,
                b"message" => Kind::Message,
                _ => Kind::Other,
            };
        } else if let Some(data) = line.strip_prefix(b"data:") {
            self.item = match self.kind {
                Kind::Other => None,
                Kind::Event => find_stamp(data).map(StreamItem::Event),
                Kind::Message => message(data.trim_ascii()),
            };
        } else if line.first() == Some(&b':') && self.open {
            arrived(StreamItem::Heartbeat);
        }
    }
}

/// The countable content of a JSON-RPC message.
fn message(json: &[u8]) -> Option<StreamItem> {
    let has = |text: &[u8]| json.windows(text.len()).any(|here| here == text);
    if let Some(stamp) = find_stamp(json) {
        Some(StreamItem::Event(stamp))
    } else if has(UPDATED_METHOD) {
        Some(StreamItem::Update)
    } else if json.is_empty() || has(b"\"method\":") {
        None
    } else {
        Some(StreamItem::Answer(
            has(b"\"result\":") && !has(b"\"isError\":true"),
        ))
    }
}

/// The stamp in a text that has one.
pub(crate) fn find_stamp(data: &[u8]) -> Option<Stamp> {
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

    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
        Transfer-Encoding: chunked\r\n\r\n";

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

    /// Any division of the bytes gives the same events, once each.
    #[test]
    fn where_reads_are_cut_makes_no_difference() {
        let wire = wire();
        let event = |number| {
            StreamItem::Event(Stamp {
                number,
                intended_nanos: 7,
            })
        };
        let expected = [
            StreamItem::Opened,
            event(1),
            StreamItem::Heartbeat,
            event(2),
            event(3),
        ];
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

    fn read(wire: &str) -> Vec<StreamItem> {
        let (mut frames, mut arrived) = (Frames::new(), Vec::new());
        frames
            .feed(wire.as_bytes(), &mut |one| arrived.push(one))
            .unwrap();
        arrived
    }

    /// A body without chunks, as nginx sends it.
    #[test]
    fn a_stream_that_ends_with_its_connection_is_read_too() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n";
        let event = format!("event: event\nid: 1:0\ndata: {}\n\n", stamp(4, 5));
        let stamp = Stamp {
            number: 4,
            intended_nanos: 5,
        };
        assert_eq!(
            read(&format!("{head}: hi\n\n{event}")),
            [StreamItem::Opened, StreamItem::Event(stamp)]
        );
    }

    #[test]
    fn messages_of_the_protocol_are_told_apart() {
        let message = |json: &str| chunk(&format!("event: message\ndata: {json}\n\n"));
        let rpc = r#"{"jsonrpc":"2.0","#;
        let event = format!(
            r#"{rpc}"method":"notifications/message","params":{{"t":"{}"}}}}"#,
            stamp(6, 7)
        );
        let wire = [
            HEAD.to_owned(),
            chunk("event: endpoint\ndata: /messages?sessionId=a\n\n"),
            chunk("id: c\ndata: \n\n"),
            chunk(&format!("data: {rpc}\"id\":1,\"result\":{{}}}}\n\n")),
            message(&format!(r#"{rpc}"id":2,"error":{{}}}}"#)),
            message(&format!(
                r#"{rpc}"method":"notifications/tools/list_changed"}}"#
            )),
            message(&format!(
                r#"{rpc}"method":"notifications/resources/updated","params":{{}}}}"#
            )),
            message(&event),
        ];
        let stamp = Stamp {
            number: 6,
            intended_nanos: 7,
        };
        assert_eq!(
            read(&wire.concat()),
            [
                StreamItem::Opened,
                StreamItem::Answer(true),
                StreamItem::Answer(false),
                StreamItem::Update,
                StreamItem::Event(stamp)
            ]
        );
    }

    #[test]
    fn the_sample_is_one_whole_event() {
        let mut frames = Frames::new();
        frames.keep_sample();
        frames.feed(wire().as_bytes(), &mut |_| {}).unwrap();
        let heartbeat = chunk(": heartbeat\n\n");
        frames.feed(heartbeat.as_bytes(), &mut |_| {}).unwrap();
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
