//! Past and future events, restricted to what one caller may see.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use event_flow::{
    history::{EventHistory, EventSource},
    query::{EventQuery, QueryPage, Visible},
};
use fanout::{
    format::StreamReader,
    hub::{Hub, StreamStart},
    waits::{EventWait, WokenTurn},
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
    ) -> Result<WaitedPage, CallError> {
        let began = Instant::now();
        let until = began + Duration::from_secs(wait_seconds);
        let until = caller.waits_until.map_or(until, |last| until.min(last));
        let generation = self.hub.generation();
        let filters = FilterMatcher::of(&question.filters);
        // Before the first read, so that no event is missed.
        let mut waiting = match wait_seconds {
            0 => None,
            _ => Some(self.begin_wait(caller, &question.filters)?),
        };
        let mut page = WaitedPage::from(self.query(caller, question).await?);
        loop {
            if let Some(moved) = self.hub.moved_since(generation, page.through) {
                // The log was replaced, or put back to an earlier state: what follows there may be new.
                // A turn covers no read.
                page.turn = None;
                question.after = moved;
                page.page = self.query(caller, question).await?;
                page.truncated = true;
                return Ok(page);
            }
            let has_events = !page.events.is_empty() || page.truncated || gone;
            let Some(waiting) = &mut waiting else {
                return Ok(page);
            };
            if has_events || Instant::now() >= until {
                return Ok(page);
            }
            // Asked again after each interval, so that a wait ends with its token.
            let reader = caller.reader()?;
            let history = self.history.of(&reader);
            let fits = |event: &EventFacts| history.shows(&filters, event);
            let next = waiting.next(generation, page.through, fits);
            let soon = until.min(Instant::now() + PROGRESS_INTERVAL);
            let Ok(reached) = timeout_at(soon, next).await else {
                let (waited, all) = (began.elapsed().as_secs_f64(), wait_seconds as f64);
                let text = Some("waiting for an event");
                caller.output.progress(waited, Some(all), text).await;
                continue;
            };
            if self.hub.generation() != generation {
                continue;
            }
            question.after = reached;
            page.page = self.query(caller, question).await?;
            if !page.events.is_empty() {
                // After the query, so that the calls which one event woke share the log's head.
                page.turn = Some(self.hub.woken_turn(&reader.id).await);
            }
            if page.through == question.after && self.hub.generation() == generation {
                // The edge drains.
                return Ok(page);
            }
        }
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
        let opened = self.hub.open_cursor(cursor, scope(caller));
        let opened = opened.map_err(CallError::failed)?;
        let cursor = opened.map_err(|error| InputError::new("cursor", &error.to_string()))?;
        let (begin, principal) = (StreamStart::After(cursor), &caller.principal.id);
        let resolved = self.hub.resolve(begin, principal).await;
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
        let opened = self.hub.open_cursor(cursor, scope(caller));
        let opened = opened.map_err(CallError::failed)?;
        let cursor = opened.map_err(|error| InputError::new("before", &error.to_string()))?;
        let resolved = self.hub.resolve_before(cursor, &caller.principal.id).await;
        resolved.map_err(CallError::failed)
    }

    /// The place of a call that waits: until it ends, events are compared with its filters.
    fn begin_wait(&self, caller: &Caller, filters: &FilterSet) -> Result<EventWait, InputError> {
        let place = self.hub.begin_wait(&caller.principal.id, filters);
        place.map_err(|bound| InputError::new("filters", &bound.to_string()))
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
    ///
    /// # Errors
    /// It does not follow the log yet; so for everything else that names a position.
    pub(crate) fn position(&self) -> Result<LogPosition, CallError> {
        self.hub.started_position().map_err(CallError::failed)
    }

    /// Where a position that was taken earlier continues in the log.
    pub(crate) fn resolve(&self, stored: LogPosition) -> Result<Sequence, CallError> {
        self.position()?;
        Ok(self.hub.timeline().resolve(stored))
    }

    /// The caller's cursor for a position.
    pub(crate) fn cursor(
        &self,
        caller: &Caller,
        position: LogPosition,
    ) -> Result<String, CallError> {
        let LogPosition { sequence, tag, .. } = position;
        let reader = self.reader(caller)?;
        Ok(self.hub.cursor_at(&reader, sequence, tag).to_string())
    }

    /// The caller's cursor after a page.
    pub(crate) fn cursor_after(
        &self,
        caller: &Caller,
        page: &QueryPage,
    ) -> Result<String, CallError> {
        let reader = self.reader(caller)?;
        Ok(self.hub.cursor_after(&reader, page).to_string())
    }

    /// The caller's cursor before a page of the newest events; `None` if there is nothing before it.
    pub(crate) fn cursor_before(
        &self,
        caller: &Caller,
        page: &QueryPage,
    ) -> Result<Option<String>, CallError> {
        let reader = self.reader(caller)?;
        let cursor = self.hub.cursor_before(&reader, page);
        Ok(cursor.map(|cursor| cursor.to_string()))
    }

    fn reader(&self, caller: &Caller) -> Result<StreamReader, CallError> {
        self.hub.reader(scope(caller)).map_err(CallError::failed)
    }
}

/// What a call that may have waited found. The answer is made while this exists: if an event woke the call,
/// that is its turn.
pub(crate) struct WaitedPage {
    page: QueryPage,
    turn: Option<WokenTurn>,
}

impl WaitedPage {
    /// Makes the answer in the turn.
    pub(crate) fn answer<T>(self, make: impl FnOnce(QueryPage) -> T) -> T {
        let Self { page, turn } = self;
        let answer = make(page);
        drop(turn);
        answer
    }
}

impl From<QueryPage> for WaitedPage {
    fn from(page: QueryPage) -> Self {
        Self { page, turn: None }
    }
}

impl Deref for WaitedPage {
    type Target = QueryPage;

    fn deref(&self) -> &QueryPage {
        &self.page
    }
}

impl DerefMut for WaitedPage {
    fn deref_mut(&mut self) -> &mut QueryPage {
        &mut self.page
    }
}

fn scope(caller: &Caller) -> CursorScope {
    CursorScope::events(&caller.principal.id)
}
