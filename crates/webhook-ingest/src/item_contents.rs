//! Asks the sync role which issue an item of a project shows: the payload has its node id alone. What is found becomes a
//! part of the event, so every edge and every later reader knows the same.

use std::{fmt, sync::Arc};

use github_events::item_content;
use http::HeaderMap;
use model::{FoundResource, TraceContext};
use ports::ResourceFinder;
use tokio::time::timeout;
use tracing::debug;

use crate::{
    form::BodyForm,
    limits::ITEM_CONTENT_PATIENCE,
    metrics::{IngestMetrics, ItemContentOutcome},
};

/// Finds the contents of items.
pub(crate) struct ItemContents {
    finder: Option<Arc<dyn ResourceFinder>>,
    metrics: IngestMetrics,
}

impl fmt::Debug for ItemContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finder = &self.finder;
        f.debug_struct("ItemContents")
            .field("finder", finder)
            .finish_non_exhaustive()
    }
}

impl ItemContents {
    /// Without a finder, items stay without a repository.
    pub(crate) fn new(finder: Option<Arc<dyn ResourceFinder>>, metrics: IngestMetrics) -> Self {
        Self { finder, metrics }
    }

    /// Where the content of a verified delivery of an item is; `None` if nobody knows, in time. The delivery is stored
    /// all the same.
    pub(crate) async fn find(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        trace: TraceContext,
    ) -> Option<FoundResource> {
        let payload = BodyForm::of(headers)
            .unwrap_or(BodyForm::Json)
            .payload(body)?;
        let id = item_content(&payload)?;
        let Some(finder) = &self.finder else {
            self.metrics.item_content(ItemContentOutcome::unavailable);
            return None;
        };
        let found = timeout(ITEM_CONTENT_PATIENCE, finder.find(&id, Some(trace))).await;
        let outcome = match &found {
            Ok(Ok(Some(_))) => ItemContentOutcome::found,
            Ok(Ok(None)) => ItemContentOutcome::unknown,
            Ok(Err(_)) | Err(_) => ItemContentOutcome::unavailable,
        };
        self.metrics.item_content(outcome);
        debug!(trace_id = %trace.trace, %id, ?outcome, "the content of a project's item");
        found.ok()?.ok()?
    }
}
