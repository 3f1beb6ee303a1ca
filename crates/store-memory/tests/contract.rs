//! The contract suite on the in-memory adapters.

use std::{num::NonZeroUsize, process::ExitCode, sync::Arc};

use contract::{Abilities, BusFixture, EventLogFixture, Harness, Port, SessionStoreFixture};
use model::{ManualClock, RandomIds, Timestamp};
use store_memory::{InProcessBus, MemoryEventLog, MemorySessionStore};

/// Small, so that the suite reaches the overflow quickly.
const BUS_CAPACITY: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");
const LOG_CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

struct Memory;

#[contract::async_trait]
impl Harness for Memory {
    fn backend(&self) -> &'static str {
        "memory"
    }

    fn abilities(&self, port: Port) -> Option<Abilities> {
        (port != Port::ResourceReader).then(Abilities::default)
    }

    async fn event_log(&self) -> anyhow::Result<EventLogFixture> {
        Ok(EventLogFixture::new(Arc::new(MemoryEventLog::new(
            &RandomIds,
            LOG_CAPACITY,
        ))))
    }

    async fn session_store(&self) -> anyhow::Result<SessionStoreFixture> {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(
            1_790_000_000_000,
        )));
        let store = Arc::new(MemorySessionStore::new(clock.clone(), 1000));
        let mut fixture = SessionStoreFixture::new(store);
        fixture.clock = Some(clock);
        Ok(fixture)
    }

    async fn bus(&self) -> anyhow::Result<BusFixture> {
        Ok(BusFixture::new(
            Arc::new(InProcessBus::new(BUS_CAPACITY)),
            BUS_CAPACITY.get() + 1,
        ))
    }
}

fn main() -> ExitCode {
    contract::run(Memory)
}
