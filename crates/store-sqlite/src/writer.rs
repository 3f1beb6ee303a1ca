//! Writing: one thread that commits many jobs together.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{oneshot, watch};

use crate::{
    SqliteCallError,
    backlog::{Backlog, BacklogRefusal, Lane},
    files::{DatabaseFailure, DatabaseFiles},
    gather::Gatherer,
    job::{Job, JobWork, Once, QueueReservation, Repeatable, TypedJob},
};

/// Maximum bytes of waiting jobs, so that a queue of large ones is refused early as well.
const MAX_QUEUED_BYTES: usize = 128 << 20;
/// The part of them beyond which only entries of the log are taken.
const MAX_QUEUED_STATE_BYTES: usize = MAX_QUEUED_BYTES / 4 * 3;
/// The write-ahead log is copied into the database after this number of commits …
const CHECKPOINT_COMMITS: usize = 128;
/// … or this number of bytes of events.
const CHECKPOINT_BYTES: usize = 8 << 20;
/// Time for the writes of clients in one commit while entries of the log wait for the next one.
const STATE_WORK: Duration = Duration::from_millis(1);

/// Sends writes to the writer's thread. When it is dropped, the thread finishes the queued jobs and
/// ends.
pub(crate) struct Writer {
    jobs: Arc<Backlog<Box<dyn Job>>>,
    /// Whether [`Self::close`] was called.
    is_closed: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
    queued_bytes: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    files: Arc<DatabaseFiles>,
    /// Closed when the thread has ended, for whatever reason.
    running: watch::Receiver<()>,
}

impl Writer {
    /// Starts the thread. It holds `lock`, which keeps other processes out, until it ends.
    pub(crate) fn start(
        connection: Connection,
        lock: File,
        files: Arc<DatabaseFiles>,
    ) -> std::io::Result<Self> {
        let jobs = Arc::new(Backlog::default());
        let stopped = Arc::new(AtomicBool::new(false));
        let (alive, running) = watch::channel(());
        let mut thread = WriterThread {
            connection,
            queue: OpenBacklog(Arc::clone(&jobs)),
            gatherer: Gatherer::default(),
            stopped: Arc::clone(&stopped),
            files: Arc::clone(&files),
            commits: 0,
            bytes: 0,
            _lock: lock,
            _alive: alive,
        };
        let thread = thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || thread.run())?;
        Ok(Self {
            jobs,
            is_closed: AtomicBool::new(false),
            thread: Mutex::new(Some(thread)),
            queued_bytes: Arc::default(),
            stopped,
            files,
            running,
        })
    }

    /// Runs `write`; returns after the commit that contains it. On an error other than
    /// [`SqliteCallError::TimedOut`], [`SqliteCallError::Closed`] and [`SqliteCallError::Stopped`]
    /// the write was not stored.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        deadline: Duration,
        bytes: usize,
        write: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SqliteCallError> {
        self.queue(lane, deadline, bytes, Once(Some(write))).await
    }

    /// As [`Self::run`], for entries of the log. Those of one commit are written together; `write` is called again if
    /// one of them fails.
    pub(crate) async fn append<T: Send + 'static>(
        &self,
        deadline: Duration,
        bytes: usize,
        write: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SqliteCallError> {
        let write = Repeatable(write);
        self.queue(Lane::Log, deadline, bytes, write).await
    }

    async fn queue<T: Send + 'static>(
        &self,
        lane: Lane,
        deadline: Duration,
        bytes: usize,
        work: impl JobWork<T> + 'static,
    ) -> Result<T, SqliteCallError> {
        let reservation = self.reserve(lane, bytes)?;
        let (caller, answer) = oneshot::channel();
        let job = Box::new(TypedJob::new(work, caller, reservation));
        self.jobs.push(lane, job).map_err(|refused| match refused {
            BacklogRefusal::Full => SqliteCallError::QueueFull,
            BacklogRefusal::Closed if self.is_closed() => SqliteCallError::Closed,
            BacklogRefusal::Closed => SqliteCallError::Stopped,
        })?;
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(SqliteCallError::Stopped),
            Err(_) => Err(SqliteCallError::TimedOut(deadline.as_millis())),
        }
    }

    /// Checks that writes are accepted.
    pub(crate) fn check(&self) -> Result<(), SqliteCallError> {
        if let Some(failure) = self.files.failure() {
            return Err(SqliteCallError::Lost(failure));
        }
        if self.is_closed() {
            return Err(SqliteCallError::Closed);
        }
        match self.jobs.is_closed() || self.stopped.load(Ordering::Relaxed) {
            true => Err(SqliteCallError::Stopped),
            false => Ok(()),
        }
    }

    /// Resolves when the thread has ended although [`Self::close`] was not called: after a commit that
    /// failed, or a panic.
    pub(crate) async fn failed(&self) {
        let mut running = self.running.clone();
        while running.changed().await.is_ok() {}
        if self.is_closed() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether [`Self::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Refuses new jobs; returns the thread, which ends after writing the queued jobs.
    pub(crate) fn close(&self) -> Option<JoinHandle<()>> {
        self.is_closed.store(true, Ordering::Relaxed);
        self.jobs.close();
        self.thread.lock().take()
    }

    fn reserve(&self, lane: Lane, bytes: usize) -> Result<QueueReservation, SqliteCallError> {
        let max_bytes = match lane {
            Lane::Log => MAX_QUEUED_BYTES,
            Lane::State => MAX_QUEUED_STATE_BYTES,
        };
        // An empty queue accepts any single job, however large: its size was bounded where the data
        // was accepted.
        let add = |queued: usize| {
            let sum = queued.saturating_add(bytes);
            (queued == 0 || sum <= max_bytes).then_some(sum)
        };
        let (order, queued) = (Ordering::Relaxed, &self.queued_bytes);
        queued
            .fetch_update(order, order, add)
            .map_err(|_| SqliteCallError::QueueFull)?;
        let queued = Arc::clone(queued);
        Ok(QueueReservation { queued, bytes })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

/// The end of the queue at which jobs are taken. When the thread ends, for whatever reason, those that wait are
/// dropped, and their callers learn that it has stopped.
struct OpenBacklog(Arc<Backlog<Box<dyn Job>>>);

impl Drop for OpenBacklog {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

struct WriterThread {
    connection: Connection,
    queue: OpenBacklog,
    gatherer: Gatherer,
    stopped: Arc<AtomicBool>,
    files: Arc<DatabaseFiles>,
    /// Commits since the last checkpoint.
    commits: usize,
    bytes: usize,
    _lock: File,
    _alive: watch::Sender<()>,
}

/// The failure of a transaction that was not committed.
struct TransactionFailure {
    error: rusqlite::Error,
    /// The file cannot be trusted to store the next commit.
    fatal: bool,
}

impl WriterThread {
    fn run(&mut self) {
        while self.queue.0.wait() {
            let jobs = self.gatherer.gather(&self.queue.0, thread::sleep);
            let began = Instant::now();
            // Jobs whose callers gave up before the work began write nothing.
            let jobs = jobs.into_iter().filter(|(_, job)| !job.is_abandoned());
            let mut jobs: Vec<_> = jobs.collect();
            // A commit behind the end of a write-ahead log that was cut would hide the cut.
            let before = self.files.check();
            let outcome = if jobs.is_empty() || before.is_err() {
                Ok(())
            } else {
                self.transaction(&mut jobs)
            };
            let jobs: Vec<_> = jobs.into_iter().map(|(_, job)| job).collect();
            let checked = before.and_then(|()| self.files.check_after_commit());
            if let Err(failure) = checked {
                for job in jobs {
                    job.answer(Err(SqliteCallError::Lost(failure)));
                }
                self.stopped.store(true, Ordering::Relaxed);
                tracing::error!("the SQLite writer stops: the database {failure}");
                self.refuse_all(failure);
                break;
            }
            self.gatherer.committed(jobs.len(), began.elapsed());
            let bytes: usize = jobs.iter().map(|job| job.bytes()).sum();
            let fatal = answer(jobs, outcome);
            if fatal || !self.checkpoint(bytes) {
                self.stopped.store(true, Ordering::Relaxed);
                tracing::error!("the SQLite writer stops: a commit may not have reached the disk");
                return;
            }
        }
        if let Err(error) = self.files.finish(&self.connection) {
            tracing::warn!(%error, "the last SQLite checkpoint failed; the next start repeats it");
        }
    }

    /// Writes nothing more, and waits for the end: only then the readers are closed, and the write-ahead log
    /// can be copied as a whole.
    fn refuse_all(&mut self, failure: DatabaseFailure) {
        while self.queue.0.wait() {
            for (_, job) in self.queue.0.take(1) {
                job.answer(Err(SqliteCallError::Lost(failure)));
            }
        }
    }

    /// Performs the jobs in one transaction. Those that are left for the next one, because entries of the log wait,
    /// are taken out of `jobs`.
    fn transaction(&self, jobs: &mut Vec<(Lane, Box<dyn Job>)>) -> Result<(), TransactionFailure> {
        let run = |sql: &str| self.connection.prepare_cached(sql)?.execute([]).map(|_| ());
        let harmless = |error| TransactionFailure {
            error,
            fatal: false,
        };
        run("BEGIN IMMEDIATE").map_err(harmless)?;
        let began = Instant::now();
        let mut done = 0;
        let mut work = || {
            done = self.append_all(jobs)?;
            for (lane, job) in &mut jobs[done..] {
                let is_late = *lane == Lane::State && done > 0 && began.elapsed() > STATE_WORK;
                if is_late && self.queue.0.has_log() {
                    break;
                }
                done += 1;
                run("SAVEPOINT job")?;
                if !job.work(&self.connection) {
                    // After an I/O error SQLite may already have rolled back everything: then this
                    // statement fails, and the whole transaction with it.
                    run("ROLLBACK TO job")?;
                }
                run("RELEASE job")?;
            }
            Ok(())
        };
        let worked = work();
        if worked.is_ok() {
            let left = jobs.split_off(done);
            self.queue.0.put_back(left.into_iter().map(|(_, job)| job));
        }
        let committed = worked.map_err(harmless).and_then(|()| {
            run("COMMIT").map_err(|error| {
                // A full disk refuses the commit before any of it takes effect. Any other failure,
                // above all a failed fsync, leaves the contents of the disk unknown: a later commit
                // could report success wrongly.
                let fatal = error.sqlite_error_code() != Some(ErrorCode::DiskFull);
                TransactionFailure { error, fatal }
            })
        });
        if committed.is_err() && !self.connection.is_autocommit() {
            run("ROLLBACK").map_err(|error| TransactionFailure { error, fatal: true })?;
        }
        committed
    }

    /// Writes the entries of the log, which come first, without savepoints: a savepoint costs a copy of each page that
    /// is written in it. Returns the number of jobs that are done: none if one of them failed. Then all are rolled
    /// back, and each is done again by itself, so that one takes no other along.
    fn append_all(&self, jobs: &mut [(Lane, Box<dyn Job>)]) -> rusqlite::Result<usize> {
        let can_repeat = |(_, job): &&(Lane, Box<dyn Job>)| job.can_repeat();
        let appends = jobs.iter().take_while(can_repeat).count();
        let mut all = jobs[..appends].iter_mut();
        if all.all(|(_, job)| job.work(&self.connection)) {
            return Ok(appends);
        }
        // After an I/O error SQLite may already have rolled back everything.
        if !self.connection.is_autocommit() {
            self.connection.prepare_cached("ROLLBACK")?.execute([])?;
        }
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])?;
        Ok(0)
    }

    /// Copies the write-ahead log into the database from time to time; returns false if the disk
    /// failed.
    fn checkpoint(&mut self, bytes: usize) -> bool {
        (self.commits, self.bytes) = (self.commits + 1, self.bytes.saturating_add(bytes));
        if self.commits < CHECKPOINT_COMMITS && self.bytes < CHECKPOINT_BYTES {
            return true;
        }
        (self.commits, self.bytes) = (0, 0);
        match self.files.checkpoint(&self.connection, "PASSIVE") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => {
                tracing::error!(%error, "a SQLite checkpoint failed");
                false
            }
            Err(error) => {
                tracing::warn!(%error, "a SQLite checkpoint was postponed");
                true
            }
            Ok(()) => true,
        }
    }
}

/// Answers all callers; returns true if the writer has to stop.
fn answer(jobs: Vec<Box<dyn Job>>, outcome: Result<(), TransactionFailure>) -> bool {
    let (error, fatal) = match outcome {
        Ok(()) => (None, false),
        Err(TransactionFailure { error, fatal }) => {
            tracing::error!(%error, fatal, "a SQLite transaction was not committed");
            (Some(Arc::new(error)), fatal)
        }
    };
    for job in jobs {
        job.answer(match &error {
            None => Ok(()),
            Some(error) => Err(SqliteCallError::Commit(Arc::clone(error))),
        });
    }
    fatal
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
