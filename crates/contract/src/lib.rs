//! The contract suite that every adapter of a port has to pass.
//!
//! A port's doc comment numbers its promises (`LS-01`…, `EL-01`…, `SS-01`…, `TS-01`…). Each number has at
//! least one case here, and a test of this crate fails if a number has no case or a case no number.
//! An adapter defines how to create a fresh, isolated port ([`Harness`]) and runs every case:
//!
//! ```toml
//! [[test]]
//! name = "contract"
//! harness = false
//! ```
//!
//! ```no_run
//! // tests/contract.rs of an adapter
//! use std::sync::Arc;
//!
//! use contract::{Abilities, Harness, Port, SessionStoreFixture};
//! # use model::{Clock, ManualClock, Timestamp};
//! # #[derive(Debug)] struct MyStore;
//! # impl MyStore {
//! #     fn new(_: &str, _: Arc<dyn Clock>) -> Arc<dyn contract::SessionPorts> { panic!("an example") }
//! # }
//!
//! struct MyAdapter;
//!
//! #[contract::async_trait]
//! impl Harness for MyAdapter {
//!     fn backend(&self) -> &'static str {
//!         "my-store"
//!     }
//!
//!     fn abilities(&self, port: Port) -> Option<Abilities> {
//!         match port {
//!             Port::SessionStore => Some(Abilities { shared: true, ..Abilities::default() }),
//!             _ => None,
//!         }
//!     }
//!
//!     async fn session_store(&self) -> anyhow::Result<SessionStoreFixture> {
//!         let namespace = contract::unique_name(); // isolates this case's sessions
//!         let clock = Arc::new(ManualClock::at(Timestamp::default()));
//!         let store = MyStore::new(&namespace, clock.clone());
//!         let mut fixture = SessionStoreFixture::new(store);
//!         fixture.clock = Some(clock.clone()); // omit if the server keeps the time
//!         fixture.handles.peer = Some(contract::handle_opener(move || {
//!             let (namespace, clock) = (namespace.clone(), clock.clone());
//!             async move { Ok(MyStore::new(&namespace, clock)) }
//!         }));
//!         Ok(fixture)
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     contract::run(MyAdapter)
//! }
//! ```
//!
//! Cases that need a missing ability are *ignored with the reason in the case's name*, never
//! passed. A case has 30 s and its own runtime with four threads; cases run in parallel.

mod budget;
mod bus;
mod case;
mod event_log;
mod events;
mod handles;
mod harness;
mod held_log;
mod leases;
mod log_fixture;
mod log_store;
mod mailbox;
mod mirror_reads;
mod names;
mod noise;
mod posted_calls;
mod records;
mod records_fixture;
mod resource_reader;
mod run;
mod session_records;
mod sessions;
mod subscriptions;
mod tasks;

pub use async_trait::async_trait;
pub use budget::BudgetFixture;
/// The façades that the suite runs over every store, for an adapter's own tests.
pub use edge_records::{
    NewTask, SessionLimits, SessionRecords, SessionRecordsError, TaskLife, TaskLimits, TaskRecords,
    TaskRecordsError,
};
pub use events::{entry, event, event_received_at, events, issue_event};
pub use handles::{
    BackendHook, HandleOpener, Handles, KeyedHandles, SetBack, backend_hook, handle_opener,
};
pub use harness::{
    Abilities, BusFixture, ForeignBytes, Harness, Port, RecordDamager, ResourceReaderFixture,
    SessionPorts, SessionStoreFixture, record_damager, unique_name,
};
pub use held_log::HeldLog;
pub use log_fixture::{
    EntryPlanter, EventLogFixture, LogStoreFixture, SetBackHooks, entry_planter,
};
pub use records_fixture::RecordsFixture;
pub use run::{ignore, run, run_all};
pub use sessions::session;
/// The event log over a store, for an adapter's own tests.
pub use store_layers::StoredLog;
