//! Past events as one principal may see them. All answers to clients are read here, so that no surface can
//! forget to apply the principal's visibility, to events and to what they say about other repositories.

use std::{fmt, sync::Arc};

use access::{Principal, Visibility};
use async_trait::async_trait;
use model::{
    Classified, ErrorClass, EventFacts, EventId, PrincipalId, PublicError, Sequence, StoredEvent,
};
use ports::EventLogError;
use tokio::{task::yield_now, time::error::Elapsed};

use crate::query::{EventChoice, EventQuery, QueryPage, Visible};

/// Events whose content is cut for a reader before others get a turn: about a millisecond.
const EVENTS_PER_TURN: usize = 16;

/// The reason why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The log cannot be read.
    #[error("event log failed")]
    Log(#[from] EventLogError),
    /// The log did not answer in time.
    #[error("the event log did not answer in time")]
    Timeout(#[from] Elapsed),
    /// Too many other queries read the log.
    #[error("the event log is searched by too many queries at once; ask again in a moment")]
    Busy,
}

impl Classified for HistoryError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Log(error) => error.class(),
            Self::Timeout(_) => ErrorClass::Transient,
            Self::Busy => ErrorClass::Overloaded,
        }
    }
}

impl PublicError for HistoryError {
    fn code(&self) -> &'static str {
        match self {
            Self::Log(_) | Self::Timeout(_) => "event-log-unavailable",
            Self::Busy => "event-log-busy",
        }
    }

    fn public_text(&self) -> String {
        match self {
            Self::Log(_) | Self::Timeout(_) => self.class().failure_text().to_owned(),
            error => error.to_string(),
        }
    }
}

/// Answers queries over the event log: the log itself, or a cache in front of it that gives the same answers
/// with less work.
#[async_trait]
pub trait EventSource: fmt::Debug + Send + Sync {
    /// The events that match the query and are visible; invisible events do not count towards the limit. The
    /// reader is the principal whose share of the work this is.
    ///
    /// # Errors
    /// The log does not answer in time, is searched by too many queries, or is damaged.
    async fn query(
        &self,
        reader: &PrincipalId,
        query: &EventQuery,
        visible: Visible<'_>,
    ) -> Result<QueryPage, HistoryError>;

    /// The event with an id, if the log holds it and it is visible. The work does not depend on the length of the
    /// log.
    ///
    /// # Errors
    /// As [`Self::query`].
    async fn event(
        &self,
        reader: &PrincipalId,
        id: &EventId,
        visible: Visible<'_>,
    ) -> Result<Option<StoredEvent>, HistoryError>;
}

/// The past events of a source. Cheap to clone; they can be read only on behalf of a principal
/// ([`Self::of`]).
#[derive(Debug, Clone)]
pub struct EventHistory(Arc<dyn EventSource>);

impl EventHistory {
    /// The history that `source` has.
    #[must_use]
    pub fn new(source: Arc<dyn EventSource>) -> Self {
        Self(source)
    }

    /// The history as `principal` sees it.
    #[must_use]
    pub fn of<'h>(&'h self, principal: &'h Principal) -> History<'h> {
        History {
            source: &*self.0,
            principal,
        }
    }
}

/// What a principal may see, of what else is asked for.
struct SeenBy<'s> {
    sees: &'s Visibility,
    also: Visible<'s>,
}

impl EventChoice for SeenBy<'_> {
    fn takes(&self, position: Sequence, event: &EventFacts) -> bool {
        self.sees.allows(event) && self.also.takes(position, event)
    }

    fn is_spent(&self) -> bool {
        self.also.is_spent()
    }
}

/// The events that one principal may see.
#[derive(Debug, Clone, Copy)]
pub struct History<'h> {
    source: &'h dyn EventSource,
    principal: &'h Principal,
}

impl History<'_> {
    /// Answers a query.
    ///
    /// # Errors
    /// The log does not answer in time, is searched by too many queries, or is damaged.
    pub async fn query(&self, query: &EventQuery) -> Result<QueryPage, HistoryError> {
        self.query_where(query, &|_: &EventFacts| true).await
    }

    /// As [`Self::query`], with an additional condition that filters cannot express.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn query_where(
        &self,
        query: &EventQuery,
        also: Visible<'_>,
    ) -> Result<QueryPage, HistoryError> {
        let mut page = self.query_uncut(query, also).await?;
        let sees = &self.principal.sees;
        if !sees.is_all() {
            for (place, event) in page.events.iter_mut().enumerate() {
                event.item.json = sees.cut_event(&event.item);
                if place % EVENTS_PER_TURN == EVENTS_PER_TURN - 1 {
                    yield_now().await;
                }
            }
        }
        Ok(page)
    }

    /// The event with an id; `None` if the log does not hold it, or the principal may not see it.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn event(&self, id: &EventId) -> Result<Option<StoredEvent>, HistoryError> {
        let visible = |event: &EventFacts| self.principal.sees.allows(event);
        let found = self.source.event(&self.principal.id, id, &visible).await?;
        Ok(found.map(|mut event| {
            event.json = self.principal.sees.cut_event(&event);
            event
        }))
    }

    /// The fields of the events that [`Self::query_where`] returns, for whoever shows nothing else.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn facts_where(
        &self,
        query: &EventQuery,
        also: Visible<'_>,
    ) -> Result<Vec<Arc<EventFacts>>, HistoryError> {
        let page = self.query_uncut(query, also).await?;
        let facts = page.events.into_iter().map(|event| event.item.facts);
        Ok(facts.collect())
    }

    async fn query_uncut(
        &self,
        query: &EventQuery,
        also: Visible<'_>,
    ) -> Result<QueryPage, HistoryError> {
        let seen = SeenBy {
            sees: &self.principal.sees,
            also,
        };
        self.source.query(&self.principal.id, query, &seen).await
    }

    /// Whether the principal may see an event.
    #[must_use]
    pub fn sees(&self, event: &EventFacts) -> bool {
        self.principal.sees.allows(event)
    }
}

#[cfg(test)]
mod tests {
    use access::Permissions;
    use model::{
        EventOrigin, EventType, FilterSet, RandomIds, ResourceId, ResourceType, Timestamp,
    };
    use ports::EventLog;
    use store_layers::StoredLog;
    use store_memory::MemoryLogStore;

    use super::*;
    use crate::query::{Order, query_visible, visible_event};

    /// The log alone as a source.
    #[derive(Debug)]
    struct LogSource(StoredLog<MemoryLogStore>);

    #[async_trait]
    impl EventSource for LogSource {
        async fn query(
            &self,
            _: &PrincipalId,
            query: &EventQuery,
            visible: Visible<'_>,
        ) -> Result<QueryPage, HistoryError> {
            Ok(query_visible(&self.0, query, visible).await?)
        }

        async fn event(
            &self,
            _: &PrincipalId,
            id: &EventId,
            visible: Visible<'_>,
        ) -> Result<Option<StoredEvent>, HistoryError> {
            Ok(visible_event(&self.0, id, visible).await?)
        }
    }

    fn event(n: u64, owner: &str) -> StoredEvent {
        let facts = EventFacts {
            id: EventId::new(&n.to_string()).unwrap(),
            event_type: EventType::UPDATED,
            action: None,
            resource_type: ResourceType::ISSUE,
            resource_id: ResourceId::new("I_1").unwrap(),
            owner: Some(owner.to_owned()),
            repo: Some("repo".to_owned()),
            number: Some(n),
            ids: model::GithubIds::default(),
            former: None,
            actor: None,
            author: None,
            source: EventOrigin::WEBHOOK,
            tags: Vec::new(),
            timestamp: Timestamp::default(),
            received_at: Timestamp::default(),
        };
        StoredEvent {
            facts: facts.into(),
            json: "{}".into(),
            trace: None,
        }
    }

    #[tokio::test]
    async fn what_a_principal_may_not_see_is_not_there_and_takes_no_place() {
        let log = StoredLog::new(MemoryLogStore::new(
            &RandomIds,
            std::num::NonZeroUsize::new(100).unwrap(),
        ));
        let owners = ["mine", "theirs", "mine", "theirs", "mine"];
        let events = (0..)
            .zip(owners)
            .map(|(n, owner)| event(n, owner))
            .collect();
        log.append(events).await.unwrap();
        let history = EventHistory::new(Arc::new(LogSource(log)));
        let principal = Principal::new(
            PrincipalId::new("me").unwrap(),
            Permissions::default(),
            Visibility::only(["mine"], []).unwrap(),
        );
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let query = EventQuery::new(FilterSet::all(), order, 3, crate::query::MAX_ANSWER_BYTES);
            let history = history.of(&principal);
            let page = history.query(&query).await.unwrap();
            let mine = |event: &model::Sequenced<StoredEvent>| {
                event.item.facts.owner.as_deref() == Some("mine")
            };
            assert!(page.events.len() == 3 && page.events.iter().all(mine));
            let last = |event: &EventFacts| event.number == Some(4);
            let page = history.query_where(&query, &last).await.unwrap();
            assert_eq!(page.events.len(), 1);
            let by_id = async |id: &str| history.event(&EventId::new(id).unwrap()).await.unwrap();
            assert_eq!(by_id("2").await.unwrap().facts.number, Some(2));
            // What may not be seen, and what there is not.
            assert_eq!((by_id("1").await, by_id("9").await), (None, None));
            assert!(history.sees(&event(1, "mine").facts));
            assert!(!history.sees(&event(1, "theirs").facts));
        }
    }
}
