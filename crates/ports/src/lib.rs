//! The traits that services see, with numbered contracts.
//!
//! Adapters implement them, services use them, and one suite (crate `contract`) runs every numbered
//! clause against every adapter. Errors carry a class, so that no caller matches on text.
//!
//! Why these ports: the log is the truth and the bus is a hint. `EventLog` keeps the events, which must
//! survive, and `LogStore` is what a store does for it, over opaque bytes; `Bus` announces that there is
//! something new; `Records` keeps state of any kind, with a revision: sessions and tasks; `Mailbox` keeps the
//! messages that one session has not read yet; `Leases` admit one holder at a time to state that has no
//! revision; `Budget` divides a quota that somebody else counts. `ResourceReader` and `MirrorReads` are the sync role as its callers see it.

mod budget;
mod budget_demand;
mod bus;
mod edge_news;
mod event_log;
mod ingest_news;
mod leases;
mod log_store;
mod mailbox;
mod mirror;
mod record;
mod records;
mod resources;
mod store_failure;
mod stores;
mod sync_news;

pub use budget::Budget;
pub use budget_demand::{
    BucketName, BucketRule, BudgetAnswer, BudgetDemand, BudgetNeed, BudgetOutcome, BudgetSlot,
    QuotaReport, SlotRule,
};
pub use bus::{Bus, BusError, BusEvent, BusMessage, BusSubscription, EventHint, Topic};
pub use edge_news::{EdgeName, EdgeNews, InvalidEdgeName, ListChanges};
pub use event_log::{
    AppendResult, EventLog, EventLogError, EventPage, EventsBefore, LogHead, MAX_PAGE_BYTES,
    SeekResult, UndecodableEntry,
};
pub use ingest_news::{DeliveryNotice, DeliveryTicket, IngestNews, OrderedResource, StateOrder};
pub use leases::{Lease, LeaseToken, Leases, Pauses};
pub use log_store::{
    EntryContent, EntryFault, EntryName, EntryPage, LogEntry, LogStore, ReadEntry,
};
pub use mailbox::{Mailbox, MailboxError, MailboxLimits, MailboxPage};
pub use mirror::{
    MirrorAddress, MirrorFilter, MirrorListing, MirrorOrder, MirrorPage, MirrorProgress,
    MirrorReads, MirroredKind, MirroredState,
};
pub use record::{
    Collection, NewRecord, RecordBound, RecordCreation, RecordKey, RecordLife, RecordLimits,
    RecordPage, RecordsError, Revision, StoredRecord,
};
pub use records::Records;
pub use resources::{ResourceError, ResourceFinder, ResourceReader, ResourceState, SyncStatus};
pub use store_failure::StoreFailure;
pub use stores::Stores;
pub use sync_news::{MirroredStates, SyncNews};

/// The boxed source of an error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
