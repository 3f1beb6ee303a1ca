//! The GET stream of a session.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mcp::{
    ProtocolVersion,
    connection::{ConnectionEvent, put_frame},
};
use model::{
    Cursor, CursorError, CursorScope, CursorText, LogPosition, Sequence, Session, SessionId,
};
use ports::EdgeNews;
use serde_json::Value;

use super::Sessions;
use fanout::{
    HubError,
    audience::ClientLabels,
    feed::{Feed, OpeningFrames},
    format::{StreamEnd, StreamFormat, connection_event_id},
    hub::{Hub, StreamRequest, StreamStart},
    inbox::{InboxStart, OnClose},
    interest::{InterestLog, StreamInterest},
    limits::RETRY_MILLIS,
    metrics::StreamKind,
    news::NewsSelection,
};

use crate::error::EdgeError;
use access::{Principal, Visibility};

/// Opens the stream, with a priming event if the session's revision supports it (2025-11-25 on). An
/// older stream of the session ends, on whichever edge it is. `None` if the session has ended or
/// belongs to another principal.
///
/// Without `last_event_id` the stream begins at the position of the session's subscriptions, so that no
/// event between subscribing and listening is missed, until a stream is known to have reached the client
/// ([`Sessions::record_streamed`]); from then on it begins with the next event.
pub(crate) async fn open_stream(
    sessions: &Arc<Sessions>,
    hub: &Arc<Hub>,
    principal: &Arc<Principal>,
    id: &SessionId,
    last_event_id: Option<&str>,
) -> Result<Option<Feed>, EdgeError> {
    open(
        sessions,
        hub,
        principal,
        id,
        last_event_id,
        StreamSurface::Mcp,
    )
    .await
}

/// The parts of a stream that only HTTP+SSE (2024-11-05) has.
pub(crate) struct HttpSseParts {
    /// The first event, which names the URL for POSTs.
    pub(crate) endpoint: Bytes,
    /// Dropped together with the stream, or if the stream cannot be opened.
    pub(crate) on_close: OnClose,
}

/// Opens the stream of an HTTP+SSE session: it begins with the endpoint event, and carries the
/// answers to POSTs.
pub(crate) async fn open_legacy_stream(
    sessions: &Arc<Sessions>,
    hub: &Arc<Hub>,
    principal: &Arc<Principal>,
    id: &SessionId,
    legacy: HttpSseParts,
) -> Result<Option<Feed>, EdgeError> {
    let surface = StreamSurface::HttpSse(legacy);
    open(sessions, hub, principal, id, None, surface).await
}

/// The parts of a stream that only `/mcp/sse` has.
pub(crate) struct ConnectionParts {
    /// The first event, without the time.
    pub(crate) status: Value,
    /// The second event, likewise.
    pub(crate) welcome: Value,
}

/// Opens the stream of a connection: it begins with its status and the welcome.
pub(crate) async fn open_connection_stream(
    sessions: &Arc<Sessions>,
    hub: &Arc<Hub>,
    principal: &Arc<Principal>,
    id: &SessionId,
    last_event_id: Option<&str>,
    parts: ConnectionParts,
) -> Result<Option<Feed>, EdgeError> {
    let surface = StreamSurface::Connection(parts);
    open(sessions, hub, principal, id, last_event_id, surface).await
}

/// The surface that a stream is opened on.
enum StreamSurface {
    Mcp,
    HttpSse(HttpSseParts),
    Connection(ConnectionParts),
}

impl StreamSurface {
    const fn kind(&self) -> StreamKind {
        match self {
            Self::Connection(_) => StreamKind::Connection,
            _ => StreamKind::Session,
        }
    }

    fn format(&self, id: &SessionId) -> StreamFormat {
        match self {
            Self::Connection(_) => StreamFormat::Connection { id: id.clone() },
            _ => StreamFormat::Session,
        }
    }

    /// The first frames; `primes`: the client knows a priming event.
    fn opening(&self, feed: &Feed, id: &SessionId, primes: bool, now: &str) -> OpeningFrames {
        let cursor = feed.cursor();
        let (frames, has_event_id) = match self {
            Self::HttpSse(parts) => (parts.endpoint.clone(), false),
            Self::Connection(parts) => (opening_of(parts, id, &cursor, now), true),
            Self::Mcp => {
                let priming = match primes {
                    true => format!("id: {cursor}\ndata: \n\n"),
                    false => "\n".to_owned(),
                };
                let frames = format!(": ok\nretry: {RETRY_MILLIS}\n{priming}");
                (Bytes::from(frames), primes)
            }
        };
        OpeningFrames {
            frames,
            has_event_id,
        }
    }
}

/// What the reader of a stream may see, as its session stores it.
pub(crate) fn stored_rights(sees: &Visibility) -> Option<Value> {
    (!sees.is_all()).then(|| serde_json::to_value(sees).expect("names are JSON"))
}

/// The first frames of a connection.
fn opening_of(parts: &ConnectionParts, id: &SessionId, cursor: &CursorText, now: &str) -> Bytes {
    let event_id = connection_event_id(id, cursor);
    let mut frames = BytesMut::from(format!(": ok\nretry: {RETRY_MILLIS}\n").as_bytes());
    for (event, data) in [
        (ConnectionEvent::ConnectionStatus, &parts.status),
        (ConnectionEvent::McpNotification, &parts.welcome),
    ] {
        let mut data = data.clone();
        data["timestamp"] = now.into();
        if event == ConnectionEvent::ConnectionStatus {
            data["serverTime"] = now.into();
        }
        let data = data.to_string();
        put_frame(event, Some(&event_id), data.as_bytes(), &mut frames);
    }
    frames.freeze()
}

/// Whether the cursor knows a subscription that the session has never had: the store went back to before it.
fn is_ahead(cursor: &Cursor, session: &Session) -> bool {
    !session.has_had_subscription(cursor.newest_subscription)
}

/// Where a stream begins.
struct Beginning {
    interest: StreamInterest,
    inbox: InboxStart,
    begin: StreamStart,
    /// The client is ahead of the store.
    went_back: bool,
}

impl Beginning {
    /// The beginning of a stream whose client named `last`, if it named an event.
    fn of(
        session: &Session,
        last: Option<&Result<Cursor, CursorError>>,
        (log, reached): (InterestLog<'_>, Sequence),
        (channel, after_loss): (Option<CursorScope>, Option<Sequence>),
    ) -> Self {
        let went_back = matches!(last, Some(Ok(cursor)) if is_ahead(cursor, session));
        // As the client's last stream knew it; later subscriptions are added afterwards, each from its own
        // start.
        let known = match (last, session.streamed_subscription) {
            // A subscription made since the store went back may have a lower number than the cursor.
            (Some(Ok(_)), _) if went_back => session.covered_subscription(),
            (Some(Ok(cursor)), _) => cursor.newest_subscription,
            (None, Some(streamed)) => streamed,
            _ => session.newest_subscription,
        };
        let interest = StreamInterest::up_to_subscription(session, known, 0, log);
        let interest = interest.as_channel(channel).begun_by(reached);
        let inbox = match last {
            Some(Ok(cursor)) => InboxStart::After(cursor.inbox),
            None if session.has_streamed => InboxStart::Head,
            // After an invalid cursor, messages are sent again rather than not at all.
            Some(Err(_)) | None => InboxStart::After(Sequence::START),
        };
        let begin = match last {
            Some(Ok(cursor)) => StreamStart::After(*cursor),
            Some(Err(_)) => StreamStart::UnknownCursor,
            None if session.has_streamed => StreamStart::Head,
            None => match (interest.earliest(), after_loss) {
                (_, Some(position)) => StreamStart::AfterLoss(position),
                (Some(position), None) => StreamStart::Position(position),
                (None, None) => StreamStart::Head,
            },
        };
        Self {
            interest,
            inbox,
            begin,
            went_back,
        }
    }
}

/// Where a stream without an event id begins if the log has lost a part in which a subscription began. An event
/// id that is still in the log spares the comparison for the subscriptions that its stream knew and that began
/// before it; others may have begun in a lost part, and the id after it. What began in another log concerns the
/// first stream alone: a later one is of a client that knows.
async fn after_loss(
    hub: &Hub,
    session: &Session,
    last: Option<&Result<Cursor, CursorError>>,
) -> Result<Option<Sequence>, HubError> {
    let mut proven = None;
    if let Some(Ok(cursor)) = last
        && cursor.is_sealed
        && cursor.tag.is_some()
        && cursor.epoch == hub.epoch()
    {
        let reached = LogPosition {
            epoch: cursor.epoch,
            sequence: cursor.sequence,
            tag: cursor.tag,
        };
        if hub
            .learn_of_losses([reached], &session.owner)
            .await?
            .is_none()
        {
            proven = Some(*cursor);
        }
    }
    let needs_none = |number: u64, since: &LogPosition| {
        proven.is_some_and(|cursor| {
            number <= cursor.newest_subscription && since.sequence <= cursor.sequence
        })
    };
    let subscriptions = session.subscriptions.iter();
    let subscriptions = subscriptions.map(|one| (one.number, one.since));
    let number = |uri: &str| session.resource_numbers.get(uri).copied();
    let resources = session.resource_uris.iter();
    let resources = resources.map(|(uri, since)| (number(uri).unwrap_or_default(), *since));
    let stored = subscriptions.chain(resources);
    let stored = stored.filter(|(number, since)| !needs_none(*number, since));
    let is_first = last.is_none() && !session.has_streamed;
    let stored = stored.map(|(_, since)| since);
    let stored = stored.filter(|since| is_first || since.epoch == hub.epoch());
    hub.learn_of_losses(stored, &session.owner).await
}

async fn open(
    sessions: &Arc<Sessions>,
    hub: &Arc<Hub>,
    principal: &Arc<Principal>,
    id: &SessionId,
    last_event_id: Option<&str>,
    surface: StreamSurface,
) -> Result<Option<Feed>, EdgeError> {
    // Numbered in the store, so that the later of two streams on two edges is known.
    let scope = CursorScope::session(&principal.id, id);
    let keys = hub.started_keys()?;
    let last = last_event_id.map(|last| keys.open(last, scope));
    let now = sessions.now().await?;
    let is_connection = matches!(surface, StreamSurface::Connection(_));
    let numbered = sessions.change(id, &principal.id, |session| {
        let before = session.clone();
        // A connection is no session of another surface, whose clients do not know its form.
        if before.is_connection != is_connection {
            return (before, 0);
        }
        if is_connection {
            session.reader_sees = stored_rights(&principal.sees);
        }
        if let Some(Ok(cursor)) = &last
            && !is_ahead(cursor, session)
        {
            session.record_streamed(cursor.newest_subscription);
        }
        (before, session.next_stream_tag(now))
    });
    let Some(((session, tag), _)) = numbered.await? else {
        return Ok(None);
    };
    if session.is_connection != is_connection {
        return Ok(None);
    }
    let kept = sessions.take_kept(id, principal).await?;
    let version = ProtocolVersion::parse(&session.protocol_version);
    let primes = version.is_some_and(ProtocolVersion::has_priming);
    let after_loss = after_loss(hub, &session, last.as_ref()).await?;
    let timeline = hub.timeline();
    let log = InterestLog {
        timeline: &timeline,
        names: hub.names(),
    };
    let here = (log, hub.position().sequence);
    let parts = (hub.channel_of(&session), after_loss);
    let mut plan = Beginning::of(&session, last.as_ref(), here, parts);
    if let (InboxStart::Head, Some(first)) = (plan.inbox, kept.first()) {
        plan.inbox = InboxStart::After(first.before());
    }
    let known = match plan.inbox {
        InboxStart::After(position) => position,
        InboxStart::Head => Sequence::START,
    };
    let open = StreamRequest {
        wants: NewsSelection::all_lists(),
        labels: Some(ClientLabels::of(&session)),
        kind: surface.kind(),
        format: surface.format(id),
        scope,
        session: Some((id.clone(), tag)),
        inbox: known,
        principal: Arc::clone(principal),
        interest: plan.interest,
        begin: plan.begin,
        // If the session ends with its stream, the stream must not end by age.
        ages: !session.ends_with_stream,
    };
    let opening = |feed: &Feed| surface.opening(feed, id, primes, &now.to_string());
    let mut feed = hub.open(open, opening).await?;
    let inbox = sessions.inboxes.open(id, plan.inbox);
    let inbox = match surface {
        StreamSurface::HttpSse(parts) => inbox.with_answers(parts.on_close),
        _ => inbox,
    };
    feed.read_inbox(inbox);
    if plan.went_back {
        hub.record_set_back();
        feed.report_set_back();
    }
    sessions
        .publish(
            id,
            EdgeNews::StreamReplaced {
                session: id.clone(),
                current_tag: tag,
            },
        )
        .await;
    // From here on changes reach the stream over the bus; earlier changes are loaded once.
    match sessions.peek(id).await? {
        Some(now) => {
            if now.session.stream_tag > tag {
                feed.end(StreamEnd::TakenOver);
            }
            feed.set_interest(hub.interest_of(&now.session, now.revision.0));
            Ok(Some(feed))
        }
        None => Ok(None),
    }
}
