//! Messages addressed to one session, kept until its client has read them. A mailbox has a life of its own: a
//! store of mailboxes knows no sessions.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use model::{Classified, ErrorClass, PrincipalId, Sequence, Sequenced, SessionId, StreamId};

use crate::StoreFailure;

/// Limits on what a mailbox keeps for one session. Messages beyond a limit are removed, the oldest
/// first, whatever their stream; the loss is reported to a reader that missed them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MailboxLimits {
    /// Maximum number of messages of one session.
    pub max_messages: u32,
    /// Maximum payload of one session in bytes: a limit on the number alone would not bound large messages.
    pub max_bytes: u64,
    /// Maximum number of streams that are remembered. Beyond it, closed streams are forgotten first,
    /// then the one that has been idle longest.
    pub max_streams: u32,
    /// Maximum age of a message; older ones are removed with the next append, or when another mailbox of the
    /// owner needs their room.
    pub max_age: Duration,
    /// Maximum weight in bytes of all mailboxes of one owner together; see MB-17.
    pub max_owner_bytes: u64,
}

impl MailboxLimits {
    /// Maximum payload of one message in bytes: 1 MiB.
    pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
    /// Bytes that a message weighs beside its payload: about what stores need for it.
    pub const MESSAGE_BYTES: u64 = 128;
    /// A mailbox of up to this weight does not count towards the bound of its owner: the mailboxes of most
    /// sessions, which therefore need no account.
    pub const UNCOUNTED_BYTES: u64 = 32 << 10;

    /// The weight of messages in bytes.
    #[must_use]
    pub const fn weight(messages: u64, payload_bytes: u64) -> u64 {
        payload_bytes.saturating_add(messages.saturating_mul(Self::MESSAGE_BYTES))
    }

    /// The weight that one mailbox may have if the others of its owner count `others` bytes; `None` if a
    /// message of `payload` bytes does not fit.
    #[must_use]
    pub fn room(&self, others: u64, payload: usize) -> Option<u64> {
        let left = self.max_owner_bytes.saturating_sub(others);
        let payload = u64::try_from(payload).unwrap_or(u64::MAX);
        let room = left.max(Self::UNCOUNTED_BYTES);
        (Self::weight(1, payload) <= room).then_some(room)
    }
}

/// 1,000 messages, 16 MiB, 1,000 streams, one hour; 256 MiB for all sessions of one owner. Together with what
/// does not count, 10,000 sessions of one owner hold 569 MiB.
impl Default for MailboxLimits {
    fn default() -> Self {
        Self {
            max_messages: 1000,
            max_bytes: 16 << 20,
            max_streams: 1000,
            max_age: Duration::from_secs(3600),
            max_owner_bytes: 256 << 20,
        }
    }
}

/// A page of one stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailboxPage {
    /// Messages of the stream, ascending by sequence.
    pub messages: Vec<Sequenced<Bytes>>,
    /// The page is complete up to and including this position; read on after it.
    pub through: Sequence,
    /// Whether the stream held nothing beyond `through` when the page was read.
    pub at_head: bool,
    /// Set when messages after the requested position are gone: the page begins after this position instead.
    pub resumes_after: Option<Sequence>,
    /// Whether the stream is closed: nothing more will be appended. Together with `at_head`: this is its end.
    pub closed: bool,
    /// The sequence that the mailbox was given when it was opened: all its messages have higher ones, and those of
    /// an earlier mailbox of the session had lower ones.
    pub began: Sequence,
    /// The last sequence that the mailbox has given out, to any of its streams or at its opening.
    pub end: Sequence,
}

impl MailboxPage {
    /// Maximum number of messages in one page, whatever limit was requested.
    pub const MAX_MESSAGES: usize = 1000;
    /// A page ends before its payload exceeds this number of bytes; its first message always fits.
    pub const MAX_BYTES: usize = 4 << 20;

    /// The page of a session that has no mailbox: a reader at the start has missed nothing, and one that holds a
    /// position has proof that it [went back](Self::went_back).
    #[must_use]
    pub const fn without_mailbox(after: Sequence) -> Self {
        Self {
            messages: Vec::new(),
            through: after,
            at_head: true,
            resumes_after: None,
            closed: false,
            began: Sequence::START,
            end: Sequence::START,
        }
    }

    /// Whether the page proves that the store went back: the reader of this page held the position `after`, which
    /// this mailbox has not given out. Either the store has an earlier state, after a failover or a restored
    /// snapshot; or an earlier mailbox gave it out, which the store removed. Such a reader reads again from the
    /// start, because messages that were stored since may have lower sequences, and it may have missed some.
    #[must_use]
    pub fn went_back(&self, after: Sequence) -> bool {
        after > self.end || (after > Sequence::START && after < self.began)
    }
}

/// What is full when the mailboxes of one owner have no room.
const OWNER_FULL: &str = "unread messages and answers of this client's sessions";

/// Errors of a mailbox.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    /// The mailbox was not opened, has expired or has ended.
    #[error("no such mailbox")]
    Missing,
    /// The stream was closed: nothing can be appended.
    #[error("the stream is closed")]
    Closed,
    /// The payload is longer than [`MailboxLimits::MAX_PAYLOAD_BYTES`].
    #[error(
        "a message of {bytes} bytes is longer than {} bytes",
        MailboxLimits::MAX_PAYLOAD_BYTES
    )]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The store failed; the outcome of an append is unknown. It is `Overloaded` when it is full or the owner of
    /// the mailbox has its share: then nothing was changed.
    #[error(transparent)]
    Failed(#[from] StoreFailure),
}

impl MailboxError {
    /// The mailboxes of the owner have no room for the message (MB-17).
    #[must_use]
    pub const fn owner_is_full() -> Self {
        Self::Failed(StoreFailure::full(OWNER_FULL))
    }

    /// Whether it is [`Self::owner_is_full`]: others may have room, and this client has to read what is there.
    #[must_use]
    pub fn is_owner_full(&self) -> bool {
        matches!(self, Self::Failed(StoreFailure::Overloaded { what, .. }) if *what == OWNER_FULL)
    }

    /// Refuses a payload that is too long, before anything is sent to the store.
    ///
    /// # Errors
    /// [`MailboxError::TooLarge`].
    pub fn check_payload(payload: &[u8]) -> Result<(), Self> {
        let bytes = payload.len();
        if bytes > MailboxLimits::MAX_PAYLOAD_BYTES {
            return Err(Self::TooLarge { bytes });
        }
        Ok(())
    }
}

impl Classified for MailboxError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Failed(failure) => failure.class(),
            Self::Missing => ErrorClass::Missing,
            Self::Closed => ErrorClass::Conflict,
            Self::TooLarge { .. } => ErrorClass::Caller,
        }
    }
}

/// Messages that are addressed to one session and must survive until its client has read them: messages
/// of a resumable stream, requests of the server, progress. A mailbox has several streams; they share
/// one series of sequences and one set of limits.
///
/// A mailbox is named by a session and lives by itself: the caller opens, touches and ends it beside whatever it
/// belongs to, which may be in another store.
///
/// A stream is created by [`open_stream`](Self::open_stream) or by the first append. A reader that opens
/// one reads after the position that `open_stream` returns: from there on, every loss is reported exactly.
///
/// # Contract
/// - **MB-01** `append` returns a sequence that rises strictly with each append to the mailbox, across all
///   of its streams and whatever was removed meanwhile; `read_after` returns the payload byte for byte.
/// - **MB-02** concurrent appends get distinct sequences, and no reader ever sees a message while one of
///   the same mailbox with a lower sequence can still appear.
/// - **MB-03** a mailbox that was not opened, has expired or has ended is `Missing` to every call on its streams;
///   `touch` and `end` return that there is none.
/// - **MB-04** a payload longer than 1 MiB is `TooLarge` and changes nothing.
/// - **MB-05** `read_after` returns up to `limit` messages of that stream alone, strictly after the
///   position, ascending, with none left out up to `through`; `at_head` says whether these were the last.
/// - **MB-06** `append` keeps the mailbox within its limits of messages, bytes and age: the oldest are
///   removed first, across all streams. The message just appended stays.
/// - **MB-07** if a stream lost a message after the reader's position, the page reports it in
///   `resumes_after` and has the messages that remain; a reader that missed nothing gets no such report.
/// - **MB-08** `trim` removes the messages of one stream up to a position, returns how many, and keeps
///   those of other streams.
/// - **MB-09** after `close_stream` an append to the stream is `Closed`, its pages say `closed`, and its
///   messages can still be read. Closing it again is not an error.
/// - **MB-10** beyond `max_streams` a stream is forgotten with its messages: closed streams first, then
///   the one that has been idle longest. To a reader it is closed, and a read from a position before its
///   end reports a loss. A stream opened later reports no losses from before its opening.
/// - **MB-11** `open_stream` returns a position before every message of the stream and after everything
///   appended earlier; opening it again returns the same position, or `Closed` if it was closed.
/// - **MB-12** `open` makes an empty mailbox that lives for `ttl`. One that is living stays as it is, with its
///   messages and its owner; its `ttl` restarts. A mailbox that is opened after the end or expiry of another one
///   has none of its messages or streams, and higher sequences: a reader that holds a position of the earlier
///   one has proof (`began`).
/// - **MB-13** (durable) every acknowledged change is still there after a reopen; sequences keep rising.
/// - **MB-14** (shared) an append, close or trim through one handle is visible through another at once.
/// - **MB-15** a page has in `began` the sequence of the opening, and in `end` the last one that the mailbox has
///   given out, whichever stream it went to, so that a reader with a position outside of them knows that the
///   store went back.
/// - **MB-16** (goes back) after the store went back to an earlier state, a sequence that it gave out in the
///   lost time is not given out again: later messages have higher ones, as long as the store's clock goes on.
/// - **MB-17** the mailboxes of one owner, who was named at `open`, weigh at most `max_owner_bytes` together, apart
///   from those of up to 32 KiB, which do not count; a message weighs 128 bytes more than its payload. An append
///   beyond that removes the oldest messages of its own mailbox; it is `Overloaded` and changes nothing if the
///   message does not fit even so. What is trimmed, too old, or in a mailbox that ended or expired no longer
///   counts.
/// - **MB-18** `touch` restarts the `ttl`, to more or less than was left, and changes nothing else; it returns
///   whether the mailbox is living. No other call but `open` changes how long it lives.
/// - **MB-19** `end` removes a mailbox with its messages and returns whether there was one. It is not sticky: the
///   mailbox can be opened anew.
#[async_trait]
pub trait Mailbox: fmt::Debug + Send + Sync + 'static {
    /// Opens the mailbox of a session for `ttl`, on account of `owner`; see MB-12. At least a millisecond.
    ///
    /// # Errors
    /// `Overloaded` if the store has no room for another mailbox, or the store is unavailable.
    async fn open(
        &self,
        session: &SessionId,
        owner: &PrincipalId,
        ttl: Duration,
    ) -> Result<(), MailboxError>;

    /// Restarts the `ttl`; see MB-18.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn touch(&self, session: &SessionId, ttl: Duration) -> Result<bool, MailboxError>;

    /// Removes a mailbox; see MB-19.
    ///
    /// # Errors
    /// The store is unavailable.
    async fn end(&self, session: &SessionId) -> Result<bool, MailboxError>;

    /// Opens a stream of a mailbox and returns its position; see MB-10, MB-11.
    ///
    /// # Errors
    /// `Missing`, `Closed`, or the store is unavailable.
    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError>;

    /// Appends a message to a stream, which is created if necessary; see MB-01 to MB-06.
    ///
    /// # Errors
    /// `Missing`, `Closed`, `TooLarge`, `Overloaded`, or the store is unavailable: then the message may
    /// or may not have been stored.
    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError>;

    /// Reads a page of a stream; see MB-05, MB-07. A stream that was never created is empty and open.
    ///
    /// # Errors
    /// `Missing`, or the store is unavailable or holds unreadable data.
    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError>;

    /// Removes the messages that the client has read; see MB-08.
    ///
    /// # Errors
    /// `Missing`, or the store is unavailable.
    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError>;

    /// Closes a stream: nothing more will be appended to it; see MB-09. A stream that was never created
    /// is not created by this.
    ///
    /// # Errors
    /// `Missing`, or the store is unavailable.
    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError>;
}
