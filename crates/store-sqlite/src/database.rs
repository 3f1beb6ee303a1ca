//! One database file, opened once. The event log and the session store share it; the methods that
//! return them are defined beside them.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use model::Epoch;
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use crate::{
    DatabaseCloseError, DatabaseFailure, DatabaseOpenError,
    files::{DatabaseFiles, beside},
    readers::Readers,
    schema,
    trial_writes::TrialWrites,
    writer::Writer,
};

/// Maximum duration of one call, including its wait in the queue.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// Maximum duration of closing, which has to write a full queue and run the last checkpoint.
const CLOSE_DEADLINE: Duration = Duration::from_secs(30);
/// Interval at which [`Database::failed`] looks at the files while nothing is written.
const FILE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// An open database file. Clones share it.
#[derive(Clone)]
pub struct Database(pub(crate) Arc<DatabaseInner>);

pub(crate) struct DatabaseInner {
    pub(crate) path: PathBuf,
    pub(crate) epoch: Epoch,
    pub(crate) readers: Readers,
    pub(crate) writer: Writer,
    files: Arc<DatabaseFiles>,
    /// What is known of the last append, and of the last write of a session, a message or a record.
    pub(crate) append_trials: TrialWrites,
    pub(crate) store_trials: TrialWrites,
    /// Notified when a lock is released, so that waiting `acquire` calls check again.
    pub(crate) released: Notify,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.0.path).finish()
    }
}

/// `<path>.lock`, beside the database: locking the database file itself would interfere with
/// SQLite's own locks.
fn lock(path: &Path) -> Result<File, DatabaseOpenError> {
    let lock_path = beside(path, ".lock");
    let failed = |op, path: PathBuf| move |source| DatabaseOpenError::Io { op, path, source };
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path);
    let file = file.map_err(failed("open the lock file", lock_path.clone()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DatabaseOpenError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed("lock", lock_path)(source)),
    }
}

impl Database {
    /// Opens a file; creates it and its folder if they do not exist. Blocks for some milliseconds,
    /// and longer after a crash, when SQLite recovers the write-ahead log.
    ///
    /// # Errors
    /// Another process holds the file, another program or a newer build wrote it, or the disk
    /// fails.
    pub fn open(path: &Path) -> Result<Self, DatabaseOpenError> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder).map_err(|source| {
                let path = folder.to_owned();
                DatabaseOpenError::Io {
                    op: "create the folder",
                    path,
                    source,
                }
            })?;
        }
        let failed = |op| {
            let path = path.to_owned();
            move |source| DatabaseOpenError::Io { op, path, source }
        };
        let lock = lock(path)?;
        let (connection, epoch) = schema::open_writer(path)?;
        let readers = Readers::open(path)?;
        let files = DatabaseFiles::look(path).map_err(failed("look at"))?;
        // The file alone tells from now on that it is this one. On a full disk a later checkpoint does it.
        if let Err(error) = files.checkpoint(&connection, "PASSIVE") {
            tracing::warn!(%error, "the first SQLite checkpoint failed; it is repeated later");
        }
        let files = Arc::new(files);
        let writer = Writer::start(connection, lock, Arc::clone(&files))
            .map_err(failed("start a thread for"))?;
        Ok(Self(Arc::new(DatabaseInner {
            path: path.to_owned(),
            epoch,
            readers,
            writer,
            files,
            append_trials: TrialWrites::default(),
            store_trials: TrialWrites::default(),
            released: Notify::new(),
        })))
    }

    /// Resolves when this process can no longer use the file and only a restart can mend it: a commit
    /// failed, so that the contents of the disk are unknown, or another program removed or replaced one of
    /// the files. Never after [`Database::close`].
    pub async fn failed(&self) -> DatabaseFailure {
        let files = || self.0.files.failure().unwrap_or(DatabaseFailure::Commit);
        tokio::select! {
            () = self.0.writer.failed() => files(),
            failure = self.lost_files() => failure,
        }
    }

    /// Looks at the files until one of them is not the one that this process uses.
    async fn lost_files(&self) -> DatabaseFailure {
        let mut ticks = interval(FILE_CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.0.writer.is_closed() {
                return std::future::pending().await;
            }
            let files = Arc::clone(&self.0.files);
            if let Ok(Err(failure)) = spawn_blocking(move || files.check()).await {
                return failure;
            }
        }
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Finishes the queued writes, copies the write-ahead log into the file, and releases the file.
    /// Later calls of the log and the store fail as unavailable. Closing twice is fine.
    ///
    /// Dropping every handle does the same in the background.
    ///
    /// # Errors
    /// Closing took longer than 30 s, or the writer panicked. Acknowledged writes are in the file
    /// all the same.
    pub async fn close(&self) -> Result<(), DatabaseCloseError> {
        let late = |doing| {
            move |_| DatabaseCloseError::TimedOut {
                doing,
                seconds: CLOSE_DEADLINE.as_secs(),
            }
        };
        let readers = self.0.readers.close();
        tokio::time::timeout(CLOSE_DEADLINE, readers)
            .await
            .map_err(late("reading"))?;
        let Some(thread) = self.0.writer.close() else {
            return Ok(());
        };
        let ended = tokio::task::spawn_blocking(move || thread.join());
        match tokio::time::timeout(CLOSE_DEADLINE, ended)
            .await
            .map_err(late("writing"))?
        {
            Ok(Ok(())) => Ok(()),
            _ => Err(DatabaseCloseError::Writer),
        }
    }
}
