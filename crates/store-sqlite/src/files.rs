//! The database's files, as the operating system names them: whether they are still the ones that this
//! process opened.
//!
//! An open file works on after it was removed or replaced: commits would succeed, and the next start
//! would not find them. So the files are looked at before each commit, after it, before anything is
//! acknowledged, and once a second by [`crate::Database::failed`].
//!
//! The files are only looked at and never opened here, except through SQLite: closing a file would give
//! up the locks that this process holds on it.

use std::{
    ffi::OsString,
    fmt::{self, Write},
    fs,
    io::{self, ErrorKind},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};

/// Length to which SQLite cuts a longer write-ahead log after a checkpoint, in bytes: the setting
/// `journal_size_limit` of every connection.
pub(crate) const WAL_KEPT_BYTES: u64 = 67_108_864;

/// The reason why this process can no longer use the database, and only a restart can mend it. As text, it
/// continues a sentence about the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseFailure {
    /// A commit may not have reached the disk.
    Commit,
    /// The file is no longer at its path.
    Removed,
    /// Another file is at its path.
    Replaced,
    /// Another program wrote into the file, for instance by copying another one over it.
    Overwritten,
    /// The write-ahead log is no longer at its path.
    WriteAheadLogRemoved,
    /// The write-ahead log is shorter than this process left it.
    WriteAheadLogCut,
    /// The lock file is no longer at its path.
    LockRemoved,
}

impl fmt::Display for DatabaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commit => {
                "takes no more writes, because a commit may not have reached the disk; everything \
                 acknowledged before is in it: check the disk, then start again"
            }
            Self::Removed => {
                "was removed or renamed while this process used it: put it back, or start again with a \
                 new one"
            }
            Self::Replaced => {
                "was replaced by another file while this process used it: start again to use that one"
            }
            Self::Overwritten => {
                "was overwritten by another program while this process used it: stop Forgewire, restore \
                 the file, then start again"
            }
            Self::WriteAheadLogRemoved => {
                "takes no more writes, because another program removed or replaced its write-ahead log \
                 (the file that ends in -wal): start again, and leave that file alone"
            }
            Self::WriteAheadLogCut => {
                "takes no more writes, because another program cut its write-ahead log (the file that ends in \
                 -wal), and with it what was stored last: restore a backup if you have a newer one, start again, \
                 and leave that file alone"
            }
            Self::LockRemoved => {
                "takes no more writes, because another program removed its lock file, which keeps other \
                 processes out: start again, and leave that file alone"
            }
        })
    }
}

/// The paths of the files, and what was at them when this process last wrote.
pub(crate) struct DatabaseFiles {
    main: PathBuf,
    wal: PathBuf,
    lock: PathBuf,
    seen: Mutex<SeenFiles>,
    failure: OnceLock<DatabaseFailure>,
}

struct SeenFiles {
    main: FileState,
    lock: FileState,
    /// After the last commit.
    wal: Option<FileState>,
    /// Read from the file itself, without its write-ahead log.
    stamp: Option<FileStamp>,
}

/// Distinguishes the content of the main file from that of another database, and from an earlier copy of
/// it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    epoch: i64,
    /// The number of checkpoints in all the time of the file.
    checkpoints: i64,
    /// A copy that SQLite made has another one, also without a checkpoint in between.
    schema: i64,
}

impl FileStamp {
    /// Whether a file with this stamp was written over one with the stamp `before`.
    fn is_foreign_to(self, before: Self) -> bool {
        self.epoch != before.epoch
            || self.checkpoints < before.checkpoints
            || self.schema != before.schema
    }
}

/// The name of a file, and properties that change with its content.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileState {
    /// Device and inode.
    name: (u64, u64),
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl FileState {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            name: (found.dev(), found.ino()),
            bytes: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

impl DatabaseFiles {
    /// Looks at the files for the first time, after the lock was taken and the database was opened.
    pub(crate) fn look(main: &Path) -> io::Result<Self> {
        let (wal, lock) = (beside(main, "-wal"), beside(main, ".lock"));
        let seen = SeenFiles {
            main: FileState::of(main)?,
            lock: FileState::of(&lock)?,
            wal: None,
            stamp: None,
        };
        Ok(Self {
            main: main.to_owned(),
            wal,
            lock,
            seen: Mutex::new(seen),
            failure: OnceLock::new(),
        })
    }

    /// The first failure that was found, if any.
    pub(crate) fn failure(&self) -> Option<DatabaseFailure> {
        self.failure.get().copied()
    }

    /// Checks that all files are the ones that this process uses.
    pub(crate) fn check(&self) -> Result<(), DatabaseFailure> {
        self.found(|seen| self.compare(seen))
    }

    /// As [`Self::check`], after a commit of the writer.
    pub(crate) fn check_after_commit(&self) -> Result<(), DatabaseFailure> {
        self.found(|seen| {
            let same = |wal: &FileState| seen.wal.is_none_or(|seen| seen.name == wal.name);
            let written = FileState::of(&self.wal).ok().filter(same);
            let compared = self.compare(seen);
            seen.wal = written.or(seen.wal);
            compared
        })
    }

    /// Runs a checkpoint, this process's only writes to the main file, and looks at the file afterwards.
    pub(crate) fn checkpoint(&self, connection: &Connection, mode: &str) -> rusqlite::Result<()> {
        let mut seen = self.seen.lock();
        // Makes the file differ from each earlier copy of it. On a full disk it stays as it is.
        let _ = count_checkpoint(connection);
        let done = run_checkpoint(connection, mode);
        if let Ok(main) = FileState::of(&self.main) {
            seen.main = main;
            seen.stamp = stamp(&self.main);
        }
        done
    }

    /// At the end of the writer: copies the write-ahead log into the file that this process opened, wherever
    /// it is now. A write-ahead log that was cut would spoil the file. One that was overwritten gets nothing
    /// either; the write-ahead log is not part of it, and is renamed, so that no start applies it.
    pub(crate) fn finish(&self, connection: &Connection) -> rusqlite::Result<()> {
        let failure = self.failure();
        let is_spoiled = matches!(
            failure,
            Some(DatabaseFailure::Overwritten | DatabaseFailure::WriteAheadLogCut)
        );
        if !is_spoiled {
            return self.checkpoint(connection, "TRUNCATE");
        }
        let no_checkpoint = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        connection.set_db_config(no_checkpoint, true)?;
        if failure == Some(DatabaseFailure::WriteAheadLogCut) {
            // The next start applies what is left of it.
            return Ok(());
        }
        let ours = self.seen.lock().wal;
        // One that changed since the last commit came with the file that was copied.
        if ours.is_some() && FileState::of(&self.wal).ok() == ours {
            let aside = beside(&self.main, "-wal.replaced");
            if let Err(error) = fs::rename(&self.wal, &aside) {
                tracing::warn!(%error, "the write-ahead log of the old database cannot be renamed; remove it before the next start");
            }
        }
        Ok(())
    }

    fn found(
        &self,
        look: impl FnOnce(&mut SeenFiles) -> Result<(), DatabaseFailure>,
    ) -> Result<(), DatabaseFailure> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        look(&mut self.seen.lock()).map_err(|failure| *self.failure.get_or_init(|| failure))
    }

    /// Compares the files with those that were seen.
    fn compare(&self, seen: &mut SeenFiles) -> Result<(), DatabaseFailure> {
        if let Some(main) = at_path(&self.main, DatabaseFailure::Removed)?
            && main != seen.main
        {
            if main.name != seen.main.name {
                return Err(DatabaseFailure::Replaced);
            }
            // The time alone proves nothing: a file can be touched, or another program can have run a
            // checkpoint.
            if let Some(before) = seen.stamp {
                match stamp(&self.main) {
                    Some(now) if !now.is_foreign_to(before) => seen.stamp = Some(now),
                    _ => return Err(DatabaseFailure::Overwritten),
                }
            }
            seen.main = main;
        }
        let removed = DatabaseFailure::LockRemoved;
        let lock = at_path(&self.lock, removed)?;
        if lock.is_some_and(|lock| lock.name != seen.lock.name) {
            return Err(removed);
        }
        let Some(before) = seen.wal else {
            return Ok(());
        };
        let removed = DatabaseFailure::WriteAheadLogRemoved;
        match at_path(&self.wal, removed)? {
            Some(wal) if wal.name != before.name => Err(removed),
            // SQLite itself cuts it only to this length.
            Some(wal) if wal.bytes < before.bytes.min(WAL_KEPT_BYTES) => {
                Err(DatabaseFailure::WriteAheadLogCut)
            }
            _ => Ok(()),
        }
    }
}

/// The state of a file; `None` if the system cannot tell now.
fn at_path(path: &Path, gone: DatabaseFailure) -> Result<Option<FileState>, DatabaseFailure> {
    match FileState::of(path) {
        Ok(state) => Ok(Some(state)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(gone),
        Err(_) => Ok(None),
    }
}

/// The path with more at the end of its name.
pub(crate) fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(more);
    name.into()
}

fn count_checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta (key, value) VALUES ('checkpoints', 1) \
               ON CONFLICT (key) DO UPDATE SET value = value + 1";
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

fn run_checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
}

/// The stamp in the main file; `None` if it is damaged. `immutable` makes SQLite leave the write-ahead log
/// aside.
fn stamp(main: &Path) -> Option<FileStamp> {
    let mut uri = "file:".to_owned();
    for byte in main.as_os_str().as_bytes() {
        // Writing to a string cannot fail.
        let _ = match byte {
            b'/' | b'.' | b'-' | b'_' => write!(uri, "{}", char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => write!(uri, "{}", char::from(*byte)),
            byte => write!(uri, "%{byte:02x}"),
        };
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri, flags).ok()?;
    let number = |key: &str| {
        let sql = "SELECT value FROM meta WHERE key = ?1";
        connection.query_row(sql, [key], |row| row.get(0)).ok()
    };
    Some(FileStamp {
        epoch: number("epoch")?,
        checkpoints: number("checkpoints")?,
        schema: connection
            .query_row("PRAGMA schema_version", [], |row| row.get(0))
            .ok()?,
    })
}
