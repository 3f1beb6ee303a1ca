//! A cursor is a promise: it names an exact position, in one log, for one reader.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::{EntryTag, Epoch, PrincipalId, Sequence, SessionId, StreamId};

const VERSION: u8 = 1;
const BODY_BYTES: usize = 1 + 8 + 8 + 8;
/// Version of a cursor with the fields that only the stream of a session needs beside the position.
const SESSION_VERSION: u8 = 3;
const SESSION_BODY_BYTES: usize = BODY_BYTES + 8 + 8;
/// Versions of the same with the tag of the entry at the position.
const TAGGED_VERSION: u8 = 4;
const TAGGED_SESSION_VERSION: u8 = 5;
const TAG_BYTES: usize = 4;
const TAGGED_BODY_BYTES: usize = BODY_BYTES + TAG_BYTES;
const MAX_BODY_BYTES: usize = SESSION_BODY_BYTES + TAG_BYTES;
/// The length of the longest cursor: 49 bytes in Base64.
const MAX_TEXT_BYTES: usize = 66;
const CHECK_BYTES: usize = 4;

/// The reader that may use a cursor, as a digest, so that a cursor reveals nothing about the reader.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CursorScope(u64);

impl CursorScope {
    /// The shared event log as one principal sees it.
    #[must_use]
    pub fn events(principal: &PrincipalId) -> Self {
        Self::digest(&[b"events", principal.as_str().as_bytes()])
    }

    /// The stream of one session.
    #[must_use]
    pub fn session(principal: &PrincipalId, session: &SessionId) -> Self {
        Self::digest(&[
            b"session",
            principal.as_str().as_bytes(),
            session.as_str().as_bytes(),
        ])
    }

    /// One stream of one session: the answer to one POST.
    #[must_use]
    pub fn stream(principal: &PrincipalId, session: &SessionId, stream: &StreamId) -> Self {
        Self::digest(&[
            b"stream",
            principal.as_str().as_bytes(),
            session.as_str().as_bytes(),
            stream.as_str().as_bytes(),
        ])
    }

    fn digest(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(first_u64(&hash.finalize()))
    }
}

fn first_u64(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&bytes[..8]);
    u64::from_be_bytes(first)
}

/// A position in the event log from which a reader continues. Opaque text on the wire.
///
/// The scope binds it to its reader; the check bytes detect damage and are not a signature. A forged cursor
/// gains nothing: the reader's own filters and permissions apply to everything that is read after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// The log that assigned the position.
    pub epoch: Epoch,
    /// The reader has everything up to and including this position.
    pub sequence: Sequence,
    /// The tag of the entry at the position, if the issuer knew it: a log that was put back to an earlier
    /// state gives out the number again. Without a tag that cannot be noticed.
    pub tag: Option<EntryTag>,
    /// The reader that the cursor was issued to.
    pub scope: CursorScope,
    /// The reader also has everything in the session's inbox up to this position; the start for a stream
    /// without an inbox.
    pub inbox: Sequence,
    /// Number of the newest subscription of the session that the stream knew of. Events of a later
    /// subscription are searched from the position at which that subscription began, because the edge
    /// that issued the cursor may not have known about it.
    pub newest_subscription: u64,
}

/// The reason why a cursor is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Damaged, or not issued by this server.
    #[error("the cursor is damaged or was not issued by this server")]
    Malformed,
    /// Issued to another principal or session.
    #[error("the cursor was issued to another reader")]
    Foreign,
}

impl Cursor {
    /// Parses a cursor and checks that it belongs to `scope`.
    ///
    /// # Errors
    /// [`CursorError::Malformed`] for damaged text, [`CursorError::Foreign`] for another reader's.
    pub fn parse(text: &str, scope: CursorScope) -> Result<Self, CursorError> {
        let mut bytes = [0; MAX_BODY_BYTES + CHECK_BYTES];
        let length = URL_SAFE_NO_PAD
            .decode_slice(text.trim(), &mut bytes)
            .map_err(|_| CursorError::Malformed)?;
        let (body, check) = bytes[..length]
            .split_last_chunk::<CHECK_BYTES>()
            .ok_or(CursorError::Malformed)?;
        let (of_session, tagged) = match (body.len(), body.first()) {
            (BODY_BYTES, Some(&VERSION)) => (false, false),
            (SESSION_BODY_BYTES, Some(&SESSION_VERSION)) => (true, false),
            (TAGGED_BODY_BYTES, Some(&TAGGED_VERSION)) => (false, true),
            (MAX_BODY_BYTES, Some(&TAGGED_SESSION_VERSION)) => (true, true),
            _ => return Err(CursorError::Malformed),
        };
        // Each cursor has exactly one encoding.
        let (inbox, newest_subscription) = match of_session {
            true => match (first_u64(&body[25..]), first_u64(&body[33..])) {
                (0, 0) => return Err(CursorError::Malformed),
                both => both,
            },
            false => (0, 0),
        };
        let tag = match body.split_last_chunk::<TAG_BYTES>().filter(|_| tagged) {
            Some((_, tag)) => {
                let tag = EntryTag::from_number(u32::from_be_bytes(*tag));
                Some(tag.ok_or(CursorError::Malformed)?)
            }
            None => None,
        };
        if Sha256::digest(body)[..CHECK_BYTES] != *check {
            return Err(CursorError::Malformed);
        }
        let cursor = Self {
            epoch: Epoch(first_u64(&body[1..])),
            sequence: Sequence(first_u64(&body[9..])),
            tag,
            scope: CursorScope(first_u64(&body[17..])),
            inbox: Sequence(inbox),
            newest_subscription,
        };
        if cursor.scope == scope {
            Ok(cursor)
        } else {
            Err(CursorError::Foreign)
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_session = self.inbox != Sequence::START || self.newest_subscription != 0;
        let (version, mut length) = match (of_session, self.tag) {
            (false, None) => (VERSION, BODY_BYTES),
            (true, None) => (SESSION_VERSION, SESSION_BODY_BYTES),
            (false, Some(_)) => (TAGGED_VERSION, BODY_BYTES),
            (true, Some(_)) => (TAGGED_SESSION_VERSION, SESSION_BODY_BYTES),
        };
        let mut bytes = [0; MAX_BODY_BYTES + CHECK_BYTES];
        bytes[0] = version;
        bytes[1..9].copy_from_slice(&self.epoch.0.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.sequence.0.to_be_bytes());
        bytes[17..25].copy_from_slice(&self.scope.0.to_be_bytes());
        bytes[25..33].copy_from_slice(&self.inbox.0.to_be_bytes());
        bytes[33..41].copy_from_slice(&self.newest_subscription.to_be_bytes());
        if let Some(tag) = self.tag {
            bytes[length..length + TAG_BYTES].copy_from_slice(&tag.number().to_be_bytes());
            length += TAG_BYTES;
        }
        let check = Sha256::digest(&bytes[..length]);
        bytes[length..length + CHECK_BYTES].copy_from_slice(&check[..CHECK_BYTES]);
        let mut text = [0; MAX_TEXT_BYTES];
        let length = URL_SAFE_NO_PAD
            .encode_slice(&bytes[..length + CHECK_BYTES], &mut text)
            .map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?)
    }
}

/// A position in the answer to one POST of a session (MCP 2025-11-25, Streamable HTTP, "Resumability and
/// Redelivery"). Opaque text on the wire, like [`Cursor`], and never mistaken for one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamCursor {
    /// The stream, by its name in the mailbox of the session.
    pub stream: StreamId,
    /// The reader has everything up to and including this position.
    pub sequence: Sequence,
}

const STREAM_VERSION: u8 = 2;
const STREAM_HEAD_BYTES: usize = 1 + 8 + 8;

impl StreamCursor {
    /// Parses a position and checks that it belongs to this session and this principal.
    ///
    /// # Errors
    /// [`CursorError::Malformed`] for any other text, for instance a [`Cursor`], and
    /// [`CursorError::Foreign`] for a position of another session or principal.
    pub fn parse(
        text: &str,
        principal: &PrincipalId,
        session: &SessionId,
    ) -> Result<Self, CursorError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim())
            .map_err(|_| CursorError::Malformed)?;
        let (body, check) = bytes
            .split_last_chunk::<CHECK_BYTES>()
            .filter(|(body, _)| body.len() > STREAM_HEAD_BYTES && body[0] == STREAM_VERSION)
            .ok_or(CursorError::Malformed)?;
        if Sha256::digest(body)[..CHECK_BYTES] != *check {
            return Err(CursorError::Malformed);
        }
        let stream = std::str::from_utf8(&body[STREAM_HEAD_BYTES..]).unwrap_or_default();
        let stream = StreamId::new(stream).map_err(|_| CursorError::Malformed)?;
        let scope = CursorScope(first_u64(&body[9..]));
        if scope != CursorScope::stream(principal, session, &stream) {
            return Err(CursorError::Foreign);
        }
        let sequence = Sequence(first_u64(&body[1..]));
        Ok(Self { stream, sequence })
    }

    /// The text of an event id; `scope` is [`CursorScope::stream`] of the stream's reader.
    #[must_use]
    pub fn encode(&self, scope: CursorScope) -> String {
        let stream = self.stream.as_str().as_bytes();
        let mut bytes = Vec::with_capacity(STREAM_HEAD_BYTES + stream.len() + CHECK_BYTES);
        bytes.push(STREAM_VERSION);
        bytes.extend_from_slice(&self.sequence.0.to_be_bytes());
        bytes.extend_from_slice(&scope.0.to_be_bytes());
        bytes.extend_from_slice(stream);
        let check = Sha256::digest(&bytes);
        bytes.extend_from_slice(&check[..CHECK_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_position_in_an_answer_is_bound_to_principal_session_and_stream() {
        let (alice, bob) = (
            PrincipalId::new("alice").unwrap(),
            PrincipalId::new("bob").unwrap(),
        );
        let (one, two) = (
            SessionId::new("one").unwrap(),
            SessionId::new("two").unwrap(),
        );
        let cursor = StreamCursor {
            stream: StreamId::new("a-stream").unwrap(),
            sequence: Sequence(7),
        };
        let text = cursor.encode(CursorScope::stream(&alice, &one, &cursor.stream));
        assert_eq!(StreamCursor::parse(&text, &alice, &one), Ok(cursor));
        for (principal, session) in [(&bob, &one), (&alice, &two)] {
            let read = StreamCursor::parse(&text, principal, session);
            assert_eq!(read, Err(CursorError::Foreign));
        }
        assert_eq!(
            Cursor::parse(&text, scope("a")),
            Err(CursorError::Malformed)
        );
        let of_the_log = Cursor {
            epoch: Epoch(1),
            sequence: Sequence(1),
            scope: scope("a"),
            tag: None,
            inbox: Sequence::START,
            newest_subscription: 0,
        };
        let read = StreamCursor::parse(&of_the_log.to_string(), &alice, &one);
        assert_eq!(read, Err(CursorError::Malformed));
    }

    fn scope(name: &str) -> CursorScope {
        CursorScope::events(&PrincipalId::new(name).unwrap())
    }

    fn small() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), any::<u64>()]
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(
            epoch: u64,
            sequence: u64,
            tag in prop::option::of(any::<u32>()),
            inbox in small(),
            newest in small(),
        ) {
            let (sequence, inbox) = (Sequence(sequence), Sequence(inbox));
            let cursor = Cursor {
                epoch: Epoch(epoch),
                sequence,
                tag: tag.and_then(EntryTag::from_number),
                scope: scope("a"),
                inbox,
                newest_subscription: newest,
            };
            let text = cursor.to_string();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(Cursor::parse(&text, scope("a")), Ok(cursor));
            prop_assert_eq!(Cursor::parse(&text, scope("b")), Err(CursorError::Foreign));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = Cursor::parse(&text, scope("a"));
            let principal = PrincipalId::anonymous();
            let _ = StreamCursor::parse(&text, &principal, &SessionId::new("s").unwrap());
        }

        #[test]
        fn a_changed_character_is_noticed(position in 0_usize..44, replacement in "[A-Za-z0-9_-]") {
            let cursor = Cursor {
                epoch: Epoch(7),
                sequence: Sequence(9),
                tag: EntryTag::from_number(5),
                scope: scope("a"),
                inbox: Sequence::START,
                newest_subscription: 0,
            };
            let mut text = cursor.to_string();
            let before = text.clone();
            text.replace_range(position..=position, &replacement);
            if text != before {
                prop_assert!(Cursor::parse(&text, scope("a")).is_err());
            }
        }
    }

    #[test]
    fn cursors_of_the_versions_before_tags_are_still_read() {
        for (inbox, text) in [
            (0, "AQAAAAAAAAAHAAAAAAAAAAk"),
            (3, "AwAAAAAAAAAHAAAAAAAAAAk"),
        ] {
            let cursor = Cursor {
                epoch: Epoch(7),
                sequence: Sequence(9),
                tag: None,
                scope: scope("a"),
                inbox: Sequence(inbox),
                newest_subscription: 0,
            };
            let written = cursor.to_string();
            assert!(written.starts_with(text), "{written}");
            assert_eq!(Cursor::parse(&written, scope("a")), Ok(cursor));
        }
    }

    #[test]
    fn a_session_cursor_is_not_an_event_cursor() {
        let principal = PrincipalId::anonymous();
        let session = SessionId::new("events").unwrap();
        assert_ne!(
            CursorScope::session(&principal, &session),
            CursorScope::events(&principal)
        );
    }
}
