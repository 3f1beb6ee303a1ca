//! What other edges say about sessions whose stream is here.

use std::sync::Arc;

use futures_util::{TryStreamExt, stream};
use model::{Classified, SessionId};
use ports::{BusMessage, Versioned};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Sessions;
use crate::{
    calls::Calls,
    fanout::{format::Ending, hub::Hub, inbox::MailStream, interest::Interest},
    limits::{ANSWER_LOOK, ANSWER_SLICES, SESSION_CHANGES, SESSION_LOOKS},
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
            BusMessage::MailboxChanged { session, stream } => match MailStream::named(&stream) {
                Some(mail) => {
                    if let Some(stream) = self.hub.streams.of_session(&session) {
                        stream.mail_came(mail);
                    }
                }
                None => self.calls.mail.wake(&session, &stream),
            },
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
                stream.mail_came(MailStream::Inbox);
                stream.mail_came(MailStream::Answers);
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
    stop: CancellationToken,
) {
    let mut rounds = tokio::time::interval(sessions.round());
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
            hub.streams.look_for_answers(slice, ANSWER_SLICES);
        }
    };
    stop.run_until_cancelled(endless).await;
}

/// Many side by side: one after the other, a round of all could take longer than their idle time.
async fn look_at_all(sessions: &Sessions, hub: &Hub) {
    let all = stream::iter(hub.streams.sessions().into_iter().map(Ok));
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
    if hub.streams.of_session(id).is_none() {
        return;
    }
    match sessions.peek(id).await {
        Ok(found) => tell(hub, id, found),
        Err(error) => debug!(%error, "a session cannot be looked at now"),
    }
}

/// Gives the session's stream its present interest; ends it if the session is gone.
fn tell(hub: &Hub, id: &SessionId, found: Option<Versioned>) {
    let Some(stream) = hub.streams.of_session(id) else {
        return;
    };
    match found {
        Some(Versioned { session, revision }) => {
            stream.set_interest(Interest::of_session(&session, revision.0, hub.epoch()));
        }
        None => stream.end(Ending::SessionEnded),
    }
}
