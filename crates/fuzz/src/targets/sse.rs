//! Event streams: whatever the encoder writes is given back by the parser of this workspace and by
//! a reader written from the standard, and no id or payload can become a separate field. Input: a
//! size of chunks, then the parts of frames with 0xff between them: id, event, data, id, …

use mcp::sse::{ParsedFrame, SseBlock, SseField, SseFrame, SseStreamParser, comment, message};

pub(crate) fn run(data: &[u8]) {
    let [chunk, data @ ..] = data else {
        return;
    };
    let chunk = usize::from(*chunk) + 1;
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(ours(text.as_bytes(), chunk), standard(text), "any text");
    } else if data.ends_with(b"\n") && !data.contains(&super::SEPARATOR) {
        assert!(
            data.chunks(chunk)
                .try_fold(SseStreamParser::default(), feed)
                .is_none()
        );
    }
    encoded(data, chunk);
}

fn feed(mut parser: SseStreamParser, chunk: &[u8]) -> Option<SseStreamParser> {
    parser.feed(chunk).ok().map(|_| parser)
}

fn encoded(data: &[u8], chunk: usize) {
    let parts: Vec<_> = data.split(|byte| *byte == super::SEPARATOR).collect();
    let parts: Vec<_> = parts.into_iter().map(String::from_utf8_lossy).collect();
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for (n, frame) in parts.chunks(3).enumerate() {
        let id = frame.first().and_then(|id| field(id));
        let event = frame.get(1).and_then(|event| field(event));
        let payload = frame.get(2).map(AsRef::as_ref);
        let retry_ms = (n % 2 == 1).then_some(n as u64);
        let sent = SseFrame {
            id,
            event,
            retry_ms,
            data: payload,
        };
        bytes.extend_from_slice(&sent.encode());
        let arrives = ParsedFrame {
            id: id.map(|_| frame[0].to_string()),
            event: event.map(|_| frame[1].to_string()),
            retry_ms,
            data: payload.map(one_kind_of_break),
        };
        if arrives != ParsedFrame::default() {
            expected.push(SseBlock::Frame(arrives));
        }
        let said = payload.unwrap_or("tick");
        bytes.extend_from_slice(&comment(said));
        let lines = one_kind_of_break(said);
        expected.extend(
            lines
                .split('\n')
                .map(|line| SseBlock::Comment(line.to_owned())),
        );
        let json = serde_json::to_string(said).expect("text");
        bytes.extend_from_slice(&message(id, json.as_bytes()));
        expected.push(SseBlock::Frame(ParsedFrame {
            // An empty id is left out: it would make a client forget its position.
            id: id.map(|_| frame[0].to_string()).filter(|id| !id.is_empty()),
            data: Some(json),
            ..ParsedFrame::default()
        }));
    }
    assert_eq!(ours(&bytes, chunk), expected, "our parser");
    let text = String::from_utf8(bytes).expect("frames are text");
    assert_eq!(standard(&text), expected, "the standard's reader");
}

/// The text as a field if, and only if, it cannot end its line.
fn field(text: &str) -> Option<SseField<'_>> {
    let field = SseField::new(text).ok();
    assert_eq!(field.is_none(), text.contains(['\r', '\n', '\0']));
    field
}

fn one_kind_of_break(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn ours(bytes: &[u8], chunk: usize) -> Vec<SseBlock> {
    let mut parser = SseStreamParser::default();
    let chunks = bytes.chunks(chunk);
    chunks
        .flat_map(|chunk| parser.feed(chunk).expect("it is text and small"))
        .collect()
}

/// HTML, "Server-sent events", "Interpreting an event stream", on the whole text at once.
fn standard(text: &str) -> Vec<SseBlock> {
    let text = one_kind_of_break(text.strip_prefix('\u{feff}').unwrap_or(text));
    let (mut blocks, mut frame) = (Vec::new(), ParsedFrame::default());
    let mut lines: Vec<_> = text.split('\n').collect();
    lines.pop(); // without its end a line does not count
    for line in lines {
        if line.is_empty() {
            if frame != ParsedFrame::default() {
                blocks.push(SseBlock::Frame(std::mem::take(&mut frame)));
            }
            continue;
        }
        let (name, value) = match line.find(':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, ""),
        };
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            "" => blocks.push(SseBlock::Comment(value)),
            "id" if !value.contains('\0') => frame.id = Some(value),
            "event" => frame.event = Some(value),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => {
                frame.retry_ms = value.parse().ok();
            }
            "data" => {
                let before = frame.data.take().map(|data| data + "\n");
                frame.data = Some(before.unwrap_or_default() + &value);
            }
            _ => {}
        }
    }
    blocks
}
