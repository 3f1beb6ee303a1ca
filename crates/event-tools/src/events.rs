//! Past and future events, restricted to what one caller may see.

use std::{sync::Arc, time::Duration};

use event_flow::{
    history::{EventHistory, EventSource},
    query::{EventQuery, QueryPage, Visible},
};
use fanout::{
    budget::MatchShare,
    hub::{Hub, StreamStart},
};
use mcp::params::InputError;
use mcp_server::{CallError, Caller};
use model::{CursorScope, EventFacts, FilterMatcher, FilterSet, LogPosition, Sequence};
use tokio::time::{Instant, timeout_at};

/// Interval at which a waiting call reports progress, to a client that asked for it.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Events, restricted to the caller's visibility. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct EventAccess {
    history: EventHistory,
    hub: Arc<Hub>,
}

impl EventAccess {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        let source: Arc<dyn EventSource> = Arc::<Hub>::clone(&hub);
        Self {
            history: EventHistory::new(source),
            hub,
        }
    }

    /// The events that match the question and that the caller may see.
    pub(crate) async fn query(
        &self,
        caller: &Caller,
        question: &EventQuery,
    ) -> Result<QueryPage, CallError> {
        let reader = caller.reader()?;
        let history = self.history.of(&reader);
        history.query(question).await.map_err(CallError::failed)
    }

    /// As [`Self::query`], with a condition that no filter can express.
    pub(crate) async fn query_where(
        &self,
        caller: &Caller,
        question: &EventQuery,
        also: Visible<'_>,
    ) -> Result<QueryPage, CallError> {
        let reader = caller.reader()?;
        let page = self.history.of(&reader).query_where(question, also).await;
        page.map_err(CallError::failed)
    }

    /// The fields of the events of [`Self::query_where`].
    pub(crate) async fn facts_where(
        &self,
        caller: &Caller,
        question: &EventQuery,
        also: Visible<'_>,
    ) -> Result<Vec<EventFacts>, CallError> {
        let reader = caller.reader()?;
        let facts = self.history.of(&reader).facts_where(question, also).await;
        facts.map_err(CallError::failed)
    }

    /// The events that match the question, or the first matching ones that arrive within this many
    /// seconds. Returns early when the edge drains; `question.after` is then the position from
    /// which the caller can continue.
    pub(crate) async fn wait(
        &self,
        caller: &Caller,
        question: &mut EventQuery,
        gone: bool,
        wait_seconds: u64,
    ) -> Result<QueryPage, CallError> {
        let began = Instant::now();
        let until = began + Duration::from_secs(wait_seconds);
        let generation = self.hub.generation();
        let filters = FilterMatcher::of(&question.filters);
        let _share = match wait_seconds {
            0 => None,
            _ => Some(self.share_of(caller, &question.filters)?),
        };
        let mut page = self.query(caller, question).await?;
        while page.events.is_empty() && !page.truncated && !gone && Instant::now() < until {
            question.after = page.through;
            // Asked again after each interval, so that a wait ends with its token.
            let reader = caller.reader()?;
            let history = self.history.of(&reader);
            let published = self
                .hub
                .published_after(page.through, |event| history.shows(&filters, event));
            let soon = until.min(Instant::now() + PROGRESS_INTERVAL);
            if timeout_at(soon, published).await.is_err() {
                let (waited, all) = (began.elapsed().as_secs_f64(), wait_seconds as f64);
                let text = Some("waiting for an event");
                caller.output.progress(waited, Some(all), text).await;
                continue;
            }
            if let Some(moved) = self.hub.moved_since(generation, page.through) {
                // The log was put back to an earlier state: what follows there may be new.
                question.after = moved;
                page = self.query(caller, question).await?;
                page.truncated = true;
                break;
            }
            page = self.query(caller, question).await?;
            if page.through == question.after {
                // The edge drains.
                break;
            }
        }
        Ok(page)
    }

    /// The position of a cursor, and whether events after it are gone: the log may have been
    /// replaced, or may have lost its end.
    pub(crate) async fn position_of(
        &self,
        caller: &Caller,
        cursor: Option<&str>,
    ) -> Result<(Sequence, bool), CallError> {
        let Some(cursor) = cursor else {
            return Ok((Sequence::START, false));
        };
        self.hub.check_started().map_err(CallError::failed)?;
        let opened = self.hub.open_cursor(cursor, scope(caller));
        let cursor = opened.map_err(|error| InputError::new("cursor", &error.to_string()))?;
        let resolved = self.hub.resolve(StreamStart::After(cursor)).await;
        resolved.map_err(CallError::failed)
    }

    /// The position before which an answer for older events begins: that of a cursor. If the log no longer
    /// has it, the answer begins with the newest event, and events may be gone.
    pub(crate) async fn before(
        &self,
        caller: &Caller,
        cursor: Option<&str>,
    ) -> Result<(Option<Sequence>, bool), CallError> {
        let Some(cursor) = cursor else {
            return Ok((None, false));
        };
        self.hub.check_started().map_err(CallError::failed)?;
        let opened = self.hub.open_cursor(cursor, scope(caller));
        let cursor = opened.map_err(|error| InputError::new("before", &error.to_string()))?;
        let resolved = self.hub.resolve_before(cursor).await;
        resolved.map_err(CallError::failed)
    }

    /// The share of a call that waits: until it ends, every event is compared with its filters.
    fn share_of(&self, caller: &Caller, filters: &FilterSet) -> Result<MatchShare, InputError> {
        let share = self
            .hub
            .take_match_share(&caller.principal.id, filters.cost());
        share.map_err(|bound| InputError::new("filters", &bound.to_string()))
    }

    /// Checks that the filters fit beside those of the caller's open streams on this edge.
    ///
    /// # Errors
    /// They need more comparisons per event than there is room for.
    pub(crate) fn check_match_cost(
        &self,
        caller: &Caller,
        filters: &FilterSet,
    ) -> Result<(), InputError> {
        let fits = self
            .hub
            .check_match_cost(&caller.principal.id, filters.cost());
        fits.map_err(|bound| InputError::new("filters", &bound.to_string()))
    }

    /// This server's present position in the log.
    pub(crate) fn position(&self) -> LogPosition {
        self.hub.position()
    }

    /// Where a position that was taken earlier continues in the log.
    pub(crate) fn resolve(&self, stored: LogPosition) -> Sequence {
        self.hub.timeline().resolve(stored)
    }

    /// The caller's cursor for a position.
    pub(crate) fn cursor(&self, caller: &Caller, position: Sequence) -> String {
        let reader = self.hub.reader(scope(caller));
        self.hub.cursor(&reader, position).to_string()
    }

    /// The caller's cursor after a page.
    pub(crate) fn cursor_after(&self, caller: &Caller, page: &QueryPage) -> String {
        let reader = self.hub.reader(scope(caller));
        let cursor = self.hub.cursor_at(&reader, page.through, page.through_tag);
        cursor.to_string()
    }

    /// The caller's cursor before a page of the newest events; `None` if there is nothing before it.
    pub(crate) fn cursor_before(&self, caller: &Caller, page: &QueryPage) -> Option<String> {
        let reader = self.hub.reader(scope(caller));
        Some(self.hub.cursor_before(&reader, page)?.to_string())
    }
}

fn scope(caller: &Caller) -> CursorScope {
    CursorScope::events(&caller.principal.id)
}
