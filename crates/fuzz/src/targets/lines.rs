//! [`mcp::ndjson::LineReader`]: the size of chunks, the maximum length of a line, then lines.

use mcp::{
    envelope::{InvalidMessage, parse},
    ndjson::{LineReader, line},
};
use model::without_byte_order_mark;

pub(crate) fn run(data: &[u8]) {
    let [chunk, max, text @ ..] = data else {
        return;
    };
    let (chunk, max) = (usize::from(*chunk) + 1, usize::from(*max) + 1);
    let mut reader = LineReader::new(max);
    let mut messages: Vec<_> = text.chunks(chunk).flat_map(|c| reader.feed(c)).collect();
    messages.extend(reader.finish());
    assert!(reader.finish().is_none(), "the end is reported once");

    // The simplest reader: splits all lines at once.
    let mut expected = Vec::new();
    for content in text.split(|byte| *byte == b'\n') {
        if content.len() > max {
            expected.push(Err(InvalidMessage::TooLarge));
            continue;
        }
        let content = without_byte_order_mark(content).trim_ascii();
        if !content.is_empty() {
            expected.push(parse(content));
        }
    }
    let bodies = messages
        .iter()
        .map(|line| line.as_ref().map(|line| &line.body));
    let bodies: Vec<_> = bodies.collect();
    assert_eq!(format!("{bodies:?}"), format!("{expected:?}"));

    for message in messages.into_iter().flatten() {
        if let mcp::envelope::MessageBody::One(mcp::Incoming::Notification(n)) = message.body {
            // White space within raw params is kept, and a line break there does not end a line.
            if n.params
                .as_ref()
                .is_some_and(|p| p.get().contains(['\n', '\r']))
            {
                continue;
            }
            let written = line(&mcp::envelope::notification(&n.method, n.params.as_ref()));
            assert_eq!(LineReader::default().feed(&written).len(), 1);
        }
    }
}
