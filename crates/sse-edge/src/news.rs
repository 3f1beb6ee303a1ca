//! The switchboard of the edge: turns its news from the bus into calls of sessions, calls, tasks and
//! streams.

use std::sync::Arc;

use fanout::{hub::Hub, inbox::MailStream};
use futures_util::{TryStreamExt, stream};
use model::{Classified, SessionId};
use ports::{EdgeNews, Versioned};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    calls::Calls,
    limits::{ANSWER_LOOK, ANSWER_SLICES, SESSION_CHANGES, SESSION_LOOKS},
    session::Sessions,
    tasks::TaskNews,
};

/// Dispatches the edge's news to sessions, calls and tasks. Never blocks.
#[derive(Debug, Clone)]
pub(crate) struct BusRouter {
    sessions: Arc<Sessions>,
    hub: Arc<Hub>,
    calls: Arc<Calls>,
    tasks: TaskNews,
    changed: mpsc::Sender<ChangedSession>,
}

#[derive(Debug)]
enum ChangedSession {
    One(SessionId),
    /// Something was missed: look at all.
    Any,
}

/// The receiving end, for [`watch_sessions`].
#[derive(Debug)]
pub(crate) struct ChangedSessions(mpsc::Receiver<ChangedSession>);

impl BusRouter {
    pub(crate) fn new(
        sessions: Arc<Sessions>,
        hub: Arc<Hub>,
        calls: Arc<Calls>,
        tasks: TaskNews,
    ) -> (Self, ChangedSessions) {
        let (changed, changes) = mpsc::channel(SESSION_CHANGES);
        let news = Self {
            sessions,
            hub,
            calls,
            tasks,
            changed,
        };
        (news, ChangedSessions(changes))
    }

    pub(crate) fn take(&self, news: EdgeNews) {
        match news {
            EdgeNews::SessionEnded(id) => {
                self.calls.running.cancel_all(&id);
                self.hub.end_session(&id);
            }
            EdgeNews::StreamTakenOver { session, stays } => {
                self.hub.take_over(&session, stays);
            }
            EdgeNews::SessionChanged(id) => {
                if self.hub.has_session(&id) {
                    self.look(ChangedSession::One(id));
                }
            }
            EdgeNews::MailboxChanged { session, stream } => match MailStream::named(&stream) {
                Some(mail) => {
                    self.hub.mail_came(&session, mail);
                }
                None => self.calls.mail.wake(&session, &stream),
            },
            EdgeNews::MessagesDelivered { session, through } => {
                self.sessions.delivered(&session, through);
            }
            EdgeNews::RequestCancelled { session, request } => {
                if let Ok(request) = serde_json::from_str(&request) {
                    self.calls.running.cancel(&session, &request);
                }
            }
            EdgeNews::TaskChanged { owner, task } => self.tasks.take(owner, task),
            EdgeNews::ListsChanged(lists) => self.hub.lists_changed(lists),
        }
    }

    /// Messages may have been lost.
    pub(crate) fn gap(&self) {
        self.calls.mail.wake_all();
        self.hub.read_all_mail();
        self.tasks.gap();
        self.look(ChangedSession::Any);
    }

    fn look(&self, changed: ChangedSession) {
        // A full queue means that the watcher is behind; its regular round looks at everything anyway.
        if self.changed.try_send(changed).is_err() {
            warn!("session changes come faster than they are looked at");
        }
    }
}

/// Looks at changed sessions, and at all with a stream here every now and then: keeps them alive, and
/// ends the streams of those that are gone. Runs until `stop`.
pub(crate) async fn watch_sessions(
    sessions: Arc<Sessions>,
    hub: Arc<Hub>,
    ChangedSessions(mut changes): ChangedSessions,
    stop: CancellationToken,
) {
    let mut rounds = tokio::time::interval(sessions.round());
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let endless = async {
        loop {
            tokio::select! {
                changed = changes.recv() => match changed {
                    Some(ChangedSession::One(id)) => look(&sessions, &hub, &id).await,
                    Some(ChangedSession::Any) => look_at_all(&sessions, &hub).await,
                    None => return,
                },
                _ = rounds.tick() => look_at_all(&sessions, &hub).await,
            }
        }
    };
    stop.run_until_cancelled(endless).await;
}

/// Makes every stream that carries answers look for them once per [`ANSWER_LOOK`], which bounds what a
/// lost hint costs; spread over slices, so that the store does not get all reads at once. Runs until
/// `stop`.
pub(crate) async fn look_for_answers(hub: Arc<Hub>, stop: CancellationToken) {
    let slices = u32::try_from(ANSWER_SLICES).expect("a small constant");
    let mut ticks = tokio::time::interval(ANSWER_LOOK / slices);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let endless = async {
        for slice in (0..ANSWER_SLICES).cycle() {
            ticks.tick().await;
            hub.look_for_answers(slice, ANSWER_SLICES);
        }
    };
    stop.run_until_cancelled(endless).await;
}

/// Many side by side: one after the other, a round of all could take longer than their idle time.
async fn look_at_all(sessions: &Sessions, hub: &Hub) {
    let all = stream::iter(hub.sessions().into_iter().map(Ok));
    let looking = all.try_for_each_concurrent(SESSION_LOOKS, |id| async move {
        match sessions.keep_alive(&id).await {
            Ok(found) => tell(hub, &id, found),
            Err(error) if error.class().is_retryable() => return Err(error),
            Err(error) => debug!(%error, session = %id, "a session cannot be looked at"),
        }
        Ok(())
    });
    // The store is away: streams stay open, the next round tries again.
    if let Err(error) = looking.await {
        debug!(%error, "sessions cannot be looked at now");
    }
}

async fn look(sessions: &Sessions, hub: &Hub, id: &SessionId) {
    if !hub.has_session(id) {
        return;
    }
    match sessions.peek(id).await {
        Ok(found) => tell(hub, id, found),
        Err(error) => debug!(%error, "a session cannot be looked at now"),
    }
}

/// Gives the session's stream its present interest; ends it if the session is gone.
fn tell(hub: &Hub, id: &SessionId, found: Option<Versioned>) {
    match found {
        Some(Versioned { session, revision }) => hub.session_changed(&session, revision.0),
        None => hub.end_session(id),
    }
}
