//! Cursors of the log and of a session's streams: bytes from which one is built and sealed, then text to
//! open.

use std::sync::LazyLock;

use model::{
    Cursor, CursorError, CursorKeys, CursorScope, EntryTag, Epoch, GapMark, PrincipalId, Sequence,
};
use model::{SessionId, SharedKey, StreamCursor, StreamId, Timestamp};

const NUMBERS: usize = 8 + 8 + 8 + 8 + 2;

fn mark(first: EntryTag) -> GapMark {
    GapMark::of_lost(first, Timestamp::default())
}

/// Edges with a key, edges that are about to change it, and edges without one.
static KEYS: LazyLock<[CursorKeys; 3]> = LazyLock::new(|| {
    let [one, two] = ["one", "two"].map(SharedKey::of_text);
    let epoch = Epoch(7);
    [
        CursorKeys::new(std::slice::from_ref(&one), epoch, false),
        CursorKeys::new(&[two, one], epoch, true),
        CursorKeys::new(&[], epoch, true),
    ]
});

/// The readers of the target.
struct Readers {
    alice: PrincipalId,
    bob: PrincipalId,
    one: SessionId,
    two: SessionId,
}

impl Readers {
    fn new() -> Self {
        let principal = |name| PrincipalId::new(name).expect("a name");
        let session = |name| SessionId::new(name).expect("a name");
        Self {
            alice: principal("alice"),
            bob: principal("bob"),
            one: session("one"),
            two: session("two"),
        }
    }

    /// The reader for whom everything is sealed.
    fn scope(&self) -> CursorScope {
        CursorScope::session(&self.alice, &self.one)
    }

    fn others(&self) -> [(&PrincipalId, &SessionId); 2] {
        [(&self.bob, &self.one), (&self.alice, &self.two)]
    }
}

pub(crate) fn run(data: &[u8]) {
    let readers = Readers::new();
    if let Some((numbers, text)) = data.split_first_chunk::<NUMBERS>() {
        let number = |at: usize| {
            let bytes = numbers[at..at + 8].try_into().expect("eight bytes");
            u64::from_be_bytes(bytes)
        };
        let high = |number: u64| u32::try_from(number >> 32).expect("32 bits");
        let cursor = Cursor {
            is_sealed: true,
            epoch: Epoch(number(0)),
            sequence: Sequence(number(8)),
            tag: EntryTag::from_number(high(number(8))),
            told: EntryTag::from_number(high(number(0))).map(mark),
            scope: readers.scope(),
            inbox: Sequence(number(16)),
            newest_subscription: number(24),
        };
        for keys in &*KEYS {
            of_log(keys, &cursor, high(number(0)), &readers, numbers);
        }
        let stream = std::str::from_utf8(text).unwrap_or_default();
        if let Ok(stream) = StreamId::new(stream) {
            let sequence = Sequence(number(8));
            let cursor = StreamCursor { stream, sequence };
            KEYS.iter()
                .for_each(|keys| of_stream(keys, &cursor, &readers, numbers));
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        KEYS.iter().for_each(|keys| read(keys, text, &readers));
    }
}

fn of_log(
    keys: &CursorKeys,
    cursor: &Cursor,
    salt: u32,
    readers: &Readers,
    numbers: &[u8; NUMBERS],
) {
    let scope = readers.scope();
    let written = keys.seal_salted(cursor, salt).to_string();
    harmless(&written);
    assert_eq!(keys.open(&written, scope), Ok(*cursor));
    for (principal, session) in readers.others() {
        let other = CursorScope::session(principal, session);
        assert_eq!(keys.open(&written, other), Err(CursorError::Foreign));
    }
    if let Some(damaged) = damage(&written, numbers[32], numbers[33]) {
        // A damaged key id of a log is that of another log.
        let read = keys.open(&damaged, scope);
        let is_elsewhere = |read: Cursor| read.sequence == Sequence::START && read != *cursor;
        assert!(read.is_err() || read.is_ok_and(is_elsewhere), "{damaged}");
    }
}

fn of_stream(keys: &CursorKeys, cursor: &StreamCursor, readers: &Readers, numbers: &[u8; NUMBERS]) {
    let (alice, one) = (&readers.alice, &readers.one);
    let written = keys.seal_stream(cursor, CursorScope::stream(alice, one, &cursor.stream));
    harmless(&written);
    assert_eq!(keys.open_stream(&written, alice, one), Ok(cursor.clone()));
    for (principal, session) in readers.others() {
        let read = keys.open_stream(&written, principal, session);
        assert_eq!(read, Err(CursorError::Foreign));
    }
    let read = keys.open(&written, readers.scope());
    assert_eq!(read, Err(CursorError::Malformed));
    if let Some(damaged) = damage(&written, numbers[32], numbers[33]) {
        assert!(keys.open_stream(&damaged, alice, one).is_err(), "{damaged}");
    }
}

/// Text from outside: nobody without the key writes one that opens. What opens is of an earlier version, or
/// of another log, of which nothing else is known.
fn read(keys: &CursorKeys, text: &str, readers: &Readers) {
    let cursor = keys.open(text, readers.scope());
    if let Ok(cursor) = cursor {
        let is_older = cursor.unsealed_text() == text.trim();
        let is_elsewhere = cursor.sequence == Sequence::START && cursor.epoch != keys.epoch();
        let mut all = KEYS.iter();
        let is_sealed = all.any(|keys| keys.seal(&cursor).as_str() == text.trim());
        assert!(is_older || is_elsewhere || is_sealed, "{text}");
    }
    if let Ok(position) = keys.open_stream(text, &readers.alice, &readers.one) {
        assert_eq!(
            cursor,
            Err(CursorError::Malformed),
            "text never opens as both kinds of cursor"
        );
        let scope = CursorScope::stream(&readers.alice, &readers.one, &position.stream);
        let mut written = KEYS.iter().map(|keys| keys.seal_stream(&position, scope));
        assert!(written.any(|written| written == text.trim()), "{text}");
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
