//! Records for one case.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use model::ManualClock;
use ports::{RecordKey, RecordLife, RecordLimits, Records};

use crate::{
    handles::Handles,
    harness::{RecordDamager, SessionPorts, SessionStoreFixture},
};

/// Time to live if the backend's own clock decides: long enough for a call, short enough to wait for.
const REAL_TTL: Duration = Duration::from_millis(300);
/// Time to live if the suite controls the clock.
const MANUAL_TTL: Duration = Duration::from_secs(60);

/// Puts another state in the place of a record's, as another build or a damage would.
pub(crate) async fn spoil(
    records: &dyn Records,
    key: &RecordKey,
    state: impl Into<Bytes>,
) -> Result<()> {
    let found = records.load(key).await?.context("it is stored")?;
    let (life, limits) = (RecordLife::Unchanged, RecordLimits::default());
    records
        .replace(key, state.into(), found.revision, life, limits)
        .await?;
    Ok(())
}

/// Records for one case.
pub struct RecordsFixture {
    /// The records, none.
    pub store: Arc<dyn Records>,
    /// The clock of the store and its other handles, if the adapter accepts one.
    pub clock: Option<Arc<ManualClock>>,
    /// Damages a record. `foreign_bytes` needs it.
    pub damage: Option<RecordDamager>,
    /// Other handles on it.
    pub handles: Handles<dyn Records>,
}

impl fmt::Debug for RecordsFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordsFixture")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl RecordsFixture {
    /// The records of a session store.
    #[must_use]
    pub fn of(fixture: SessionStoreFixture) -> Self {
        Self {
            store: fixture.store.records(),
            clock: fixture.clock,
            damage: fixture.damage,
            handles: fixture.handles.map(SessionPorts::records),
        }
    }

    /// The same with a layer over every handle.
    #[must_use]
    pub fn layered<F>(self, layer: F) -> Self
    where
        F: Fn(Arc<dyn Records>) -> Arc<dyn Records> + Clone + Send + Sync + 'static,
    {
        Self {
            store: layer(self.store),
            handles: self.handles.map(layer),
            ..self
        }
    }

    /// The records.
    pub(crate) fn records(&self) -> Arc<dyn Records> {
        Arc::clone(&self.store)
    }

    /// Damages a record.
    pub(crate) async fn damage(&self, key: &RecordKey) -> anyhow::Result<()> {
        match &self.damage {
            Some(damage) => damage(key.clone()).await,
            None => bail!("the adapter says `foreign_bytes` but its store has no `damage`"),
        }
    }

    /// A time to live that a case can wait for.
    pub(crate) fn short_ttl(&self) -> Duration {
        match self.clock {
            Some(_) => MANUAL_TTL,
            None => REAL_TTL,
        }
    }

    /// Lets time pass: advances the clock, or waits.
    pub(crate) async fn advance_time(&self, time: Duration) {
        match &self.clock {
            Some(clock) => clock.advance(time),
            None => tokio::time::sleep(time).await,
        }
    }
}
