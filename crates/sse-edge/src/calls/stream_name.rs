//! The name of the stream of a call, and the ids of its events.

use std::sync::Arc;

use bytes::Bytes;
use fanout::limits::RETRY_MILLIS;
use mcp::sse::SseField;
use model::{
    CursorKeys, CursorScope, IdSource, LeaseName, PrincipalId, Sequence, SessionId, StreamCursor,
    StreamId,
};

/// Prefix of the names of our streams; a position in any other stream of the mailbox is not one of
/// ours.
const CALL: &str = "call-";

/// The name of a stream of a session; it also makes the ids of its events.
#[derive(Debug, Clone)]
pub(crate) struct StreamName {
    pub(crate) session: SessionId,
    pub(crate) stream: StreamId,
    scope: CursorScope,
    keys: Arc<CursorKeys>,
}

impl StreamName {
    /// The name of the stream of a new call.
    pub(crate) fn of_call(
        keys: Arc<CursorKeys>,
        principal: &PrincipalId,
        session: &SessionId,
        ids: &dyn IdSource,
    ) -> Self {
        let name = format!("{CALL}{}", ids.uuid());
        let stream = StreamId::new(&name).expect("a UUID fits a stream id");
        Self::new(keys, principal, session, stream)
    }

    /// The name of the stream that a client resumes; `None` if it is another stream of its session.
    pub(crate) fn resumed(
        keys: Arc<CursorKeys>,
        principal: &PrincipalId,
        session: &SessionId,
        stream: StreamId,
    ) -> Option<Self> {
        let is_call = stream.as_str().starts_with(CALL);
        is_call.then(|| Self::new(keys, principal, session, stream))
    }

    fn new(
        keys: Arc<CursorKeys>,
        principal: &PrincipalId,
        session: &SessionId,
        stream: StreamId,
    ) -> Self {
        Self {
            keys,
            scope: CursorScope::stream(principal, session, &stream),
            session: session.clone(),
            stream,
        }
    }

    fn id(&self, sequence: Sequence) -> String {
        let cursor = StreamCursor {
            stream: self.stream.clone(),
            sequence,
        };
        self.keys.seal_stream(&cursor, self.scope)
    }

    /// A message as an event with its id.
    pub(crate) fn frame(&self, sequence: Sequence, message: &[u8]) -> Bytes {
        let id = self.id(sequence);
        mcp::sse::message(SseField::new(&id).ok(), message)
    }

    /// The first event: an id with which to reconnect, and no data (SEP-1699).
    pub(super) fn priming(&self, sequence: Sequence) -> Bytes {
        let id = self.id(sequence);
        Bytes::from(format!("retry: {RETRY_MILLIS}\nid: {id}\ndata: \n\n"))
    }

    /// The lock of the edge that writes the stream.
    pub(crate) fn lock(&self) -> LeaseName {
        let name = format!("call:{}:{}", self.session, self.stream);
        LeaseName::new(&name).unwrap_or_else(|_| {
            // For ids longer than ours: still one lock per stream.
            LeaseName::new(self.stream.as_str()).expect("an id is visible ASCII")
        })
    }
}
