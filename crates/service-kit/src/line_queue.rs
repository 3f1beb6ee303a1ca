//! Lines for a pipe or a terminal, written by a thread of their own.
//!
//! A pipe whose reader has stopped blocks the thread that writes to it. Here that is one thread with
//! nothing else to do: the others put their lines into a bounded queue and never wait. At the bound
//! lines are dropped and counted, and once the reader goes on a line says how many are missing.

use std::{
    fmt,
    io::{self, Write},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::counter::Counter;

/// Bytes of lines that wait for a slow reader; the batch that is being written may hold as many
/// again. Some thousands of log lines, which is more than a reader misses while it restarts.
pub const QUEUE_BYTES: usize = 1 << 20;
/// Pause before writing again to a pipe that is full and does not block.
const FULL_PIPE_PAUSE: Duration = Duration::from_millis(10);

/// A queue of lines in front of a pipe or a terminal. Clones share it; when the last one is dropped,
/// its thread writes the rest and ends.
#[derive(Clone)]
pub struct LineQueue(Arc<Handle>);

struct Handle(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Something is to be written, or the queue was closed.
    filled: Condvar,
    /// Everything has been written.
    written: Condvar,
    /// Lines dropped since the start.
    dropped_lines: Counter,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    /// Lines dropped since the batch that is being written was taken.
    dropped: u64,
    writing: bool,
    closed: bool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.state.lock().closed = true;
        self.0.filled.notify_one();
    }
}

impl LineQueue {
    /// Starts the thread `name`, which writes to `out`. `report` is the line that says how many lines
    /// are missing, without its line break.
    ///
    /// # Errors
    /// The system has no further thread.
    pub fn start(
        name: &str,
        out: impl Write + Send + 'static,
        report: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
            dropped_lines: Counter::default(),
        });
        let writer = Arc::clone(&shared);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || writer.write_to(out, report))?;
        Ok(Self(Arc::new(Handle(shared))))
    }

    /// Queues a line, with its line break; returns at once. At the bound the line is dropped.
    pub fn push(&self, line: &[u8]) {
        let shared = self.shared();
        let mut state = shared.state.lock();
        // After the first dropped line all are, so that the report stands where the gap is.
        let is_full = state.pending.len() + line.len() > QUEUE_BYTES && !state.pending.is_empty();
        if state.dropped > 0 || is_full {
            state.dropped += 1;
            shared.dropped_lines.inc();
            return;
        }
        state.pending.extend_from_slice(line);
        drop(state);
        shared.filled.notify_one();
    }

    /// Lines dropped since the start.
    #[must_use]
    pub fn dropped_lines(&self) -> Counter {
        self.shared().dropped_lines.clone()
    }

    /// Waits until all lines are written, for up to `timeout`; returns at once while lines are being
    /// dropped, because then the reader has stopped.
    pub fn flush(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let shared = self.shared();
        let mut state = shared.state.lock();
        while (state.writing || !state.pending.is_empty()) && state.dropped == 0 {
            if shared.written.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
    }

    fn shared(&self) -> &Shared {
        &self.0.0
    }
}

impl fmt::Debug for LineQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineQueue")
            .field("dropped_lines", &self.dropped_lines().get())
            .finish_non_exhaustive()
    }
}

/// For the writer of a subscriber, which hands over one whole line per call.
impl Write for LineQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn write_to(&self, mut out: impl Write, report: impl Fn(u64) -> String) {
        let mut batch = Vec::new();
        while self.take(&mut batch, &report) {
            // A reader that has closed the pipe is not an error: the lines go nowhere.
            let _ = write_all(&mut out, &batch);
        }
    }

    /// Takes everything that waits into `batch`; false at the end.
    fn take(&self, batch: &mut Vec<u8>, report: &impl Fn(u64) -> String) -> bool {
        batch.clear();
        let mut state = self.state.lock();
        state.writing = false;
        while state.pending.is_empty() {
            self.written.notify_all();
            if state.closed {
                return false;
            }
            self.filled.wait(&mut state);
        }
        std::mem::swap(&mut state.pending, batch);
        state.writing = true;
        let dropped = std::mem::take(&mut state.dropped);
        drop(state);
        if dropped > 0 {
            batch.extend_from_slice(report(dropped).as_bytes());
            batch.push(b'\n');
        }
        true
    }
}

/// As [`Write::write_all`], and patient with a pipe that another process has made non-blocking.
fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(FULL_PIPE_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(20);

    /// A pipe whose reader takes each write only when the test says so.
    struct Gate {
        open: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The test has ended: let everything pass.
            let _ = self.open.recv();
            self.written.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (LineQueue, mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (opener, open) = mpsc::channel();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let gate = Gate {
            open,
            written: Arc::clone(&written),
        };
        let report = |lines| format!("{lines} lines dropped");
        (
            LineQueue::start("test", gate, report).unwrap(),
            opener,
            written,
        )
    }

    #[test]
    fn a_stopped_reader_costs_lines_and_no_time_and_the_gap_is_named() {
        let (queue, opener, written) = gated();
        // The thread waits for the reader before the queue fills: otherwise it takes a batch in between.
        queue.push(b"first\n");
        while !queue.shared().state.lock().writing {
            thread::yield_now();
        }
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let given = 4 * QUEUE_BYTES / line.len();
        for _ in 0..given {
            queue.push(&line);
        }
        let dropped = queue.dropped_lines().get();
        assert!(dropped > 0, "the queue is bounded");
        queue.flush(LONG); // Returns at once: the reader has stopped.
        drop(opener);
        // The thread has room again once it has taken the batch; then the queue is whole again.
        while !written.lock().ends_with(b"dropped\n") {
            thread::yield_now();
        }
        queue.push(b"after\n");
        queue.flush(LONG);
        let text = String::from_utf8(written.lock().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len() as u64, given as u64 - dropped + 3);
        let tail = [format!("{dropped} lines dropped"), "after".to_owned()];
        assert_eq!(
            lines[lines.len() - 2..],
            tail,
            "after the last line before the gap"
        );
    }

    #[test]
    fn a_flush_waits_for_every_line_and_no_longer_than_it_may() {
        let (queue, opener, written) = gated();
        queue.push(b"one\n");
        queue.flush(Duration::from_millis(1));
        assert!(written.lock().is_empty(), "the reader has not begun");
        drop(opener);
        queue.push(b"two\n");
        queue.flush(LONG);
        assert_eq!(*written.lock(), b"one\ntwo\n");
        assert_eq!(queue.dropped_lines().get(), 0);
    }

    #[test]
    fn the_last_lines_are_written_after_the_queue_is_dropped() {
        let (queue, opener, written) = gated();
        queue.push(b"last\n");
        drop((queue, opener));
        while written.lock().is_empty() {
            thread::yield_now();
        }
        assert_eq!(*written.lock(), b"last\n");
    }

    #[test]
    fn a_single_line_above_the_bound_is_still_written() {
        let (queue, opener, written) = gated();
        drop(opener);
        queue.push(&vec![b'x'; QUEUE_BYTES + 1]);
        queue.flush(LONG);
        assert_eq!(written.lock().len(), QUEUE_BYTES + 1);
    }
}
