//! The jobs of the writer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::SqliteCallError;

/// A write in a shared transaction.
pub(crate) trait Job: Send {
    /// Returns whether the caller no longer waits for the answer.
    fn is_abandoned(&self) -> bool;
    /// Approximate number of bytes that the job writes.
    fn bytes(&self) -> usize;
    /// Performs the write; false means that it failed and its savepoint has to be rolled back.
    fn work(&mut self, connection: &Connection) -> bool;
    /// Whether the work can be done once more after it was rolled back.
    fn can_repeat(&self) -> bool;
    /// Answers the caller once the outcome of the transaction is known.
    fn answer(self: Box<Self>, committed: Result<(), SqliteCallError>);
}

/// Reserved space in the queue, released on drop.
pub(crate) struct QueueReservation {
    pub(crate) queued: Arc<AtomicUsize>,
    pub(crate) bytes: usize,
}

impl Drop for QueueReservation {
    fn drop(&mut self) {
        self.queued.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A job with the type of its result.
pub(crate) struct TypedJob<T, W> {
    work: W,
    result: Option<rusqlite::Result<T>>,
    caller: oneshot::Sender<Result<T, SqliteCallError>>,
    reservation: QueueReservation,
}

impl<T, W> TypedJob<T, W> {
    pub(crate) fn new(
        work: W,
        caller: oneshot::Sender<Result<T, SqliteCallError>>,
        reservation: QueueReservation,
    ) -> Self {
        Self {
            work,
            result: None,
            caller,
            reservation,
        }
    }
}

/// The work of a job; `None` if it was done before and cannot be repeated.
pub(crate) trait JobWork<T>: Send {
    const CAN_REPEAT: bool;
    fn perform(&mut self, connection: &Connection) -> Option<rusqlite::Result<T>>;
}

/// Work that is done once.
pub(crate) struct Once<F>(pub(crate) Option<F>);

impl<T, F: FnOnce(&Connection) -> rusqlite::Result<T> + Send> JobWork<T> for Once<F> {
    const CAN_REPEAT: bool = false;

    fn perform(&mut self, connection: &Connection) -> Option<rusqlite::Result<T>> {
        self.0.take().map(|write| write(connection))
    }
}

/// Work that can be repeated.
pub(crate) struct Repeatable<F>(pub(crate) F);

impl<T, F: Fn(&Connection) -> rusqlite::Result<T> + Send> JobWork<T> for Repeatable<F> {
    const CAN_REPEAT: bool = true;

    fn perform(&mut self, connection: &Connection) -> Option<rusqlite::Result<T>> {
        Some((self.0)(connection))
    }
}

impl<T: Send, W: JobWork<T>> Job for TypedJob<T, W> {
    fn is_abandoned(&self) -> bool {
        self.caller.is_closed()
    }

    fn bytes(&self) -> usize {
        self.reservation.bytes
    }

    fn work(&mut self, connection: &Connection) -> bool {
        self.result = self.work.perform(connection);
        matches!(self.result, Some(Ok(_)))
    }

    fn can_repeat(&self) -> bool {
        W::CAN_REPEAT
    }

    fn answer(self: Box<Self>, committed: Result<(), SqliteCallError>) {
        let answer = match (self.result, committed) {
            (Some(Err(error)), _) => Err(error.into()),
            (_, Err(error)) => Err(error),
            (Some(Ok(result)), Ok(())) => Ok(result),
            (None, Ok(())) => Err(SqliteCallError::Stopped),
        };
        // The send fails only if the caller dropped the call and needs no answer.
        let _ = self.caller.send(answer);
    }
}
