//! The contract suite on the in-memory adapters.

use std::{num::NonZeroUsize, process::ExitCode, sync::Arc};

use contract::{
    Abilities, BudgetFixture, BusFixture, Harness, LogStoreFixture, Port, SessionPorts,
    SessionStoreFixture, SetBack, SetBackHooks, backend_hook, handle_opener,
};
use model::{ManualClock, RandomIds, Sequence, Timestamp};
use parking_lot::Mutex;
use ports::LogStore;
use store_memory::{InProcessBus, MemoryBudget, MemoryLogStore, MemorySessionStore};

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
        (port != Port::ResourceReader).then(|| Abilities {
            goes_back: port == Port::SessionStore,
            restorable: port == Port::EventLog,
            ..Abilities::default()
        })
    }

    async fn log_store(&self) -> anyhow::Result<LogStoreFixture> {
        let log = Arc::new(MemoryLogStore::new(&RandomIds, LOG_CAPACITY));
        let mut fixture = LogStoreFixture::new(log.clone());
        let saved = Arc::new(Mutex::new(Sequence::START));
        let (kept, last) = (log.clone(), saved.clone());
        fixture.set_back = Some(SetBackHooks {
            save: backend_hook(move || {
                let (log, last) = (kept.clone(), last.clone());
                async move {
                    *last.lock() = log.head().await?.last;
                    Ok(())
                }
            }),
            restore: backend_hook(move || {
                log.put_back(*saved.lock());
                std::future::ready(Ok(()))
            }),
        });
        Ok(fixture)
    }

    async fn session_store(&self) -> anyhow::Result<SessionStoreFixture> {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(
            1_790_000_000_000,
        )));
        let store = Arc::new(MemorySessionStore::new(clock.clone(), 2000));
        let mut fixture = SessionStoreFixture::new(store.clone());
        fixture.clock = Some(clock);
        let saved = Arc::new(Mutex::new(store.save()));
        let (kept, copy) = (store.clone(), saved.clone());
        fixture.handles.set_back = Some(SetBack {
            save: backend_hook(move || {
                *copy.lock() = kept.save();
                std::future::ready(Ok(()))
            }),
            restore: handle_opener(move || {
                store.restore(&saved.lock());
                let store: Arc<dyn SessionPorts> = store.clone();
                std::future::ready(Ok(store))
            }),
        });
        Ok(fixture)
    }

    async fn budget(&self) -> anyhow::Result<BudgetFixture> {
        let now = Timestamp::from_unix_millis(1_790_000_000_000);
        let clock = Arc::new(ManualClock::at(now));
        let mut fixture = BudgetFixture::new(Arc::new(MemoryBudget::new(clock.clone())));
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
