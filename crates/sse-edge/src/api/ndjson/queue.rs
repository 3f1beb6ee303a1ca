//! The lines that wait for the client of an NDJSON connection, bounded in number and in bytes: of a connection,
//! and of all together.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{
    answer_budget::AnswerBytes,
    limits::{LINE_QUEUE_BYTES, LINES_QUEUED},
    shared_bytes::HeldBytes,
};

/// Adds lines; clones would share the bounds.
pub(super) struct LineSender {
    lines: mpsc::Sender<QueuedLine>,
    room: Arc<Semaphore>,
    waiting: Arc<Mutex<WaitingBytes>>,
}

/// The bytes of the lines of one connection that wait, in the budget of all connections.
struct WaitingBytes {
    held: HeldBytes,
    bytes: usize,
}

/// The part of one line in it, given back when it is dropped.
struct LineBytes {
    waiting: Arc<Mutex<WaitingBytes>>,
    bytes: usize,
}

impl LineBytes {
    fn take(waiting: &Arc<Mutex<WaitingBytes>>, bytes: usize) -> Option<Self> {
        let mut all = waiting.lock();
        let together = all.bytes + bytes;
        if !all.held.grow(together) {
            return None;
        }
        all.bytes = together;
        Some(Self {
            waiting: Arc::clone(waiting),
            bytes,
        })
    }
}

impl Drop for LineBytes {
    fn drop(&mut self) {
        let mut all = self.waiting.lock();
        all.bytes -= self.bytes;
        let left = all.bytes;
        all.held.shrink(left);
    }
}

/// A line, or its rest, and its part of the queue's bytes.
pub(super) struct QueuedLine {
    line: AnswerBytes,
    _room: OwnedSemaphorePermit,
    _bytes: Option<LineBytes>,
}

/// There is no room for a line in the budget of all connections.
#[derive(Debug)]
pub(super) struct NoLineRoom;

/// A queue that is empty; `held` is what the connection has of the budget of all.
pub(super) fn line_queue(held: HeldBytes) -> (LineSender, mpsc::Receiver<QueuedLine>) {
    let (lines, queue) = mpsc::channel(LINES_QUEUED);
    let room = Arc::new(Semaphore::new(LINE_QUEUE_BYTES));
    let waiting = Arc::new(Mutex::new(WaitingBytes { held, bytes: 0 }));
    let sender = LineSender {
        lines,
        room,
        waiting,
    };
    (sender, queue)
}

impl LineSender {
    /// Waits while the client does not read; once the client has gone, the line is dropped. From here on it
    /// counts in the budget of all connections, unless it has a permit of its own.
    ///
    /// # Errors
    /// There is no room in that budget.
    pub(super) async fn send(&self, line: AnswerBytes) -> Result<(), NoLineRoom> {
        let bytes = match line.has_permit() {
            true => None,
            false => Some(LineBytes::take(&self.waiting, line.len()).ok_or(NoLineRoom)?),
        };
        self.enqueue(line, bytes).await;
        Ok(())
    }

    /// As [`Self::send`] for a line of some hundred bytes, such as an error in place of an answer.
    pub(super) async fn send_notice(&self, line: AnswerBytes) {
        self.enqueue(line, None).await;
    }

    async fn enqueue(&self, line: AnswerBytes, counted: Option<LineBytes>) {
        let bytes = line.len().min(LINE_QUEUE_BYTES);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes);
        if let Ok(room) = room.await {
            let line = QueuedLine {
                line,
                _room: room,
                _bytes: counted,
            };
            let _ = self.lines.send(line).await;
        }
    }

    /// Waits until the client has gone.
    pub(super) async fn closed(&self) {
        self.lines.closed().await;
    }
}

impl QueuedLine {
    /// The next part for the connection; empty once it has all.
    pub(super) fn next_part(&mut self) -> Bytes {
        self.line.next_part()
    }
}

#[cfg(test)]
mod tests {
    use model::PrincipalId;

    use super::*;
    use crate::{
        limits::{LINE_BYTES, LINE_CONNECTIONS, LINE_FREE_BYTES, SMALL_ANSWER_BYTES},
        shared_bytes::SharedBytes,
    };

    /// Every connection of a principal, with as many lines as may wait for a client that does not read.
    #[tokio::test]
    async fn lines_that_nobody_reads_have_one_budget_and_others_have_room() {
        let all = SharedBytes::new(LINE_BYTES, LINE_FREE_BYTES);
        let principal = |name: &str| PrincipalId::new(name).unwrap();
        let line = || AnswerBytes::from(Bytes::from(vec![b'x'; SMALL_ANSWER_BYTES]));
        let (mut queues, mut waiting) = (Vec::new(), 0);
        let mut refused = 0;
        for _ in 0..LINE_CONNECTIONS {
            let (sender, queue) = line_queue(all.hold(&principal("greedy")));
            for _ in 1..LINE_QUEUE_BYTES / SMALL_ANSWER_BYTES {
                match sender.send(line()).await {
                    Ok(()) => waiting += SMALL_ANSWER_BYTES,
                    Err(NoLineRoom) => refused += 1,
                }
            }
            // The error in its place always has room.
            sender.send_notice(Bytes::from_static(b"{}\n").into()).await;
            queues.push((sender, queue));
        }
        assert!(refused > 0);
        assert!(
            waiting <= LINE_BYTES + LINE_CONNECTIONS * LINE_FREE_BYTES,
            "{waiting}"
        );
        let (other, mut queue) = line_queue(all.hold(&principal("other")));
        for _ in 0..4 {
            other.send(line()).await.unwrap();
        }
        // What is read makes room.
        drop(queues);
        let (again, _queue) = line_queue(all.hold(&principal("greedy")));
        for _ in 0..4 {
            again.send(line()).await.unwrap();
        }
        assert!(queue.recv().await.is_some());
    }
}
