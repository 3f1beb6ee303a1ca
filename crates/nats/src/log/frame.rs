//! The payload of a message: a version (1 byte), the time by which the entry is found and trimmed (8 bytes, Unix
//! milliseconds, big endian), and the body.
//!
//! The time is in the payload and not in a header, because the stamp of the roles covers the payload.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use model::Timestamp;
use ports::{EntryContent, LogEntry};

/// The version that this build writes, and the only one that it reads.
const VERSION: u8 = 2;
/// Bytes before the body.
pub(super) const FRAME_BYTES: usize = 1 + 8;

/// The reason why a message is no entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error(
        "the message has version {0}, and this build reads version {VERSION}: another build or program wrote it"
    )]
    Version(u8),
    #[error("the message has {0} bytes, fewer than the frame of an entry")]
    Short(usize),
}

/// The payload of an entry.
pub(super) fn framed(entry: &LogEntry) -> Bytes {
    let mut payload = BytesMut::with_capacity(FRAME_BYTES + entry.body.len());
    payload.put_u8(VERSION);
    payload.put_i64(entry.received_at.unix_millis());
    payload.put_slice(&entry.body);
    payload.freeze()
}

/// What a payload holds; the body is a slice of it.
pub(super) fn unframed(mut payload: Bytes) -> Result<EntryContent, FrameError> {
    match payload.first() {
        Some(&VERSION) if payload.len() >= FRAME_BYTES => payload.advance(1),
        Some(&VERSION) | None => return Err(FrameError::Short(payload.len())),
        Some(&other) => return Err(FrameError::Version(other)),
    }
    let received_at = Timestamp::from_unix_millis(payload.get_i64());
    Ok(EntryContent {
        received_at,
        body: payload,
    })
}

#[cfg(test)]
mod tests {
    use model::EventId;

    use super::*;

    #[test]
    fn a_frame_holds_any_body_and_what_is_no_frame_is_told() {
        for body in [&b""[..], b"\x02", &[0xff; 300]] {
            for millis in [i64::MIN, -1, 0, 1_790_000_000_123, i64::MAX] {
                let entry = LogEntry {
                    id: EventId::new("e1").unwrap(),
                    received_at: Timestamp::from_unix_millis(millis),
                    body: Bytes::copy_from_slice(body),
                };
                let held = unframed(framed(&entry)).unwrap();
                assert_eq!(
                    (held.received_at, &held.body),
                    (entry.received_at, &entry.body)
                );
            }
        }
        let short = unframed(Bytes::from_static(&[VERSION; 8]));
        assert_eq!(short, Err(FrameError::Short(8)));
        assert_eq!(unframed(Bytes::new()), Err(FrameError::Short(0)));
        let older = Bytes::from_static(b"\x0a an entry of an older build");
        assert_eq!(unframed(older), Err(FrameError::Version(10)));
    }
}
