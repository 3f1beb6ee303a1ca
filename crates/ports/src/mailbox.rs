//! What is addressed to one session, until its client has read it.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use model::{Classified, ErrorClass, Sequence, Sequenced, SessionId, StreamId};

use crate::Source;

/// How much a mailbox keeps for one session. What is beyond goes, the oldest first, whichever stream
/// it is of; a reader that missed it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MailboxLimits {
    /// Most messages of one session.
    pub max_messages: u32,
    /// Most bytes of payload of one session: many large messages are not many small ones.
    pub max_bytes: u64,
    /// Streams that are remembered. Beyond, closed ones are forgotten first, then the one that has
    /// been silent longest.
    pub max_streams: u32,
    /// Messages that are older go with the next append.
    pub max_age: Duration,
}

impl MailboxLimits {
    /// Longest payload of one message: 1 MiB.
    pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
}

/// 1,000 messages, 16 MiB, 1,000 streams, one hour.
impl Default for MailboxLimits {
    fn default() -> Self {
        Self {
            max_messages: 1000,
            max_bytes: 16 << 20,
            max_streams: 1000,
            max_age: Duration::from_secs(3600),
        }
    }
}

/// A part of one stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailboxPage {
    /// Messages of the stream, ascending by sequence.
    pub messages: Vec<Sequenced<Bytes>>,
    /// The page is complete up to and including this position; read on after it.
    pub through: Sequence,
    /// The stream held nothing beyond `through` when the page was read.
    pub at_head: bool,
    /// Set when something that came after the position that was asked for is gone: the page begins
    /// after this position instead.
    pub resumes_after: Option<Sequence>,
    /// Nothing will be appended to the stream any more. Together with `at_head`: this is its end.
    pub closed: bool,
}

impl MailboxPage {
    /// Most messages of one page, whatever limit was asked for.
    pub const MAX_MESSAGES: usize = 1000;
    /// A page ends before it has more bytes of payload than this; its first message always fits.
    pub const MAX_BYTES: usize = 4 << 20;
}

/// What can go wrong with a mailbox.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    /// The store does not answer, or not in time. Nothing is known about an append.
    #[error("mailbox cannot {op} now")]
    Unavailable {
        /// What we were doing.
        op: &'static str,
        /// What the driver said.
        #[source]
        source: Source,
    },
    /// No such session, or it expired or ended.
    #[error("no such session")]
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
        /// How long it is.
        bytes: usize,
    },
    /// The store as a whole is full; nothing was appended.
    #[error("the mailboxes are full: {what}")]
    Overloaded {
        /// Which bound.
        what: &'static str,
    },
    /// What the store holds is not what we wrote.
    #[error("mailbox has an entry that cannot be read while trying to {op}")]
    Corrupt {
        /// What we were doing.
        op: &'static str,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
}

impl MailboxError {
    /// Refuses a payload that is too long, before anything is sent anywhere.
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
            Self::Unavailable { .. } => ErrorClass::Transient,
            Self::Missing => ErrorClass::Missing,
            Self::Closed => ErrorClass::Conflict,
            Self::TooLarge { .. } => ErrorClass::Caller,
            Self::Overloaded { .. } => ErrorClass::Overloaded,
            Self::Corrupt { .. } => ErrorClass::Permanent,
        }
    }
}

/// What is addressed to one session and must survive until its client has read it: messages of a
/// resumable stream, requests of the server, progress. A session has several streams; they share one
/// row of sequences and one set of limits.
///
/// A stream comes into being with [`open_stream`](Self::open_stream) or the first append. Who opens one
/// reads after the position that `open_stream` gives: from there on it is known exactly what was lost.
///
/// # Contract
/// - **MB-01** `append` answers a sequence that rises strictly with each append to the session, over all
///   of its streams and whatever was removed meanwhile; `read_after` gives the payload byte for byte.
/// - **MB-02** concurrent appends get distinct sequences, and no reader ever sees a message while one of
///   the same session with a lower sequence can still appear.
/// - **MB-03** a session that is not there, expired or ended is `Missing` to every call.
/// - **MB-04** a payload longer than 1 MiB is `TooLarge` and changes nothing.
/// - **MB-05** `read_after` gives the messages of that stream alone, strictly after the position,
///   ascending, at most `limit`, with nothing left out up to `through`; `at_head` says whether there
///   was more.
/// - **MB-06** `append` keeps the session within its limits of messages, bytes and age: the oldest go
///   first, over all streams. The message just appended stays.
/// - **MB-07** a reader of a stream that lost a message after the reader's position is told by
///   `resumes_after`, and the page has what remains; a reader that missed nothing is not told.
/// - **MB-08** `trim` removes the messages of one stream up to a position, says how many, and leaves
///   those of other streams.
/// - **MB-09** after `close_stream` an append to the stream is `Closed`, its pages say `closed`, and
///   what it holds can be read. Closing again is fine.
/// - **MB-10** beyond `max_streams` a stream is forgotten with what it holds: closed ones first, then
///   the one that has been silent longest. To a reader it is closed, and a position before its end is
///   told a loss. A stream opened later is not told of losses before its opening.
/// - **MB-11** `open_stream` gives a position before every message of the stream and after everything
///   appended earlier; opening again gives the same one, and `Closed` if it was closed.
/// - **MB-12** a mailbox lives as long as its session, over `touch` and `replace`, and goes with its end
///   or expiry: a session created later under the same id has an empty one.
/// - **MB-13** (durable) what a call acknowledged is there after a reopen; sequences go on rising.
/// - **MB-14** (shared) what one handle appended, closed or trimmed, another sees at once.
#[async_trait]
pub trait Mailbox: fmt::Debug + Send + Sync + 'static {
    /// Opens a stream of a session and gives its position; see MB-10, MB-11.
    ///
    /// # Errors
    /// `Missing`, `Closed`, or the store is unavailable.
    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError>;

    /// Adds a message to a stream, which comes into being if need be; see MB-01 to MB-06.
    ///
    /// # Errors
    /// `Missing`, `Closed`, `TooLarge`, `Overloaded`, or the store is unavailable: then the message
    /// may be there or not.
    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError>;

    /// Reads on in a stream; see MB-05, MB-07. A stream that never was is empty and open.
    ///
    /// # Errors
    /// `Missing`, or the store is unavailable or holds something unreadable.
    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError>;

    /// Removes what the client has read; see MB-08.
    ///
    /// # Errors
    /// `Missing`, or the store is unavailable.
    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError>;

    /// Says that nothing more will come on a stream; see MB-09. A stream that never was stays so.
    ///
    /// # Errors
    /// `Missing`, or the store is unavailable.
    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError>;
}
