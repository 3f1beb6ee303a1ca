//! One database file, opened once. The event log and the session store share it; the methods that
//! return them are defined beside them.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use model::Epoch;
use tokio::sync::Notify;

use crate::{DatabaseCloseError, DatabaseOpenError, readers::Readers, schema, writer::Writer};

/// Maximum duration of one call, including its wait in the queue.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// Maximum duration of closing, which has to write a full queue and run the last checkpoint.
const CLOSE_DEADLINE: Duration = Duration::from_secs(30);

/// An open database file. Clones share it.
#[derive(Clone)]
pub struct Database(pub(crate) Arc<DatabaseInner>);

pub(crate) struct DatabaseInner {
    pub(crate) path: PathBuf,
    pub(crate) epoch: Epoch,
    pub(crate) readers: Readers,
    pub(crate) writer: Writer,
    /// Size of the last append, if it failed and none has succeeded since; otherwise 0.
    pub(crate) failed_append_bytes: AtomicUsize,
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
    let mut lock_path = OsString::from(path);
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
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
        let lock = lock(path)?;
        let (connection, epoch) = schema::open_writer(path)?;
        let readers = Readers::open(path)?;
        let writer = Writer::start(connection, lock).map_err(|source| {
            let path = path.to_owned();
            DatabaseOpenError::Io {
                op: "start a thread for",
                path,
                source,
            }
        })?;
        Ok(Self(Arc::new(DatabaseInner {
            path: path.to_owned(),
            epoch,
            readers,
            writer,
            failed_append_bytes: AtomicUsize::new(0),
            released: Notify::new(),
        })))
    }

    /// Resolves when this process can no longer write to the file and only a restart can mend it:
    /// after a commit that failed, the contents of the disk are unknown. Never after
    /// [`Database::close`].
    pub async fn failed(&self) {
        self.0.writer.failed().await;
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
