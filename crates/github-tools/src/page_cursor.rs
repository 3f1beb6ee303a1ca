//! The cursors of pages as callers have them. The mirror's say what is in it, also what a caller may not see; so they are
//! sealed, for the principal that got them, as those of events are.

use std::{fmt, sync::Arc};

use mcp_server::{CallError, Caller};
use model::{CursorKeys, CursorScope, IdSource};
use ports::ResourceError;

/// The keys that all edges share.
pub trait PageKeys: fmt::Debug + Send + Sync {
    /// The keys of now.
    ///
    /// # Errors
    /// They are not known yet, because the log is not.
    fn keys(&self) -> Result<Arc<CursorKeys>, CallError>;
}

/// Seals cursors, and opens them. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct PageCursors {
    pub(crate) keys: Arc<dyn PageKeys>,
    pub(crate) ids: Arc<dyn IdSource>,
}

fn reader(caller: &Caller) -> CursorScope {
    CursorScope::lists(&caller.principal.id)
}

impl PageCursors {
    /// The mirror's cursor of what the caller passes.
    ///
    /// # Errors
    /// It is none that an edge gave to this principal.
    pub(crate) fn open(&self, caller: &Caller, text: &str) -> Result<String, CallError> {
        let opened = self.keys.keys()?.open_place(text, reader(caller));
        opened.map_err(|error| {
            CallError::failed(ResourceError::Refused {
                field: "after",
                problem: error.to_string(),
            })
        })
    }

    /// The mirror's cursor as the caller gets it.
    ///
    /// # Errors
    /// It is longer than any that this build knows of.
    pub(crate) fn seal(&self, caller: &Caller, cursor: &str) -> Result<String, CallError> {
        let salt = self.ids.random_u64();
        let salt = u32::try_from(salt >> 32).expect("32 bits");
        let sealed = self.keys.keys()?.seal_place(cursor, reader(caller), salt);
        sealed.ok_or_else(|| {
            CallError::failed(ResourceError::Malformed {
                source: "its cursor is too long".into(),
            })
        })
    }
}
