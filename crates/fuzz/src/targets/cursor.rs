//! Cursors of the log and of a session's streams: bytes from which one is built, then text to
//! parse.

use model::{Cursor, CursorError, CursorScope, EntryTag, Epoch, PrincipalId, Sequence, SessionId};
use model::{StreamCursor, StreamId};

const NUMBERS: usize = 8 + 8 + 8 + 8 + 2;

pub(crate) fn run(data: &[u8]) {
    let principal = |name| PrincipalId::new(name).expect("a name");
    let (alice, bob) = (principal("alice"), principal("bob"));
    let session = |name| SessionId::new(name).expect("a name");
    let (one, two) = (session("one"), session("two"));
    if let Some((numbers, text)) = data.split_first_chunk::<NUMBERS>() {
        let number = |at: usize| {
            let bytes = numbers[at..at + 8].try_into().expect("eight bytes");
            u64::from_be_bytes(bytes)
        };
        let scope = CursorScope::session(&alice, &one);
        let cursor = Cursor {
            epoch: Epoch(number(0)),
            sequence: Sequence(number(8)),
            tag: EntryTag::from_number(u32::try_from(number(8) >> 32).expect("32 bits")),
            scope,
            inbox: Sequence(number(16)),
            newest_subscription: number(24),
        };
        let written = cursor.to_string();
        harmless(&written);
        assert_eq!(Cursor::parse(&written, scope), Ok(cursor));
        for other in [(&bob, &one), (&alice, &two)] {
            let other = CursorScope::session(other.0, other.1);
            assert_eq!(Cursor::parse(&written, other), Err(CursorError::Foreign));
        }
        if let Some(damaged) = damage(&written, numbers[32], numbers[33]) {
            assert!(Cursor::parse(&damaged, scope).is_err(), "{damaged}");
        }
        let stream = std::str::from_utf8(text).unwrap_or_default();
        if let Ok(stream) = StreamId::new(stream) {
            of_stream(&stream, number(8), [&alice, &bob], [&one, &two], numbers);
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        read(text, &alice, &one);
    }
}

fn of_stream(
    stream: &StreamId,
    sequence: u64,
    [alice, bob]: [&PrincipalId; 2],
    [one, two]: [&SessionId; 2],
    numbers: &[u8; NUMBERS],
) {
    let cursor = StreamCursor {
        stream: stream.clone(),
        sequence: Sequence(sequence),
    };
    let written = cursor.encode(CursorScope::stream(alice, one, stream));
    harmless(&written);
    assert_eq!(StreamCursor::parse(&written, alice, one), Ok(cursor));
    for (principal, session) in [(bob, one), (alice, two)] {
        let read = StreamCursor::parse(&written, principal, session);
        assert_eq!(read, Err(CursorError::Foreign));
    }
    let events = CursorScope::session(alice, one);
    assert_eq!(Cursor::parse(&written, events), Err(CursorError::Malformed));
    if let Some(damaged) = damage(&written, numbers[32], numbers[33]) {
        assert!(
            StreamCursor::parse(&damaged, alice, one).is_err(),
            "{damaged}"
        );
    }
}

/// Text from outside: accepted text is exactly the text that the encoder would have written.
fn read(text: &str, alice: &PrincipalId, one: &SessionId) {
    let scope = CursorScope::session(alice, one);
    let cursor = Cursor::parse(text, scope);
    if let Ok(cursor) = cursor {
        assert_eq!(cursor.to_string(), text.trim());
    }
    if let Ok(position) = StreamCursor::parse(text, alice, one) {
        assert_eq!(
            cursor,
            Err(CursorError::Malformed),
            "text never decodes as both kinds of cursor"
        );
        let scope = CursorScope::stream(alice, one, &position.stream);
        assert_eq!(position.encode(scope), text.trim());
    }
}

/// The text fits an SSE id, a header and a URL without escaping.
fn harmless(text: &str) {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    assert!(text.bytes().all(fits), "{text}");
    assert!(
        text.len() <= mcp::limits::MAX_EVENT_ID_BYTES,
        "a client can send it back"
    );
}

/// The text with one character replaced by another.
fn damage(text: &str, position: u8, by: u8) -> Option<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = text.as_bytes().to_vec();
    let position = usize::from(position) % bytes.len();
    let by = ALPHABET[usize::from(by) % ALPHABET.len()];
    let changed = std::mem::replace(&mut bytes[position], by) != by;
    changed.then(|| String::from_utf8(bytes).expect("ASCII"))
}
