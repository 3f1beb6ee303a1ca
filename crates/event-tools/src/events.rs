//! Past and future events, restricted to what one caller may see.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
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
use model::{
    CursorScope, EntryTag, EventFacts, EventId, FilterDefaults, FilterSet, LogPosition,
    ResourceUri, Sequence, Session, StoredEvent,
};
use tokio::time::{Instant, timeout_at};

use crate::{
    limits::PROGRESS_INTERVAL,
    parked_wait::{ParkedWait, WaitSpan},
    summaries::RecentSummaries,
};

/// Events, restricted to the caller's visibility. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct EventAccess {
    history: EventHistory,
    hub: Arc<Hub>,
    filter_defaults: FilterDefaults,
    base_path: Arc<str>,
    summaries: Arc<RecentSummaries>,
}

impl EventAccess {
    pub(crate) fn new(hub: Arc<Hub>, filter_defaults: FilterDefaults, base_path: &str) -> Self {
        let source: Arc<dyn EventSource> = Arc::<Hub>::clone(&hub);
        Self {
            history: EventHistory::new(source),
            hub,
            filter_defaults,
            base_path: base_path.into(),
            summaries: Arc::default(),
        }
    }

    /// A path of this server as its clients see it.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base_path)
    }

    /// The summaries of events.
    pub(crate) fn summaries(&self) -> &RecentSummaries {
        &self.summaries
    }

    /// What filters mean where they do not say so themselves.
    pub(crate) fn filter_defaults(&self) -> FilterDefaults {
        self.filter_defaults
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

    /// The event with an id; `None` if the log does not hold it, or the caller may not see it.
    pub(crate) async fn event(
        &self,
        caller: &Caller,
        id: &EventId,
    ) -> Result<Option<StoredEvent>, CallError> {
        let reader = caller.reader()?;
        let found = self.history.of(&reader).event(id).await;
        found.map_err(CallError::failed)
    }

    /// The fields of the events of [`Self::query_where`].
    pub(crate) async fn facts_where(
        &self,
        caller: &Caller,
        question: &EventQuery,
        also: Visible<'_>,
    ) -> Result<Vec<Arc<EventFacts>>, CallError> {
        let reader = caller.reader()?;
        let facts = self.history.of(&reader).facts_where(question, also).await;
        facts.map_err(CallError::failed)
    }

    /// The events that match the question, or the first matching ones that arrive within this many
    /// seconds after the call began. Where there are none yet, a call that parks ends here, and is made again when its
    /// wait is over. When the edge drains, this returns early; `question.after` is then the position from which the
    /// caller can continue.
    pub(crate) async fn wait(
        &self,
        caller: &Caller,
        question: &mut EventQuery,
        gone: bool,
        wait_seconds: u64,
    ) -> Result<Box<WaitedPage>, CallError> {
        let span = WaitSpan::begin(caller, wait_seconds);
        let earlier = caller.earlier;
        let generation = earlier.map_or_else(|| self.hub.generation(), |at| at.generation);
        // What the names mean when the call begins, they mean as long as it waits.
        let (filters, names) = (question.filters.clone(), self.hub.names());
        let position = earlier.map_or_else(|| self.hub.position().sequence, |at| at.names_at);
        let began_at = names.at(position);
        question.filters = began_at.bind(&filters).into_owned();
        if let Some(found) = Box::pin(self.found_now(caller, question, &span)).await? {
            return Ok(found);
        }
        // A call that waits keeps what it needs meanwhile: what is done before and after has memory of its own.
        // Before the first read, so that no event is missed.
        let mut waiting = match wait_seconds {
            0 => None,
            _ => match self.begin_wait(caller, &filters, position) {
                Ok(place) => Some(place),
                // Others have taken the room meanwhile: the client calls again.
                Err(_) if earlier.is_some() => None,
                Err(bound) => return Err(bound.into()),
            },
        };
        let found = Box::pin(self.query(caller, question)).await?;
        let mut page = Box::new(WaitedPage::from(found));
        let mut is_begun = false;
        loop {
            if let Some(moved) = self.hub.moved_since(generation, page.through) {
                // The log was replaced, or put back to an earlier state: what follows there may be new.
                // A turn covers no read.
                page.turn = None;
                question.after = moved;
                page.page = Box::pin(self.query(caller, question)).await?;
                page.truncated = true;
                return Ok(page);
            }
            let has_events = !page.events.is_empty() || page.truncated || gone;
            let Some(mut place) = waiting.take() else {
                return Ok(page);
            };
            // A client that waits for less gets an answer, and calls again after its cursor.
            if has_events || span.is_over() || self.hub.is_draining() {
                return Ok(page);
            }
            if caller.parks {
                let reached = (generation, page.through);
                let wait = ParkedWait::new(&self.history, place, reached, span);
                return Err(CallError::Waits(Box::new(wait)));
            }
            let parked = ParkedPage::of(&page);
            drop(page);
            // The filters with what their names mean are made again for each look.
            question.filters = filters.clone();
            // Asked again after each interval, so that a wait ends with its token.
            let reader = caller.reader()?;
            let history = self.history.of(&reader);
            if !std::mem::replace(&mut is_begun, true) {
                caller.release_client();
                // At once: a client gives up where no answer begins.
                Box::pin(self.report(caller, &span, parked.through)).await?;
            }
            let fits = |event: &EventFacts| history.sees(event);
            let next = place.next(generation, parked.through, fits);
            let soon = span.until.min(Instant::now() + PROGRESS_INTERVAL);
            let reached = timeout_at(soon, next).await;
            question.filters = began_at.bind(&filters).into_owned();
            let Ok(reached) = reached else {
                let examined = place.examined_through(generation);
                let through = examined.unwrap_or_default().max(parked.through);
                Box::pin(self.report(caller, &span, through)).await?;
                page = parked.into_page();
                waiting = Some(place);
                continue;
            };
            waiting = Some(place);
            if self.hub.generation() != generation {
                page = parked.into_page();
                continue;
            }
            question.after = reached;
            let found = Box::pin(self.query(caller, question)).await?;
            page = self.woken(caller, found).await?;
        }
    }

    /// What a call finds whose wait is over. `None` if there is nothing, so that it has to wait on: or for the first
    /// time.
    async fn found_now(
        &self,
        caller: &Caller,
        question: &mut EventQuery,
        span: &WaitSpan,
    ) -> Result<Option<Box<WaitedPage>>, CallError> {
        let Some(earlier) = caller.earlier else {
            return Ok(None);
        };
        let is_moved = self
            .hub
            .moved_since(earlier.generation, earlier.examined)
            .is_some();
        // What of the log that is gone is not known before the place is taken anew.
        if is_moved {
            return Ok(None);
        }
        let found = self.query(caller, question).await?;
        if found.events.is_empty() && !found.truncated && !span.is_over() {
            question.after = found.through;
            return Ok(None);
        }
        self.woken(caller, found).await.map(Some)
    }

    /// What a call found that an event has woken.
    async fn woken(&self, caller: &Caller, found: QueryPage) -> Result<Box<WaitedPage>, CallError> {
        let mut page = Box::new(WaitedPage::from(found));
        if !page.events.is_empty() {
            let reader = caller.reader()?;
            // After the query, so that the calls which one event woke share the log's head.
            page.turn = Some(Box::pin(self.hub.woken_turn(&reader.id)).await);
        }
        Ok(page)
    }

    /// Tells a client that asked for it how long the call has waited, and where another call would go on.
    async fn report(
        &self,
        caller: &Caller,
        span: &WaitSpan,
        through: Sequence,
    ) -> Result<(), CallError> {
        if caller.output.progress_token().is_none() {
            return Ok(());
        }
        let cursor = self.hub.cursor_through(&self.reader(caller)?, through);
        let Some(report) = span.report(&cursor) else {
            return Ok(());
        };
        let (waited, all) = (report.waited_seconds, Some(report.most_seconds));
        caller
            .output
            .progress(waited, all, Some(&report.text))
            .await;
        Ok(())
    }

    /// The position of a cursor, and whether events after it are gone: the log may have been
    /// replaced, or may have lost its end.
    pub(crate) async fn position_of(
        &self,
        caller: &Caller,
        cursor: Option<&str>,
    ) -> Result<(Sequence, bool), CallError> {
        if let Some(earlier) = caller.earlier {
            // Read when the call began.
            return Ok((earlier.examined, false));
        }
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
    fn begin_wait(
        &self,
        caller: &Caller,
        filters: &FilterSet,
        began_at: Sequence,
    ) -> Result<EventWait, InputError> {
        let place = self.hub.begin_wait(&caller.principal.id, filters, began_at);
        place.map_err(|bound| InputError::new("filters", &bound.to_string()))
    }

    /// Whether clients with channels get them here.
    pub(crate) fn has_channels(&self) -> bool {
        self.hub.has_channels()
    }

    /// Whether the events of a session are notifications of a channel.
    pub(crate) fn is_channel(&self, session: &Session) -> bool {
        self.hub.channel_of(session).is_some()
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

    /// What the caller should know of names in its filters: those that have had several holders.
    pub(crate) fn name_notes(&self, caller: &Caller, filters: &FilterSet) -> Vec<String> {
        let names = self.hub.names().now();
        names.notes(filters, &caller.principal.sees)
    }

    /// The URI under which a resource is known now, if its owner or repository was renamed.
    pub(crate) fn present_uri(&self, uri: &ResourceUri) -> Option<ResourceUri> {
        self.hub.names().present_uri(uri)
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

/// What a call that waits keeps of a page without events.
#[derive(Debug, Clone, Copy)]
struct ParkedPage {
    through: Sequence,
    through_tag: Option<EntryTag>,
    has_more: bool,
}

impl ParkedPage {
    fn of(page: &QueryPage) -> Self {
        Self {
            through: page.through,
            through_tag: page.through_tag,
            has_more: page.has_more,
        }
    }

    fn into_page(self) -> Box<WaitedPage> {
        let page = QueryPage {
            events: Vec::new(),
            through: self.through,
            through_tag: self.through_tag,
            has_more: self.has_more,
            older: None,
            truncated: false,
        };
        Box::new(page.into())
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
