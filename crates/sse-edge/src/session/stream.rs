//! The GET stream of a session.

use std::sync::Arc;

use bytes::Bytes;
use mcp::ProtocolVersion;
use model::{Cursor, CursorScope, Sequence, SessionId};
use ports::EdgeNews;

use super::Sessions;
use fanout::{
    feed::Feed,
    format::{Ending, Format},
    hub::{Begin, Hub, OpenStream},
    inbox::{OnClose, Start},
    interest::Interest,
    limits::RETRY_MILLIS,
    metrics::StreamKind,
    notices::Wants,
};

use crate::error::EdgeError;
use access::Principal;

/// Opens the stream, with a priming event where the session's revision knows it (2025-11-25 on); an older
/// one of the session ends, wherever it is. `None` if the session is not this principal's, or gone.
///
/// Without `last_event_id` the session's first stream begins where its subscriptions began, so that what
/// happened between subscribing and listening is not lost; a later one begins with what comes next.
pub(crate) async fn open_stream(
    sessions: &Sessions,
    hub: &Arc<Hub>,
    principal: &Arc<Principal>,
    id: &SessionId,
    last_event_id: Option<&str>,
) -> Result<Option<Feed>, EdgeError> {
    open(sessions, hub, principal, id, last_event_id, None).await
}

/// What makes a stream one of HTTP+SSE (2024-11-05).
pub(crate) struct Legacy {
    /// The first event, which says where to POST.
    pub(crate) endpoint: Bytes,
    /// Dropped with the stream, or when none comes to be.
    pub(crate) on_close: OnClose,
}

/// Opens the stream of an HTTP+SSE session: it begins with the endpoint event, and carries what POSTs
/// are answered with.
pub(crate) async fn open_legacy_stream(
    sessions: &Sessions,
    hub: &Arc<Hub>,
    principal: &Arc<Principal>,
    id: &SessionId,
    legacy: Legacy,
) -> Result<Option<Feed>, EdgeError> {
    open(sessions, hub, principal, id, None, Some(legacy)).await
}

async fn open(
    sessions: &Sessions,
    hub: &Arc<Hub>,
    principal: &Arc<Principal>,
    id: &SessionId,
    last_event_id: Option<&str>,
    legacy: Option<Legacy>,
) -> Result<Option<Feed>, EdgeError> {
    // Numbered by the store, not by a clock: of two streams on two edges the later one is known.
    let numbered = sessions.change(id, &principal.id, |session| {
        let before = session.clone();
        session.streamed = true;
        session.stream_tag += 1;
        (before, session.stream_tag)
    });
    let Some(((session, tag), _)) = numbered.await? else {
        return Ok(None);
    };
    let version = ProtocolVersion::parse(&session.protocol_version);
    let primes = version.is_some_and(ProtocolVersion::has_priming);
    let scope = CursorScope::session(&principal.id, id);
    let last = last_event_id.map(|last| Cursor::parse(last, scope));
    // As the client's last stream knew it; the rest is added below, from where each wish began.
    let known = match last {
        Some(Ok(cursor)) => cursor.wishes,
        _ => session.wishes,
    };
    let interest = Interest::of_wishes(&session, known, 0, hub.epoch());
    let start = match last {
        Some(Ok(cursor)) => Start::After(cursor.inbox),
        None if session.streamed => Start::Head,
        // What a cursor that means nothing leaves open comes again rather than not at all.
        Some(Err(_)) | None => Start::After(Sequence::START),
    };
    let begin = match last {
        Some(Ok(cursor)) => Begin::After(cursor),
        Some(Err(_)) => Begin::Unknown,
        None if session.streamed => Begin::Now,
        None => interest.earliest().map_or(Begin::Now, Begin::Position),
    };
    let open = OpenStream {
        wants: Wants::all_lists(),
        kind: StreamKind::Session,
        format: Format::Session,
        scope,
        session: Some((id.clone(), tag)),
        principal: Arc::clone(principal),
        interest,
        begin,
        // Where the stream is the session, its end would end that.
        ages: !session.ends_with_stream,
    };
    let (endpoint, on_close) = legacy.map(|new| (new.endpoint, new.on_close)).unzip();
    let mut feed = hub
        .open(open, |reader, position| {
            if let Some(endpoint) = endpoint {
                return endpoint;
            }
            let cursor = reader.cursor(position);
            let head = format!(": ok\nretry: {RETRY_MILLIS}\n");
            Bytes::from(if primes {
                format!("{head}id: {cursor}\ndata: \n\n")
            } else {
                head + "\n"
            })
        })
        .await?;
    let known = match start {
        Start::After(position) => position,
        Start::Head => Sequence::START,
    };
    let inbox = sessions.inboxes.open(id, start);
    let inbox = match on_close {
        Some(on_close) => inbox.with_answers(on_close),
        None => inbox,
    };
    feed.read_inbox(inbox, known);
    sessions
        .tell(
            id,
            EdgeNews::StreamTakenOver {
                session: id.clone(),
                stays: tag,
            },
        )
        .await;
    // From here on changes reach the stream over the bus; what changed before is looked up once.
    match sessions.peek(id).await? {
        Some(now) => {
            if now.session.stream_tag > tag {
                feed.end(Ending::TakenOver);
            }
            let interest = Interest::of_session(&now.session, now.revision.0, hub.epoch());
            feed.set_interest(interest);
            Ok(Some(feed))
        }
        None => Ok(None),
    }
}
