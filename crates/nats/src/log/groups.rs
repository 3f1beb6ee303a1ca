//! Appends of different callers, stored together.
//!
//! While a batch is stored, further appends wait and make up the next one, as commits of a database do.

use std::{collections::HashSet, mem, sync::Arc};

use model::error_chain;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    AttemptError,
    append::{PART_BYTES, PART_EVENTS},
    connections::{LogConnection, changed},
    pace::StoringPace,
    publish::{OutgoingMessage, StoredSequences},
};
use crate::BatchUse;

/// Maximum number of appends that wait for their batch; further ones wait for room.
const WAITING_APPENDS: usize = 4096;
/// Hands appends to the task that stores them together; the task ends with the last clone.
#[derive(Clone)]
pub(super) struct AppendGroups {
    pub(super) pace: Arc<StoringPace>,
    waiting: mpsc::Sender<WaitingAppend>,
    _task: Arc<AbortOnDropHandle<()>>,
}

/// A part of an append, and its caller.
struct WaitingAppend {
    messages: Vec<OutgoingMessage>,
    caller: oneshot::Sender<Result<StoredSequences, AttemptError>>,
}

impl WaitingAppend {
    fn bytes(&self) -> usize {
        self.messages.iter().map(OutgoingMessage::bytes).sum()
    }
}

impl AppendGroups {
    pub(super) fn new(connection: LogConnection, batches: BatchUse) -> Self {
        let (waiting, appends) = mpsc::channel(WAITING_APPENDS);
        let pace = Arc::new(StoringPace::new(batches));
        let task = GroupTask {
            connection,
            pace: Arc::clone(&pace),
            appends,
            next: None,
        };
        let task = tokio::spawn(task.run());
        Self {
            pace,
            waiting,
            _task: Arc::new(AbortOnDropHandle::new(task)),
        }
    }

    /// Stores the messages with those of other callers. A caller that leaves before the group is sent takes its
    /// messages along.
    pub(super) async fn publish(
        &self,
        messages: Vec<OutgoingMessage>,
    ) -> Result<StoredSequences, AttemptError> {
        let (caller, answer) = oneshot::channel();
        let append = WaitingAppend { messages, caller };
        let sent = self.waiting.send(append).await;
        sent.map_err(|_| "the task that stores appends has ended")?;
        answer.await?
    }
}

struct GroupTask {
    connection: LogConnection,
    pace: Arc<StoringPace>,
    appends: mpsc::Receiver<WaitingAppend>,
    /// Did not fit into the last group.
    next: Option<WaitingAppend>,
}

impl GroupTask {
    async fn run(mut self) {
        let mut resyncs = self.connection.connection.resyncs();
        loop {
            let first = match self.next.take() {
                Some(next) => Some(next),
                None => self.appends.recv().await,
            };
            let Some(first) = first else { return };
            if resyncs.has_changed().unwrap_or_default() {
                resyncs.mark_unchanged();
                self.pace.forget();
            }
            let mut group = self.group(first);
            group.retain(|append| !append.caller.is_closed());
            self.store(group).await;
        }
    }

    /// The appends that wait, as far as they fit into one batch: a subject may be in it once.
    fn group(&mut self, first: WaitingAppend) -> Vec<WaitingAppend> {
        let (mut group, mut subjects) = (Vec::new(), HashSet::new());
        let (mut messages, mut bytes) = (0, 0);
        let mut next = Some(first);
        while let Some(append) = next.take() {
            messages += append.messages.len();
            bytes += append.bytes();
            let repeats = |message: &OutgoingMessage| subjects.contains(&message.subject);
            let is_too_much = messages > PART_EVENTS || bytes > PART_BYTES;
            if !group.is_empty() && (is_too_much || append.messages.iter().any(repeats)) {
                self.next = Some(append);
                break;
            }
            let own = append.messages.iter();
            subjects.extend(own.map(|message| message.subject.clone()));
            group.push(append);
            next = self.appends.try_recv().ok();
        }
        group
    }

    async fn store(&self, mut group: Vec<WaitingAppend>) {
        let lengths: Vec<_> = group.iter().map(|append| append.messages.len()).collect();
        let mut messages = Vec::with_capacity(lengths.iter().sum());
        for append in &mut group {
            messages.append(&mut mem::take(&mut append.messages));
        }
        let mut resyncs = self.connection.connection.resyncs();
        let outcome = tokio::select! {
            outcome = self.store_messages(&messages) => outcome,
            // The answer to what was sent before does not arrive.
            () = changed(&mut resyncs) => Err("the connection was lost".into()),
        };
        let outcome = outcome.map_err(|error| Arc::<str>::from(text(error)));
        let mut from = 0;
        for (append, length) in group.into_iter().zip(lengths) {
            let own = from..from + length;
            from = own.end;
            let answer = match &outcome {
                Ok(stored) => Ok(stored[own].to_vec()),
                Err(text) => Err(AttemptError::from(&**text)),
            };
            // The caller may have left.
            let _ = append.caller.send(answer);
        }
    }

    async fn store_messages(
        &self,
        messages: &[OutgoingMessage],
    ) -> Result<StoredSequences, AttemptError> {
        if messages.len() >= self.pace.least_messages() {
            let began = Instant::now();
            let stored = self.connection.publish_batch(messages).await?;
            let count = stored.as_ref().map_or(0, Vec::len);
            self.pace.stored_batch(count, began.elapsed());
            if let Some(stored) = stored {
                return Ok(stored);
            }
            // Most often an event that the log has already.
        }
        self.connection.publish_each(messages.iter()).await
    }
}

fn text(error: AttemptError) -> String {
    match error {
        AttemptError::Retryable(error) => error_chain(&*error),
        AttemptError::Final(error) => error_chain(&error),
    }
}
