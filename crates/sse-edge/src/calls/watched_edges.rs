//! The edges that run calls whose answers are read here: whether each of them is still there is asked once for all of
//! these calls.

use std::{collections::HashMap, sync::Arc, time::Duration};

use model::LeaseName;
use parking_lot::Mutex;
use ports::Leases;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::limits::CALL_DEADLINE;

#[derive(Debug, Default)]
struct WatchedEntry {
    readers: usize,
    gone: CancellationToken,
}

type WatchTable = Arc<Mutex<HashMap<LeaseName, WatchedEntry>>>;

/// The edges that are watched, by the names of their leases.
#[derive(Debug)]
pub(crate) struct WatchedEdges {
    locks: Arc<dyn Leases>,
    /// How long a lease lasts without an extension.
    lasts: Duration,
    edges: WatchTable,
}

/// A reader's watch over an edge.
#[derive(Debug)]
pub(super) struct EdgeWatch {
    pub(super) name: LeaseName,
    /// Cancelled when the lease of the edge is over.
    pub(super) gone: CancellationToken,
    edges: WatchTable,
}

impl WatchedEdges {
    pub(crate) fn new(locks: Arc<dyn Leases>, lasts: Duration) -> Self {
        Self {
            locks,
            lasts,
            edges: WatchTable::default(),
        }
    }

    /// Watches an edge while the result is held.
    pub(super) fn watch(&self, name: &LeaseName) -> EdgeWatch {
        let mut edges = self.edges.lock();
        let entry = edges.entry(name.clone()).or_default();
        entry.readers += 1;
        EdgeWatch {
            name: name.clone(),
            gone: entry.gone.clone(),
            edges: Arc::clone(&self.edges),
        }
    }

    /// Asks for each edge whether it is still there, a few times within the life of a lease, until the process stops.
    pub(crate) async fn run(&self, closed: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = closed.cancelled() => return,
                () = sleep(self.lasts / 3) => {}
            }
            let names: Vec<_> = self.edges.lock().keys().cloned().collect();
            for name in names {
                if self.is_gone(&name).await
                    && let Some(entry) = self.edges.lock().get(&name)
                {
                    entry.gone.cancel();
                }
            }
        }
    }

    /// Whether nobody holds the lease. Its name does not come again, so whoever gets it here is in nobody's way.
    async fn is_gone(&self, name: &LeaseName) -> bool {
        let acquire = self.locks.acquire(name, self.lasts, Duration::ZERO);
        let Ok(Ok(Some(lease))) = timeout(CALL_DEADLINE, acquire).await else {
            return false;
        };
        let release = self.locks.release(name, &lease.token);
        let _ = timeout(CALL_DEADLINE, release).await;
        true
    }
}

impl Drop for EdgeWatch {
    fn drop(&mut self) {
        let mut edges = self.edges.lock();
        if let Some(entry) = edges.get_mut(&self.name) {
            entry.readers -= 1;
            if entry.readers == 0 {
                edges.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{ManualClock, Timestamp};
    use store_memory::MemorySessionStore;

    use super::*;
    use crate::limits::CALL_LEASE;

    #[tokio::test(start_paused = true)]
    async fn readers_hear_when_the_lease_of_an_edge_is_over() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1)));
        let store = Arc::new(MemorySessionStore::new(
            Arc::<ManualClock>::clone(&clock),
            1,
        ));
        let watched = Arc::new(WatchedEdges::new(store.clone(), CALL_LEASE));
        let name = LeaseName::new("edge-calls:other").unwrap();
        let lease = store.acquire(&name, CALL_LEASE, Duration::ZERO).await;
        lease.unwrap().unwrap();
        let (one, two) = (watched.watch(&name), watched.watch(&name));
        let closed = CancellationToken::new();
        let running = tokio::spawn({
            let (watched, closed) = (Arc::clone(&watched), closed.clone());
            async move { watched.run(closed).await }
        });
        sleep(CALL_LEASE).await;
        assert!(!one.gone.is_cancelled());
        clock.advance(CALL_LEASE * 2);
        one.gone.cancelled().await;
        assert!(two.gone.is_cancelled());
        drop((one, two));
        assert!(watched.edges.lock().is_empty());
        closed.cancel();
        running.await.unwrap();
    }
}
