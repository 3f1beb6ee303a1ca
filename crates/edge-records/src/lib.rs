//! What edges keep as records: typed façades over [`ports::Records`], written once for all stores.
//!
//! A façade has the rules of its kind (who may find it, how long it lives, how many there may be) and the form of
//! its state, which carries a version. The contract suite runs each over every adapter.

mod names;
mod posted_calls;
mod sessions;
mod state_version;
mod tasks;

pub use names::{NameRecords, NameRecordsError, StoredBook, VersionedNames};
pub use posted_calls::{
    OpenPostedCall, PostedCallClaim, PostedCallName, PostedCallRecords, PostedCallState,
};
pub use sessions::{
    SessionLimits, SessionPage, SessionRecords, SessionRecordsError, VersionedSession,
};
pub use state_version::{StateVersionError, of_version, with_version};
pub use tasks::{KeptTask, NewTask, TaskLife, TaskLimits, TaskRecords, TaskRecordsError};
