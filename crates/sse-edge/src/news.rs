//! The switchboard of the edge: turns its news from the bus into calls of sessions, calls, tasks,
//! subscriptions and streams.

use std::{sync::Arc, time::Duration};

use edge_records::VersionedSession;
use fanout::{hub::Hub, inbox::MailStream};
use futures_util::{TryStreamExt, stream};
use model::{Classified, SessionId};
use ports::EdgeNews;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    calls::{Calls, posted::posted_news_name, posted_watch::PostedWatch},
    error::EdgeError,
    limits::{
        ANSWER_CHECK_INTERVAL, ANSWER_SLICES, CONCURRENT_SESSION_CHECKS, NAMED_HEARTBEAT_INTERVAL,
        SESSION_CHANGES,
    },
    peers::EdgePeers,
    session::Sessions,
    subscriptions::Subscriptions,
    tasks::Tasks,
};

/// Dispatches the edge's news to sessions, calls and tasks. Never blocks.
#[derive(Debug, Clone)]
pub(crate) struct BusRouter {
    sessions: Arc<Sessions>,
    hub: Arc<Hub>,
    calls: Arc<Calls>,
    posted: PostedWatch,
    tasks: Arc<Tasks>,
    peers: Arc<EdgePeers>,
    subscriptions: Arc<Subscriptions>,
    changed: mpsc::Sender<ChangedSession>,
}

#[derive(Debug)]
enum ChangedSession {
    One(SessionId),
    /// Changes may have been missed: check all sessions.
    All,
}

/// The receiving end, for [`watch_sessions`].
#[derive(Debug)]
pub(crate) struct ChangedSessions(mpsc::Receiver<ChangedSession>);

impl BusRouter {
    pub(crate) fn new(
        sessions: Arc<Sessions>,
        hub: Arc<Hub>,
        posted: PostedWatch,
        tasks: Arc<Tasks>,
        peers: Arc<EdgePeers>,
        subscriptions: Arc<Subscriptions>,
    ) -> (Self, ChangedSessions) {
        let (changed, changes) = mpsc::channel(SESSION_CHANGES);
        let news = Self {
            sessions,
            hub,
            calls: Arc::clone(&posted.calls),
            posted,
            tasks,
            peers,
            subscriptions,
            changed,
        };
        (news, ChangedSessions(changes))
    }

    pub(crate) fn dispatch(&self, news: EdgeNews) {
        match news {
            EdgeNews::SessionEnded(id) => {
                self.calls.running.cancel_all(&id);
                self.hub.end_session(&id);
            }
            EdgeNews::StreamReplaced {
                session,
                current_tag,
            } => {
                self.hub.take_over(&session, current_tag);
            }
            EdgeNews::SessionChanged(id) => {
                if self.hub.has_session(&id) {
                    self.enqueue_check(ChangedSession::One(id));
                }
            }
            EdgeNews::MailboxChanged { session, stream } => match MailStream::from_name(&stream) {
                Some(mail) => {
                    self.hub.notify_mail(&session, mail);
                }
                None => {
                    self.calls.hints.wake(&session, &stream);
                    if stream == posted_news_name() {
                        self.posted.look_after(&session);
                    }
                }
            },
            EdgeNews::MessagesDelivered { session, through } => {
                self.sessions.record_delivery(&session, through);
            }
            EdgeNews::RequestCancelled { session, request } => {
                if let Ok(request) = serde_json::from_str(&request) {
                    self.calls.running.cancel(&session, &request);
                }
            }
            EdgeNews::TaskChanged { owner, task } => {
                self.tasks.hint(&task);
                self.hub.notify_task(&owner, &task);
            }
            EdgeNews::ListsChanged(lists) => self.hub.notify_lists(lists),
            EdgeNews::EdgePresent {
                edge,
                is_new,
                leaves,
            } => self.peers.note_presence(edge, is_new, leaves),
            EdgeNews::EdgesAsked {
                edge,
                question,
                body,
            } => self.peers.note_question(edge, question, body),
            EdgeNews::EdgeAnswered {
                edge,
                asker,
                question,
                body,
            } => self.peers.note_answer(edge, &asker, question, body),
            EdgeNews::SubscriptionsChanged {
                owner,
                subscription,
            } => {
                let followers = &self.subscriptions.followers;
                followers.changed(&owner, subscription.as_ref());
            }
        }
    }

    /// Messages arrive from now on.
    pub(crate) fn listens(&self) {
        self.peers.listens();
    }

    /// Messages may have been lost.
    pub(crate) fn gap(&self) {
        self.peers.listens();
        self.calls.hints.wake_all();
        self.hub.read_all_mail();
        self.tasks.hint_all();
        self.subscriptions.followers.all_changed();
        self.enqueue_check(ChangedSession::All);
    }

    fn enqueue_check(&self, changed: ChangedSession) {
        // A full queue means that the watcher is behind; its periodic check covers all sessions
        // anyway.
        if self.changed.try_send(changed).is_err() {
            warn!("sessions change faster than they are checked");
        }
    }
}

/// Checks changed sessions, and periodically all sessions with a stream here: keeps them alive, and
/// ends the streams of those that have ended. Runs until `stop`.
pub(crate) async fn watch_sessions(
    (sessions, hub): (Arc<Sessions>, Arc<Hub>),
    posted: PostedWatch,
    ChangedSessions(mut changes): ChangedSessions,
    stop: CancellationToken,
) {
    let mut rounds = tokio::time::interval(sessions.round());
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let endless = async {
        loop {
            tokio::select! {
                // First, so that a flood of changes does not end sessions that nobody keeps alive.
                biased;
                _ = rounds.tick() => check_all_sessions(&sessions, &hub, &posted).await,
                changed = changes.recv() => match changed {
                    Some(ChangedSession::One(id)) => check_session(&sessions, &hub, &id).await,
                    Some(ChangedSession::All) => check_all_sessions(&sessions, &hub, &posted).await,
                    None => return,
                },
                () = next_end(&sessions) => end_subscriptions(&sessions, &hub).await,
            }
        }
    };
    stop.run_until_cancelled(endless).await;
}

/// Waits until a subscription in a session is over.
async fn next_end(sessions: &Sessions) {
    loop {
        let earlier = sessions.ends.wake.notified();
        match sessions.ends.next() {
            Some(end) => match sessions.until(end) {
                Duration::ZERO => return,
                // An earlier end, or the end itself.
                left => drop(timeout(left, earlier).await),
            },
            None => earlier.await,
        }
    }
}

/// Takes what is over out of the sessions whose stream is here; those without one do so when they are used.
async fn end_subscriptions(sessions: &Sessions, hub: &Hub) {
    while let Some(id) = sessions.take_over() {
        if !hub.has_session(&id) {
            continue;
        }
        if let Err(error) = sessions.end_subscriptions(&id).await {
            // The periodic check of the session finds it again.
            debug!(%error, session = %id, "what is over in a session is taken out later");
        }
    }
}

/// Makes every stream that carries answers check for them once per [`ANSWER_CHECK_INTERVAL`], which
/// bounds the delay caused by a lost hint. The checks are spread over slices, so that the store
/// does not get all reads at once. Runs until `stop`.
pub(crate) async fn poll_answers(hub: Arc<Hub>, stop: CancellationToken) {
    let slices = u32::try_from(ANSWER_SLICES).expect("a small constant");
    let mut ticks = tokio::time::interval(ANSWER_CHECK_INTERVAL / slices);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let endless = async {
        for slice in (0..ANSWER_SLICES).cycle() {
            ticks.tick().await;
            hub.check_answers(slice, ANSWER_SLICES);
        }
    };
    stop.run_until_cancelled(endless).await;
}

/// Makes every connection of `/mcp/sse` send a heartbeat once per [`NAMED_HEARTBEAT_INTERVAL`], spread over slices.
/// Runs until `stop`.
pub(crate) async fn beat_by_name(hub: Arc<Hub>, stop: CancellationToken) {
    let slices = u32::try_from(ANSWER_SLICES).expect("a small constant");
    let mut ticks = tokio::time::interval(NAMED_HEARTBEAT_INTERVAL / slices);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let endless = async {
        for slice in (0..ANSWER_SLICES).cycle() {
            ticks.tick().await;
            hub.beat_by_name(slice, ANSWER_SLICES);
        }
    };
    stop.run_until_cancelled(endless).await;
}

/// Concurrently: one after the other, checking all sessions could take longer than their idle time.
async fn check_all_sessions(sessions: &Arc<Sessions>, hub: &Hub, posted: &PostedWatch) {
    let all = stream::iter(hub.sessions().into_iter().map(Ok));
    let looking = all.try_for_each_concurrent(CONCURRENT_SESSION_CHECKS, |id| async move {
        let known = hub.session_revision(&id);
        match keep_alive(sessions, hub, &id).await {
            Ok(found) => {
                let is_posted_to = found
                    .as_ref()
                    .is_some_and(|found| found.session.is_posted_to());
                update_stream(hub, &id, known, found);
                if is_posted_to {
                    posted.check(&id).await;
                }
                if let Some(reader) = hub.session_reader(&id) {
                    // Nearly always nothing: an edge may have missed a broadcast.
                    sessions.take_kept(&id, &reader).await?;
                }
                // The hint of a message is lost in silence if its publisher has no bus.
                hub.notify_mail(&id, MailStream::Inbox);
            }
            Err(error) if error.class().is_retryable() => return Err(error),
            Err(error) => debug!(%error, session = %id, "a session cannot be checked"),
        }
        Ok(())
    });
    // The store is unavailable: streams stay open, and the next check tries again.
    if let Err(error) = looking.await {
        debug!(%error, "sessions cannot be checked now");
    }
}

/// Keeps the session of a stream alive, and records that the stream has reached its client.
async fn keep_alive(
    sessions: &Sessions,
    hub: &Hub,
    id: &SessionId,
) -> Result<Option<VersionedSession>, EdgeError> {
    let found = sessions.keep_alive(id).await?;
    if let Some(found) = &found
        && let Some(covered) = hub.check_covered(id)
    {
        sessions.record_streamed(&found.session, covered).await?;
    }
    Ok(found)
}

async fn check_session(sessions: &Sessions, hub: &Hub, id: &SessionId) {
    let known = hub.session_revision(id);
    if known.is_none() {
        return;
    }
    match sessions.peek(id).await {
        Ok(found) => update_stream(hub, id, known, found),
        Err(error) => debug!(%error, "a session cannot be checked now"),
    }
}

/// Updates the interest of the session's stream; ends the stream if the session has ended. `known` is the
/// revision that the stream had before the store was read: the store has that one or a later one, unless it
/// went back to an earlier state.
fn update_stream(hub: &Hub, id: &SessionId, known: Option<u64>, found: Option<VersionedSession>) {
    match found {
        None => hub.end_session(id),
        Some(found) if known.is_some_and(|known| found.revision.0 < known) => {
            hub.session_put_back(&found.session, found.revision.0);
        }
        Some(found) => hub.session_changed(&found.session, found.revision.0),
    }
}
