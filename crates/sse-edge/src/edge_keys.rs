//! The keys of the edge as tools of other roles' lists use them.

use std::sync::Arc;

use fanout::hub::Hub;
use github_tools::PageKeys;
use mcp_server::CallError;
use model::CursorKeys;

/// The keys with which the edge seals the cursors of events.
#[derive(Debug)]
pub(crate) struct EdgeKeys(pub(crate) Arc<Hub>);

impl PageKeys for EdgeKeys {
    fn keys(&self) -> Result<Arc<CursorKeys>, CallError> {
        self.0.started_keys().map_err(CallError::failed)
    }
}
