//! A log for one case: the store that an adapter provides, and the event log over it.

use std::{fmt, future::Future, sync::Arc};

use anyhow::bail;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use ports::{EventLog, LogStore};
use store_layers::StoredLog;

use crate::handles::{BackendHook, Handles, KeyedHandles};

/// Puts a store back to an earlier state, as a power cut or a restored snapshot does.
pub struct SetBackHooks {
    /// Keeps a copy of the store as it is now.
    pub save: BackendHook,
    /// Puts the store back to that copy.
    pub restore: BackendHook,
}

impl fmt::Debug for SetBackHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetBackHooks")
    }
}

/// Appends bytes to a log as its newest entry, bypassing the adapter's encoding; create one with
/// [`entry_planter`].
pub type EntryPlanter = Box<dyn Fn(Bytes) -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>;

/// Creates an [`EntryPlanter`] from an async closure.
pub fn entry_planter<F, Fut>(plant: F) -> EntryPlanter
where
    F: Fn(Bytes) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    Box::new(move |bytes| Box::pin(plant(bytes)))
}

/// A store for a log for one case.
pub struct LogStoreFixture {
    /// The store, empty.
    pub store: Arc<dyn LogStore>,
    /// Puts it back while handles are open. `restorable` needs it.
    pub set_back: Option<SetBackHooks>,
    /// Plants bytes that are no entry of ours. `foreign_bytes` needs it.
    pub plant: Option<EntryPlanter>,
    /// Handles with keys. `authenticating` needs it.
    pub keyed: Option<KeyedHandles<dyn LogStore>>,
    /// Other handles on it.
    pub handles: Handles<dyn LogStore>,
}

impl fmt::Debug for LogStoreFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogStoreFixture")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl LogStoreFixture {
    /// A store without other handles.
    #[must_use]
    pub fn new(store: Arc<dyn LogStore>) -> Self {
        Self {
            store,
            set_back: None,
            plant: None,
            keyed: None,
            handles: Handles::default(),
        }
    }

    /// Plants bytes as the newest entry.
    pub(crate) async fn plant(&self, bytes: &'static [u8]) -> anyhow::Result<()> {
        plant(self.plant.as_ref(), bytes).await
    }

    /// The same with a layer over every handle.
    #[must_use]
    pub fn layered<F>(self, layer: F) -> Self
    where
        F: Fn(Arc<dyn LogStore>) -> Arc<dyn LogStore> + Clone + Send + Sync + 'static,
    {
        Self {
            store: layer(self.store),
            set_back: self.set_back,
            plant: self.plant,
            keyed: self.keyed.map(|keyed| keyed.map(&layer)),
            handles: self.handles.map(layer),
        }
    }
}

/// A log for one case.
pub struct EventLogFixture {
    /// The log, empty.
    pub log: Arc<dyn EventLog>,
    /// Puts its store back while handles are open. `restorable` needs it.
    pub set_back: Option<SetBackHooks>,
    /// Plants an entry that does not decode. `foreign_bytes` needs it.
    pub plant: Option<EntryPlanter>,
    /// Handles with keys. `authenticating` needs it.
    pub keyed: Option<KeyedHandles<dyn EventLog>>,
    /// Other handles on it.
    pub handles: Handles<dyn EventLog>,
}

impl fmt::Debug for EventLogFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLogFixture")
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl EventLogFixture {
    /// The log over a store.
    #[must_use]
    pub fn over(fixture: LogStoreFixture) -> Self {
        Self {
            log: stored(fixture.store),
            set_back: fixture.set_back,
            plant: fixture.plant,
            keyed: fixture.keyed.map(|keyed| keyed.map(stored)),
            handles: fixture.handles.map(stored),
        }
    }

    /// Plants an entry that is no event.
    pub(crate) async fn plant(&self) -> anyhow::Result<()> {
        plant(self.plant.as_ref(), b"\xff\xffno event").await
    }
}

fn stored(store: Arc<dyn LogStore>) -> Arc<dyn EventLog> {
    Arc::new(StoredLog::new(store))
}

async fn plant(planter: Option<&EntryPlanter>, bytes: &'static [u8]) -> anyhow::Result<()> {
    match planter {
        Some(plant) => plant(Bytes::from_static(bytes)).await,
        None => bail!("the adapter says `foreign_bytes` but its log has no `plant`"),
    }
}
