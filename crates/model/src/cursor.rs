//! A cursor is a promise: it names an exact position, in one log, for one reader.
//!
//! | module | idea |
//! | --- | --- |
//! | `gap_mark` | the gap in the log of which a reader knows |
//! | `keys` | the secrets that all edges share, and the seals made with them |
//! | `listed` | the text of a place in a list of another role: sealed, too |
//! | `mark` | names that only an edge can have given out |
//! | `sealed` | the text of a cursor: sealed, so that nobody but an edge can read the position |
//! | `unsealed` | the text that earlier versions wrote; still read |

mod gap_mark;
mod keys;
mod listed;
mod mark;
mod sealed;
mod unsealed;

use sha2::{Digest, Sha256};

use crate::{EntryTag, Epoch, PrincipalId, Sequence, SessionId, StreamId};

pub use gap_mark::GapMark;
pub use keys::SharedKey;
pub use sealed::{CursorKeys, CursorText};

/// The reader that may use a cursor, as a digest, so that a cursor reveals nothing about the reader.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CursorScope(u64);

impl CursorScope {
    /// The shared event log as one principal sees it.
    #[must_use]
    pub fn events(principal: &PrincipalId) -> Self {
        Self::digest(&[b"events", principal.as_str().as_bytes()])
    }

    /// Lists of GitHub's state as one principal sees them.
    #[must_use]
    pub fn lists(principal: &PrincipalId) -> Self {
        Self::digest(&[b"lists", principal.as_str().as_bytes()])
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

/// A position in the event log from which a reader continues. [`CursorKeys`] makes its text.
///
/// The scope binds it to its reader. A forged cursor would gain nothing: the reader's own filters and
/// permissions apply to everything that is read after it. It is sealed so that a reader cannot count what
/// it may not see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// Whether an edge sealed it. Anybody can make up one without a seal, so its position is believed only
    /// where the log has the entry that its tag names.
    pub is_sealed: bool,
    /// The log that assigned the position.
    pub epoch: Epoch,
    /// The reader has everything up to and including this position.
    pub sequence: Sequence,
    /// The tag of the entry at the position, if the issuer knew it: a log that was put back to an earlier
    /// state gives out the number again. Without a tag that cannot be noticed.
    pub tag: Option<EntryTag>,
    /// The newest gap of the log after the position, if the reader has been told of it. The cursor that comes with an
    /// event has none.
    pub told: Option<GapMark>,
    /// The reader that the cursor was issued to.
    pub scope: CursorScope,
    /// The reader also has everything in the session's inbox up to this position. A stream without a session has no
    /// inbox: there it is the position after the one at which the names of its filters mean what they mean for it, once
    /// they mean something else; the start until then ([`Self::named_at`]).
    pub inbox: Sequence,
    /// Number of the newest subscription of the session that the stream knew of. Events of a later
    /// subscription are searched from the position at which that subscription began, because the edge
    /// that issued the cursor may not have known about it.
    pub newest_subscription: u64,
}

/// The reason why a cursor is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Damaged, not issued by this server, or sealed with a key that it no longer has.
    #[error(
        "the cursor is damaged, or was issued by another server, or under a key that is no longer among its keys; use \
         one of an answer of this server, or leave it out"
    )]
    Malformed,
    /// Issued to another principal or session.
    #[error(
        "the cursor was issued to another reader; use one of an answer to this one, or leave it out"
    )]
    Foreign,
}

impl Cursor {
    /// Whether it has the fields that only the stream of a session needs.
    fn is_of_session(&self) -> bool {
        self.inbox != Sequence::START || self.newest_subscription != 0
    }

    /// Where names mean what they mean for a stream without a session that goes on from here.
    #[must_use]
    pub fn named_at(&self) -> Sequence {
        match self.inbox {
            Sequence::START => self.sequence,
            after => after.previous(),
        }
    }

    fn of(self, scope: CursorScope) -> Result<Self, CursorError> {
        match self.scope == scope {
            true => Ok(self),
            false => Err(CursorError::Foreign),
        }
    }
}

/// A position in the answer to one POST of a session (MCP 2025-11-25, Streamable HTTP, "Resumability and
/// Redelivery"). Opaque text on the wire, like that of [`Cursor`], and never mistaken for one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamCursor {
    /// The stream, by its name in the mailbox of the session.
    pub stream: StreamId,
    /// The reader has everything up to and including this position.
    pub sequence: Sequence,
}

impl StreamCursor {
    /// Reads the name of the stream, and checks that it belongs to this session and this principal.
    fn of(
        sequence: u64,
        scope: u64,
        stream: &[u8],
        (principal, session): (&PrincipalId, &SessionId),
    ) -> Result<Self, CursorError> {
        let stream = std::str::from_utf8(stream).unwrap_or_default();
        let stream = StreamId::new(stream).map_err(|_| CursorError::Malformed)?;
        if CursorScope(scope) != CursorScope::stream(principal, session, &stream) {
            return Err(CursorError::Foreign);
        }
        let sequence = Sequence(sequence);
        Ok(Self { stream, sequence })
    }
}

#[cfg(test)]
mod tests;
