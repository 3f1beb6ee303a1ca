//! The contract suite on SQLite, on real files.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use contract::{
    Abilities, Harness, LogStoreFixture, Port, SessionPorts, SessionStoreFixture, SetBack,
    backend_hook, entry_planter, handle_opener, record_damager,
};
use model::{ManualClock, Timestamp};
use ports::{LogStore, RecordKey};
use store_sqlite::Database;
use tokio::sync::Mutex;

struct Sqlite;

/// What the names of the database's files add to its path.
const PARTS: [&str; 2] = ["", "-wal"];

/// A database file that can be closed and opened again.
struct OpenFile {
    path: PathBuf,
    database: Mutex<Database>,
}

impl OpenFile {
    fn create(folder: &tempfile::TempDir) -> anyhow::Result<Arc<Self>> {
        let path = folder.path().join("new/forgewire.db");
        let database = Database::open(&path)?;
        Ok(Arc::new(Self {
            path,
            database: Mutex::new(database),
        }))
    }

    async fn reopen(&self) -> anyhow::Result<Database> {
        let mut database = self.database.lock().await;
        database.close().await.context("cannot close")?;
        *database = Database::open(&self.path)?;
        Ok(database.clone())
    }

    /// Copies the file and its write-ahead log; nothing writes meanwhile.
    fn save(&self) -> anyhow::Result<()> {
        for part in PARTS {
            let (file, saved) = (self.part(part), self.part(&format!("{part}.saved")));
            match file.exists() {
                true => std::fs::copy(file, saved).map(drop)?,
                false => drop(std::fs::remove_file(saved)),
            }
        }
        Ok(())
    }

    /// Closes the file, puts the copy in its place, and opens it.
    async fn restore(&self) -> anyhow::Result<Database> {
        let mut database = self.database.lock().await;
        database.close().await.context("cannot close")?;
        for part in PARTS {
            let (file, saved) = (self.part(part), self.part(&format!("{part}.saved")));
            match saved.exists() {
                true => std::fs::copy(saved, file).map(drop)?,
                false => drop(std::fs::remove_file(file)),
            }
        }
        *database = Database::open(&self.path)?;
        Ok(database.clone())
    }

    fn part(&self, part: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(part);
        path.into()
    }
}

/// Writes a row as the log does, with a body of another program.
fn plant(path: &Path, body: &[u8]) -> anyhow::Result<()> {
    let sql = "INSERT INTO events (id, received_at, watermark, body) \
               SELECT ?1, coalesce(max(received_at), 0), coalesce(max(watermark), 0), ?2 FROM events";
    let connection = rusqlite::Connection::open(path)?;
    connection.execute(sql, rusqlite::params![contract::unique_name(), body])?;
    Ok(())
}

/// Damages the owner of a record.
fn damage(path: &Path, key: &RecordKey) -> anyhow::Result<()> {
    let sql = "UPDATE records SET owner = 'two words' WHERE collection = ?1 AND id = ?2";
    let columns = [key.collection.name(), key.id.as_str()];
    let changed = rusqlite::Connection::open(path)?.execute(sql, columns)?;
    anyhow::ensure!(changed == 1, "there is no record {key:?}");
    Ok(())
}

#[contract::async_trait]
impl Harness for Sqlite {
    fn backend(&self) -> &'static str {
        "sqlite"
    }

    fn abilities(&self, port: Port) -> Option<Abilities> {
        // Not shared: the lock file deliberately refuses a second process.
        let abilities = Abilities {
            durable: true,
            foreign_bytes: true,
            goes_back: true,
            ..Abilities::default()
        };
        matches!(port, Port::EventLog | Port::SessionStore).then_some(abilities)
    }

    async fn log_store(&self) -> anyhow::Result<LogStoreFixture> {
        let folder = tempfile::tempdir()?;
        let file = OpenFile::create(&folder)?;
        let mut fixture = LogStoreFixture::new(Arc::new(file.database.lock().await.log_store()));
        fixture.handles.guard = Some(Box::new(folder));
        let path = file.path.clone();
        fixture.plant = Some(entry_planter(move |bytes| {
            let path = path.clone();
            async move { plant(&path, &bytes) }
        }));
        fixture.handles.reopen = Some(handle_opener(move || {
            let file = Arc::clone(&file);
            async move {
                let log: Arc<dyn LogStore> = Arc::new(file.reopen().await?.log_store());
                Ok(log)
            }
        }));
        Ok(fixture)
    }

    async fn session_store(&self) -> anyhow::Result<SessionStoreFixture> {
        let folder = tempfile::tempdir()?;
        let file = OpenFile::create(&folder)?;
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(
            1_790_000_000_000,
        )));
        let store = file.database.lock().await.session_store(clock.clone());
        let mut fixture = SessionStoreFixture::new(Arc::new(store));
        fixture.clock = Some(clock.clone());
        let path = file.path.clone();
        fixture.damage = Some(record_damager(move |key| {
            let path = path.clone();
            async move { damage(&path, &key) }
        }));
        fixture.handles.guard = Some(Box::new(folder));
        let (saved, restored, at) = (file.clone(), file.clone(), clock.clone());
        fixture.handles.set_back = Some(SetBack {
            save: backend_hook(move || std::future::ready(saved.save())),
            restore: handle_opener(move || {
                let (file, clock) = (Arc::clone(&restored), at.clone());
                async move {
                    let store = file.restore().await?.session_store(clock);
                    let store: Arc<dyn SessionPorts> = Arc::new(store);
                    Ok(store)
                }
            }),
        });
        fixture.handles.reopen = Some(handle_opener(move || {
            let (file, clock) = (Arc::clone(&file), clock.clone());
            async move {
                let store = file.reopen().await?.session_store(clock);
                let store: Arc<dyn SessionPorts> = Arc::new(store);
                Ok(store)
            }
        }));
        Ok(fixture)
    }
}

fn main() -> ExitCode {
    contract::run(Sqlite)
}
