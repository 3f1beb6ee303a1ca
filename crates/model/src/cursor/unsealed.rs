//! The texts of cursors that versions before the seals wrote. They are read for as long as the operator
//! lets clients come back with them; only tests write them, and the positions in answers of edges without
//! a key.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::{Cursor, CursorError, CursorScope, StreamCursor, first_u64};
use crate::{EntryTag, Epoch, PrincipalId, Sequence, SessionId};

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
const CHECK_BYTES: usize = 4;

/// Version of a position in an answer.
const STREAM_VERSION: u8 = 2;
const STREAM_HEAD_BYTES: usize = 1 + 8 + 8;

/// Reads a cursor, whoever its reader is.
pub(super) fn parse(text: &str) -> Result<Cursor, CursorError> {
    let mut bytes = [0; MAX_BODY_BYTES + CHECK_BYTES];
    let length = URL_SAFE_NO_PAD
        .decode_slice(text, &mut bytes)
        .map_err(|_| CursorError::Malformed)?;
    let body = checked(&bytes[..length])?;
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
    Ok(Cursor {
        is_sealed: false,
        epoch: Epoch(first_u64(&body[1..])),
        sequence: Sequence(first_u64(&body[9..])),
        tag,
        told: None,
        scope: CursorScope(first_u64(&body[17..])),
        inbox: Sequence(inbox),
        newest_subscription,
    })
}

impl Cursor {
    /// The text that versions before the seals wrote. Its position can be read by anybody.
    #[must_use]
    pub fn unsealed_text(&self) -> String {
        let version = match (self.is_of_session(), self.tag) {
            (false, None) => VERSION,
            (true, None) => SESSION_VERSION,
            (false, Some(_)) => TAGGED_VERSION,
            (true, Some(_)) => TAGGED_SESSION_VERSION,
        };
        let mut bytes = vec![version];
        bytes.extend_from_slice(&self.epoch.0.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.0.to_be_bytes());
        bytes.extend_from_slice(&self.scope.0.to_be_bytes());
        if self.is_of_session() {
            bytes.extend_from_slice(&self.inbox.0.to_be_bytes());
            bytes.extend_from_slice(&self.newest_subscription.to_be_bytes());
        }
        if let Some(tag) = self.tag {
            bytes.extend_from_slice(&tag.number().to_be_bytes());
        }
        with_check(bytes)
    }
}

/// Reads a position in an answer.
pub(super) fn parse_stream(
    bytes: &[u8],
    reader: (&PrincipalId, &SessionId),
) -> Result<StreamCursor, CursorError> {
    let body = checked(bytes)?;
    if body.len() <= STREAM_HEAD_BYTES || body[0] != STREAM_VERSION {
        return Err(CursorError::Malformed);
    }
    let (sequence, scope) = (first_u64(&body[1..]), first_u64(&body[9..]));
    StreamCursor::of(sequence, scope, &body[STREAM_HEAD_BYTES..], reader)
}

/// The text of a position in an answer.
pub(super) fn stream_text(cursor: &StreamCursor, scope: CursorScope) -> String {
    let mut bytes = vec![STREAM_VERSION];
    bytes.extend_from_slice(&cursor.sequence.0.to_be_bytes());
    bytes.extend_from_slice(&scope.0.to_be_bytes());
    bytes.extend_from_slice(cursor.stream.as_str().as_bytes());
    with_check(bytes)
}

/// The bytes without their check, which detects damage and is not a signature.
fn checked(bytes: &[u8]) -> Result<&[u8], CursorError> {
    let (body, check) = bytes
        .split_last_chunk::<CHECK_BYTES>()
        .ok_or(CursorError::Malformed)?;
    match Sha256::digest(body)[..CHECK_BYTES] == *check {
        true => Ok(body),
        false => Err(CursorError::Malformed),
    }
}

fn with_check(mut bytes: Vec<u8>) -> String {
    let check = Sha256::digest(&bytes);
    bytes.extend_from_slice(&check[..CHECK_BYTES]);
    URL_SAFE_NO_PAD.encode(bytes)
}
