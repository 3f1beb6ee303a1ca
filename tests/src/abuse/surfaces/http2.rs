//! Frames of HTTP/2 (RFC 9113) that a library would not send, for the gRPC listener of sync.

/// The preface (§3.4) and an empty SETTINGS frame.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A POST as HPACK has it (RFC 7541): methods and schemes from its static table, the rest as literals.
fn head() -> Vec<u8> {
    let mut head = vec![0x83, 0x86];
    for (index, value) in [
        (0x04, "/forgewire.v1.Sync/GetResource"),
        (0x01, "localhost"),
        (0x0f, "application/grpc"),
    ] {
        match index {
            // content-type is the 31st name; an index beyond 15 goes on in a further byte.
            0x0f => head.extend([0x0f, 31 - 15]),
            index => head.push(index),
        }
        head.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
        head.extend_from_slice(value.as_bytes());
    }
    head
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Streams that are opened and reset at once (CVE-2023-44487). Their numbers begin at `first`.
pub(super) fn rapid_resets(first: u32, count: u32) -> Vec<u8> {
    const CANCEL: [u8; 4] = [0, 0, 0, 8];
    let streams = (0..count).map(|n| first + 2 * n);
    let frames = streams.flat_map(|stream| {
        let mut frames = frame(HEADERS, END_HEADERS, stream, &head());
        frames.extend(frame(RST_STREAM, 0, stream, &CANCEL));
        frames
    });
    frames.collect()
}

/// A head that does not end (CVE-2024-27316 and its kind).
pub(super) fn endless_head(continuations: usize) -> Vec<u8> {
    let mut bytes = frame(HEADERS, 0, 1, &head());
    // A literal header with a name and a value, again and again.
    let field = [b"\0\x04junk\x40".as_slice(), &[b'a'; 0x40]].concat();
    let fields = field.repeat(200);
    for _ in 0..continuations {
        bytes.extend(frame(CONTINUATION, 0, 1, &fields));
    }
    bytes
}

/// Frames that each ask for an answer.
pub(super) fn pings_and_settings(count: usize) -> Vec<u8> {
    let mut bytes = frame(PING, 0, 0, b"pingpong");
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.repeat(count)
}

/// SETTINGS that allow no byte of any answer, and calls.
pub(super) fn calls_without_window(count: u32) -> Vec<u8> {
    const INITIAL_WINDOW_SIZE_0: [u8; 6] = [0, 4, 0, 0, 0, 0];
    /// A message of gRPC without content.
    const EMPTY: [u8; 5] = [0; 5];
    let mut bytes = frame(SETTINGS, 0, 0, &INITIAL_WINDOW_SIZE_0);
    for n in 0..count {
        let stream = 1 + 2 * n;
        bytes.extend(frame(HEADERS, END_HEADERS, stream, &head()));
        bytes.extend(frame(DATA, END_STREAM, stream, &EMPTY));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_their_length_kind_and_stream() {
        let ping = frame(PING, 0, 0, b"pingpong");
        assert_eq!(ping, b"\0\0\x08\x06\0\0\0\0\0pingpong");
        let resets = rapid_resets(5, 1);
        assert_eq!(resets[5..9], [0, 0, 0, 5]);
        assert_eq!(resets[resets.len() - 4..], [0, 0, 0, 8]);
    }
}
