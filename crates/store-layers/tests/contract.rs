//! The contract suites of the log and of records over each layer on memory, and over both on SQLite.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use contract::{
    Abilities, Harness, LogStoreFixture, Port, RecordsFixture, SetBackHooks, backend_hook,
    entry_planter, handle_opener,
};
use model::{EventId, ManualClock, RandomIds, Sequence, SharedKey, Timestamp};
use ports::{LogEntry, LogStore, Records};
use store_layers::{Compressed, LayerFailures, Layered, Sealed};
use store_memory::{MemoryLogStore, MemorySessionStore};
use store_sqlite::Database;
use tempfile::TempDir;

const LOG_CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// Layers, outermost first.
#[derive(Clone, Copy)]
struct Layers {
    name: &'static str,
    compressed: bool,
    sealed: bool,
}

/// Layers over a store.
struct Over<B> {
    layers: Layers,
    base: B,
}

fn sealed() -> Sealed {
    let key = SharedKey::of_text("a key that is as long as a key has to be");
    Sealed::new([key], Arc::new(RandomIds), true)
}

impl Layers {
    fn over_log(self, store: Arc<dyn LogStore>) -> Arc<dyn LogStore> {
        let failures = LayerFailures::default();
        match (self.compressed, self.sealed) {
            (true, true) => Arc::new(Layered::new((Compressed::on(), sealed()), store, failures)),
            (true, false) => Arc::new(Layered::new(Compressed::on(), store, failures)),
            (false, true) => Arc::new(Layered::new(sealed(), store, failures)),
            (false, false) => store,
        }
    }

    fn over_records(self, store: Arc<dyn Records>) -> Arc<dyn Records> {
        let failures = LayerFailures::default();
        match (self.compressed, self.sealed) {
            (true, true) => Arc::new(Layered::new((Compressed::on(), sealed()), store, failures)),
            (true, false) => Arc::new(Layered::new(Compressed::on(), store, failures)),
            (false, true) => Arc::new(Layered::new(sealed(), store, failures)),
            (false, false) => store,
        }
    }
}

/// A store without layers.
trait Base: Send + Sync + 'static {
    fn log_abilities(&self) -> Abilities;
    fn record_abilities(&self) -> Abilities;
    fn log(&self) -> anyhow::Result<LogStoreFixture>;
    fn records(&self) -> anyhow::Result<RecordsFixture>;
}

#[contract::async_trait]
impl<B: Base> Harness for Over<B> {
    fn backend(&self) -> &'static str {
        self.layers.name
    }

    fn abilities(&self, port: Port) -> Option<Abilities> {
        (port == Port::EventLog).then(|| self.base.log_abilities())
    }

    fn record_abilities(&self) -> Option<Abilities> {
        Some(self.base.record_abilities())
    }

    async fn log_store(&self) -> anyhow::Result<LogStoreFixture> {
        let layers = self.layers;
        let fixture = self.base.log()?;
        Ok(fixture.layered(move |store| layers.over_log(store)))
    }

    async fn records(&self) -> anyhow::Result<RecordsFixture> {
        let layers = self.layers;
        let fixture = self.base.records()?;
        Ok(fixture.layered(move |store| layers.over_records(store)))
    }
}

fn clock() -> Arc<ManualClock> {
    let now = Timestamp::from_unix_millis(1_790_000_000_000);
    Arc::new(ManualClock::at(now))
}

struct Memory;

impl Base for Memory {
    fn log_abilities(&self) -> Abilities {
        Abilities {
            restorable: true,
            foreign_bytes: true,
            ..Abilities::default()
        }
    }

    fn record_abilities(&self) -> Abilities {
        Abilities::default()
    }

    fn log(&self) -> anyhow::Result<LogStoreFixture> {
        let store = Arc::new(MemoryLogStore::new(&RandomIds, LOG_CAPACITY));
        let mut fixture = LogStoreFixture::new(store.clone());
        let planted = store.clone();
        fixture.plant = Some(entry_planter(move |body| {
            let store = planted.clone();
            async move {
                let entry = LogEntry {
                    id: EventId::new(&contract::unique_name())?,
                    received_at: Timestamp::default(),
                    body,
                };
                store.append(vec![entry]).await?;
                Ok(())
            }
        }));
        let saved = Arc::new(Mutex::new(Sequence::START));
        let (kept, last) = (store.clone(), saved.clone());
        fixture.set_back = Some(SetBackHooks {
            save: backend_hook(move || {
                let (store, last) = (kept.clone(), last.clone());
                async move {
                    let end = store.head().await?.last;
                    *last.lock().expect("no test panics with it") = end;
                    Ok(())
                }
            }),
            restore: backend_hook(move || {
                store.put_back(*saved.lock().expect("no test panics with it"));
                std::future::ready(Ok(()))
            }),
        });
        Ok(fixture)
    }

    fn records(&self) -> anyhow::Result<RecordsFixture> {
        let clock = clock();
        Ok(RecordsFixture {
            store: Arc::new(MemorySessionStore::new(clock.clone(), 2000)),
            clock: Some(clock),
            damage: None,
            handles: contract::Handles::default(),
        })
    }
}

/// A file that is opened again.
struct OpenFile {
    path: PathBuf,
    database: tokio::sync::Mutex<Database>,
    _folder: TempDir,
}

impl OpenFile {
    fn create() -> anyhow::Result<(Arc<Self>, Database)> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("forgewire.db");
        let database = Database::open(&path)?;
        let file = Self {
            path,
            database: tokio::sync::Mutex::new(database.clone()),
            _folder: folder,
        };
        Ok((Arc::new(file), database))
    }

    async fn reopen(&self) -> anyhow::Result<Database> {
        let mut database = self.database.lock().await;
        database.close().await?;
        *database = Database::open(&self.path)?;
        Ok(database.clone())
    }
}

struct Sqlite;

impl Base for Sqlite {
    fn log_abilities(&self) -> Abilities {
        self.record_abilities()
    }

    fn record_abilities(&self) -> Abilities {
        Abilities {
            durable: true,
            ..Abilities::default()
        }
    }

    fn log(&self) -> anyhow::Result<LogStoreFixture> {
        let (file, database) = OpenFile::create()?;
        let mut fixture = LogStoreFixture::new(Arc::new(database.log_store()));
        fixture.handles.reopen = Some(handle_opener(move || {
            let file = Arc::clone(&file);
            async move {
                let store: Arc<dyn LogStore> = Arc::new(file.reopen().await?.log_store());
                Ok(store)
            }
        }));
        Ok(fixture)
    }

    fn records(&self) -> anyhow::Result<RecordsFixture> {
        let ((file, database), clock) = (OpenFile::create()?, clock());
        let store = database.session_store(clock.clone());
        let mut handles = contract::Handles::<dyn Records>::default();
        let reopened = clock.clone();
        handles.reopen = Some(handle_opener(move || {
            let (file, clock) = (Arc::clone(&file), reopened.clone());
            async move {
                let store: Arc<dyn Records> = Arc::new(file.reopen().await?.session_store(clock));
                Ok(store)
            }
        }));
        Ok(RecordsFixture {
            store: Arc::new(store),
            clock: Some(clock),
            damage: None,
            handles,
        })
    }
}

fn main() -> ExitCode {
    let layers = |name, compressed, sealed| Layers {
        name,
        compressed,
        sealed,
    };
    let memory = |layers| -> Arc<dyn Harness> {
        Arc::new(Over {
            layers,
            base: Memory,
        })
    };
    contract::run_all([
        memory(layers("compressed-memory", true, false)),
        memory(layers("sealed-memory", false, true)),
        memory(layers("compressed-sealed-memory", true, true)),
        Arc::new(Over {
            layers: layers("compressed-sealed-sqlite", true, true),
            base: Sqlite,
        }),
    ])
}
