//! The text of a cursor: the base64url of version (1 byte), key id (4), nonce (12) and the hidden fields.
//!
//! Nobody but an edge can read a position, compare two of them or make one up. Of two texts of one reader
//! nothing can be said but whether they are the same; a cursor that does not come with an event has a salt,
//! so that it differs also where the position does not ([`CursorKeys::seal_salted`]).

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    Cursor, CursorError, CursorScope, StreamCursor, first_u64,
    gap_mark::{mark_in, salt_with},
    keys::{NONCE_BYTES, SealingKey, SharedKey},
    unsealed,
};
use crate::{EntryTag, Epoch, PrincipalId, Sequence, SessionId};

/// Sealed with a key that the operator gave the edges.
const OF_KEYS: u8 = 6;
/// Sealed with the key that belongs to the log.
const OF_LOG: u8 = 7;
/// A position in an answer, sealed with a key that the operator gave the edges.
const STREAM: u8 = 8;

pub(super) const ID_BYTES: usize = 1 + 4;
pub(super) const HEAD_BYTES: usize = ID_BYTES + NONCE_BYTES;
/// Epoch, sequence, tag, salt with the mark of a gap, and scope.
const BODY_BYTES: usize = 8 + 8 + 4 + 4 + 8;
/// The same, with the fields that only the stream of a session needs.
const SESSION_BODY_BYTES: usize = BODY_BYTES + 8 + 8;
const MAX_BYTES: usize = HEAD_BYTES + SESSION_BODY_BYTES;
/// The length of the longest cursor: 65 bytes in Base64.
const MAX_TEXT_BYTES: usize = 87;
/// Sequence and scope, before the name of the stream.
const STREAM_BODY_BYTES: usize = 8 + 8;

/// The text of a cursor: letters, digits, `-` and `_`.
#[derive(Clone, Copy)]
pub struct CursorText {
    bytes: [u8; MAX_TEXT_BYTES],
    length: usize,
}

impl CursorText {
    fn encode(bytes: &[u8]) -> Self {
        let mut text = [0; MAX_TEXT_BYTES];
        let length = URL_SAFE_NO_PAD
            .encode_slice(bytes, &mut text)
            .expect("the buffer has the length of the longest text");
        Self {
            bytes: text,
            length,
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("Base64 is ASCII")
    }
}

impl fmt::Display for CursorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CursorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CursorText({self})")
    }
}

/// Seals the cursors of one log with the first key and opens them with any. Keys are rotated like those of
/// `requestState`: they are the same.
///
/// Without a key from the operator, cursors are sealed with one that is derived from the identity of the
/// log. All edges know it and it survives restarts; it hides positions from whoever does not know that
/// identity.
#[derive(Debug, Clone)]
pub struct CursorKeys {
    pub(super) keys: Box<[SealingKey]>,
    pub(super) log: SealingKey,
    epoch: Epoch,
    pub(super) takes_older: bool,
}

impl CursorKeys {
    /// The keys for a log, the sealing one first. `takes_older` accepts cursors from before the edges had
    /// keys: unsealed ones, and those sealed with the key of the log.
    #[must_use]
    pub fn new(keys: &[SharedKey], epoch: Epoch, takes_older: bool) -> Self {
        Self {
            keys: keys.iter().map(SealingKey::new).collect(),
            log: SealingKey::new(&SharedKey::of_log(epoch)),
            epoch,
            takes_older,
        }
    }

    /// The same keys for another log.
    #[must_use]
    pub fn for_log(&self, epoch: Epoch) -> Self {
        Self {
            log: SealingKey::new(&SharedKey::of_log(epoch)),
            epoch,
            ..self.clone()
        }
    }

    /// The log whose cursors these keys seal.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The text of a cursor that comes with an event: always the same, so that all streams of a reader can
    /// share the frame.
    #[must_use]
    pub fn seal(&self, cursor: &Cursor) -> CursorText {
        self.seal_salted(cursor, 0)
    }

    /// The text of any other cursor. With a random `salt`, a reader cannot tell whether the position has
    /// moved since it got the last one, which would count events that it may not see.
    #[must_use]
    pub fn seal_salted(&self, cursor: &Cursor, salt: u32) -> CursorText {
        let (version, key) = match self.keys.first() {
            Some(key) => (OF_KEYS, key),
            None => (OF_LOG, &self.log),
        };
        let length = HEAD_BYTES
            + match cursor.is_of_session() {
                true => SESSION_BODY_BYTES,
                false => BODY_BYTES,
            };
        let mut bytes = [0; MAX_BYTES];
        let (head, body) = bytes.split_at_mut(HEAD_BYTES);
        head[0] = version;
        head[1..ID_BYTES].copy_from_slice(&key.id().to_be_bytes());
        body[..8].copy_from_slice(&cursor.epoch.0.to_be_bytes());
        body[8..16].copy_from_slice(&cursor.sequence.0.to_be_bytes());
        let tag = cursor.tag.map_or(0, EntryTag::number);
        body[16..20].copy_from_slice(&tag.to_be_bytes());
        body[20..24].copy_from_slice(&salt_with(cursor.told, salt).to_be_bytes());
        body[24..32].copy_from_slice(&cursor.scope.0.to_be_bytes());
        body[32..40].copy_from_slice(&cursor.inbox.0.to_be_bytes());
        body[40..].copy_from_slice(&cursor.newest_subscription.to_be_bytes());
        let nonce = key.seal(&head[..ID_BYTES], &mut body[..length - HEAD_BYTES]);
        head[ID_BYTES..].copy_from_slice(&nonce);
        CursorText::encode(&bytes[..length])
    }

    /// Opens a cursor and checks that it belongs to `scope`. One that another log sealed is a cursor at
    /// the start of another log, because that is all that can be known of it. One from before the edges had
    /// keys counts as not sealed: the key of the log was less secret.
    ///
    /// # Errors
    /// [`CursorError::Malformed`] for damaged text, or a key that is gone; [`CursorError::Foreign`] for
    /// another reader's.
    pub fn open(&self, text: &str, scope: CursorScope) -> Result<Cursor, CursorError> {
        let text = text.trim();
        let mut bytes = [0; MAX_BYTES];
        let length = URL_SAFE_NO_PAD
            .decode_slice(text, &mut bytes)
            .map_err(|_| CursorError::Malformed)?;
        let bytes = &mut bytes[..length];
        let version = bytes.first().copied();
        if !matches!(version, Some(OF_KEYS | OF_LOG)) {
            return match self.takes_older {
                true => unsealed::parse(text)?.of(scope),
                false => Err(CursorError::Malformed),
            };
        }
        if ![HEAD_BYTES + BODY_BYTES, MAX_BYTES].contains(&length) {
            return Err(CursorError::Malformed);
        }
        let id = key_id(bytes);
        let key = match version {
            Some(OF_KEYS) => self.key(id)?,
            _ if !self.takes_older && !self.keys.is_empty() => {
                return Err(CursorError::Malformed);
            }
            _ if id != self.log.id() => return Ok(self.of_another_log(scope)),
            _ => &self.log,
        };
        let is_sealed = version == Some(OF_KEYS) || self.keys.is_empty();
        let cursor = read(open(key, bytes)?)?.of(scope)?;
        Ok(Cursor {
            is_sealed,
            ..cursor
        })
    }

    fn key(&self, id: u32) -> Result<&SealingKey, CursorError> {
        let mut keys = self.keys.iter();
        keys.find(|key| key.id() == id)
            .ok_or(CursorError::Malformed)
    }

    fn of_another_log(&self, scope: CursorScope) -> Cursor {
        Cursor {
            is_sealed: false,
            epoch: Epoch(!self.epoch.0),
            sequence: Sequence::START,
            tag: None,
            told: None,
            scope,
            inbox: Sequence::START,
            newest_subscription: 0,
        }
    }

    /// The text of a position in an answer; `scope` is [`CursorScope::stream`] of the stream's reader. Its
    /// numbers count nothing but the messages of one session, so without a key from the operator it is not
    /// sealed, and it outlives the log.
    #[must_use]
    pub fn seal_stream(&self, cursor: &StreamCursor, scope: CursorScope) -> String {
        let Some(key) = self.keys.first() else {
            return unsealed::stream_text(cursor, scope);
        };
        let name = cursor.stream.as_str().as_bytes();
        let mut bytes = vec![0; HEAD_BYTES + STREAM_BODY_BYTES];
        bytes.extend_from_slice(name);
        let (head, body) = bytes.split_at_mut(HEAD_BYTES);
        head[0] = STREAM;
        head[1..ID_BYTES].copy_from_slice(&key.id().to_be_bytes());
        body[..8].copy_from_slice(&cursor.sequence.0.to_be_bytes());
        body[8..16].copy_from_slice(&scope.0.to_be_bytes());
        let nonce = key.seal(&head[..ID_BYTES], body);
        head[ID_BYTES..].copy_from_slice(&nonce);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens a position in an answer and checks that it belongs to this session and this principal.
    ///
    /// # Errors
    /// [`CursorError::Malformed`] for any other text, for instance that of a [`Cursor`], and
    /// [`CursorError::Foreign`] for a position of another session or principal.
    pub fn open_stream(
        &self,
        text: &str,
        principal: &PrincipalId,
        session: &SessionId,
    ) -> Result<StreamCursor, CursorError> {
        let mut bytes = URL_SAFE_NO_PAD
            .decode(text.trim())
            .map_err(|_| CursorError::Malformed)?;
        let reader = (principal, session);
        if bytes.first() != Some(&STREAM) {
            return match self.takes_older || self.keys.is_empty() {
                true => unsealed::parse_stream(&bytes, reader),
                false => Err(CursorError::Malformed),
            };
        }
        if bytes.len() <= HEAD_BYTES + STREAM_BODY_BYTES {
            return Err(CursorError::Malformed);
        }
        let body = open(self.key(key_id(&bytes))?, &mut bytes)?;
        let (sequence, scope) = (first_u64(body), first_u64(&body[8..]));
        StreamCursor::of(sequence, scope, &body[STREAM_BODY_BYTES..], reader)
    }
}

pub(super) fn key_id(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]])
}

/// The fields of a sealed text, which is longer than its head.
pub(super) fn open<'b>(key: &SealingKey, bytes: &'b mut [u8]) -> Result<&'b [u8], CursorError> {
    let (head, body) = bytes.split_at_mut(HEAD_BYTES);
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&head[ID_BYTES..]);
    match key.open(&head[..ID_BYTES], nonce, body) {
        true => Ok(body),
        false => Err(CursorError::Malformed),
    }
}

/// Reads the fields of an opened cursor.
fn read(body: &[u8]) -> Result<Cursor, CursorError> {
    let of_session = body.get(BODY_BYTES..SESSION_BODY_BYTES);
    let number =
        |at: usize| u32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
    let cursor = Cursor {
        is_sealed: true,
        epoch: Epoch(first_u64(body)),
        sequence: Sequence(first_u64(&body[8..])),
        tag: EntryTag::from_number(number(16)),
        told: mark_in(number(20)),
        scope: CursorScope(first_u64(&body[24..])),
        inbox: Sequence(of_session.map_or(0, first_u64)),
        newest_subscription: of_session.map_or(0, |rest| first_u64(&rest[8..])),
    };
    // Each form has one use.
    match cursor.is_of_session() == of_session.is_some() {
        true => Ok(cursor),
        false => Err(CursorError::Malformed),
    }
}
