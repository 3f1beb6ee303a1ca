//! What other edges say about sessions whose stream is here.

use std::{sync::Arc, time::Duration};

use model::SessionId;
use ports::BusMessage;
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Sessions;
use crate::{
    calls::Calls,
    fanout::{format::Ending, hub::Hub, inbox::inbox, interest::Interest},
    limits::{SESSION_CHANGES, SESSION_CHECK},
    tasks::TaskNews,
};

/// Where the follower puts what it hears. Never blocks.
#[derive(Debug, Clone)]
pub(crate) struct SessionNews {
    sessions: Arc<Sessions>,
    hub: Arc<Hub>,
    calls: Arc<Calls>,
    tasks: TaskNews,
    changed: mpsc::Sender<Changed>,
}

#[derive(Debug)]
enum Changed {
    One(SessionId),
    /// Something was missed: look at all.
    Any,
}

/// The receiving end, for [`watch`].
#[derive(Debug)]
pub(crate) struct Changes(mpsc::Receiver<Changed>);

impl SessionNews {
    pub(crate) fn new(
        sessions: Arc<Sessions>,
        hub: Arc<Hub>,
        calls: Arc<Calls>,
        tasks: TaskNews,
    ) -> (Self, Changes) {
        let (changed, changes) = mpsc::channel(SESSION_CHANGES);
        let news = Self {
            sessions,
            hub,
            calls,
            tasks,
            changed,
        };
        (news, Changes(changes))
    }

    pub(crate) fn take(&self, message: BusMessage) {
        match message {
            BusMessage::SessionEnded(id) => {
                self.calls.running.cancel_all(&id);
                if let Some(stream) = self.hub.streams.of_session(&id) {
                    stream.end(Ending::SessionEnded);
                }
            }
            BusMessage::StreamTakenOver { session, stays } => {
                if let Some(stream) = self.hub.streams.of_session(&session)
                    && stream.session.as_ref().is_some_and(|(_, tag)| *tag < stays)
                {
                    stream.end(Ending::TakenOver);
                }
            }
            BusMessage::SessionChanged(id) => {
                if self.hub.streams.of_session(&id).is_some() {
                    self.look(Changed::One(id));
                }
            }
            BusMessage::MailboxChanged { session, stream } => {
                if stream == inbox() {
                    if let Some(stream) = self.hub.streams.of_session(&session) {
                        stream.mail_came();
                    }
                } else {
                    self.calls.mail.wake(&session, &stream);
                }
            }
            BusMessage::MessagesDelivered { session, through } => {
                self.sessions.inboxes.delivered(&session, through);
            }
            BusMessage::RequestCancelled { session, request } => {
                if let Ok(request) = serde_json::from_str(&request) {
                    self.calls.running.cancel(&session, &request);
                }
            }
            BusMessage::TaskChanged { owner, task } => self.tasks.take(owner, task),
            BusMessage::ListsChanged(lists) => self.hub.lists_changed(lists),
            BusMessage::Events(_) => {}
        }
    }

    /// Messages may have been lost.
    pub(crate) fn gap(&self) {
        self.calls.mail.wake_all();
        for session in self.hub.streams.sessions() {
            if let Some(stream) = self.hub.streams.of_session(&session) {
                stream.mail_came();
            }
        }
        self.tasks.gap();
        self.look(Changed::Any);
    }

    fn look(&self, changed: Changed) {
        // A full queue means that the watcher is behind; its regular round looks at everything anyway.
        if self.changed.try_send(changed).is_err() {
            warn!("session changes come faster than they are looked at");
        }
    }
}

/// Looks at changed sessions, and at all with a stream here every now and then: keeps them alive, and
/// ends the streams of those that are gone. Runs until `stop`.
pub(crate) async fn watch(
    sessions: Arc<Sessions>,
    hub: Arc<Hub>,
    Changes(mut changes): Changes,
    idle: Duration,
    stop: CancellationToken,
) {
    let mut rounds = tokio::time::interval(SESSION_CHECK.min(idle / 4));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let endless = async {
        loop {
            tokio::select! {
                changed = changes.recv() => match changed {
                    Some(Changed::One(id)) => look(&sessions, &hub, &id).await,
                    Some(Changed::Any) => look_at_all(&sessions, &hub).await,
                    None => return,
                },
                _ = rounds.tick() => look_at_all(&sessions, &hub).await,
            }
        }
    };
    stop.run_until_cancelled(endless).await;
}

async fn look_at_all(sessions: &Sessions, hub: &Hub) {
    for id in hub.streams.sessions() {
        match sessions.keep_alive(&id).await {
            Ok(_) => look(sessions, hub, &id).await,
            // The store is away: streams stay open, the next round tries again.
            Err(error) => {
                debug!(%error, "sessions cannot be looked at now");
                return;
            }
        }
    }
}

/// Gives the session's stream its present interest; ends it if the session is gone.
async fn look(sessions: &Sessions, hub: &Hub, id: &SessionId) {
    let Some(stream) = hub.streams.of_session(id) else {
        return;
    };
    match sessions.peek(id).await {
        Ok(Some(now)) => {
            stream.set_interest(Interest::of_session(
                &now.session,
                now.revision.0,
                hub.epoch(),
            ));
        }
        Ok(None) => stream.end(Ending::SessionEnded),
        Err(error) => debug!(%error, "a session cannot be looked at now"),
    }
}
