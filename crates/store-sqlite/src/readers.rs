//! Reading: a few connections, used on tokio's blocking threads, or on the caller's thread for
//! short reads.

use std::{path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task,
};

use crate::{DatabaseOpenError, SqliteCallError, schema};

/// Number of connections that read at the same time; further calls wait. Reads are short and mostly
/// served from memory.
const READERS: u32 = 4;

/// The read connections.
pub(crate) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

/// A connection that is returned to the pool when it is dropped, even after a panic.
struct PooledConnection {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
    _permit: OwnedSemaphorePermit,
}

impl PooledConnection {
    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, SqliteCallError>,
    ) -> Result<T, SqliteCallError> {
        let connection = self.connection.as_ref().ok_or(SqliteCallError::Closed)?;
        let snapshot = Snapshot::begin(connection)?;
        let answer = read(connection);
        snapshot.end()?;
        answer
    }
}

/// A read transaction. Its statements are prepared once per connection: parsing them costs as much as a short
/// read.
struct Snapshot<'c>(Option<&'c Connection>);

impl<'c> Snapshot<'c> {
    fn begin(connection: &'c Connection) -> rusqlite::Result<Self> {
        connection.prepare_cached("BEGIN DEFERRED")?.execute([])?;
        Ok(Self(Some(connection)))
    }

    fn end(mut self) -> rusqlite::Result<()> {
        self.0.take().map_or(Ok(()), Self::roll_back)
    }

    fn roll_back(connection: &Connection) -> rusqlite::Result<()> {
        connection.prepare_cached("ROLLBACK")?.execute([])?;
        Ok(())
    }
}

/// After a panic.
impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            let _ = Self::roll_back(connection);
        }
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        self.idle.lock().extend(self.connection.take());
    }
}

impl Readers {
    pub(crate) fn open(path: &Path) -> Result<Self, DatabaseOpenError> {
        let idle: Vec<_> = (0..READERS)
            .map(|_| schema::open_reader(path))
            .collect::<Result<_, _>>()?;
        let permits = Arc::new(Semaphore::new(idle.len()));
        Ok(Self {
            idle: Arc::new(Mutex::new(idle)),
            permits,
        })
    }

    /// Runs `read` on one snapshot of the database, within `deadline`.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        deadline: Duration,
        read: impl FnOnce(&Connection) -> Result<T, SqliteCallError> + Send + 'static,
    ) -> Result<T, SqliteCallError> {
        let reading = async {
            let permit = Arc::clone(&self.permits).acquire_owned().await;
            let permit = permit.map_err(|_| SqliteCallError::Closed)?;
            let borrowed = self.borrow(permit);
            let read = task::spawn_blocking(move || borrowed.read(read));
            // The task fails only if the runtime shuts down or `read` panicked.
            read.await.unwrap_or(Err(SqliteCallError::Stopped))
        };
        let late = SqliteCallError::TimedOut(deadline.as_millis());
        tokio::time::timeout(deadline, reading)
            .await
            .unwrap_or(Err(late))
    }

    /// Like [`Self::run`], for a read of a few rows by key: runs on the caller's own thread if a
    /// connection is free. Such a read takes some microseconds, less than a switch to another
    /// thread and back.
    pub(crate) async fn run_short<T: Send + 'static>(
        &self,
        deadline: Duration,
        read: impl FnOnce(&Connection) -> Result<T, SqliteCallError> + Send + 'static,
    ) -> Result<T, SqliteCallError> {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => self.borrow(permit).read(read),
            // All connections are busy, perhaps for longer, or closed.
            Err(_) => self.run(deadline, read).await,
        }
    }

    fn borrow(&self, permit: OwnedSemaphorePermit) -> PooledConnection {
        let idle = Arc::clone(&self.idle);
        let connection = idle.lock().pop();
        PooledConnection {
            connection,
            idle,
            _permit: permit,
        }
    }

    /// Waits for running reads, refuses new ones, and closes the connections.
    pub(crate) async fn close(&self) {
        // A second call of `close` finds the semaphore closed and has nothing left to do.
        if self.permits.acquire_many(READERS).await.is_ok() {
            self.permits.close();
            self.idle.lock().clear();
        }
    }
}
