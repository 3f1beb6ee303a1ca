//! The parameters of each route.

use event_flow::query::{MAX_QUERY_EVENTS, Order};
use model::{FilterSet, Timestamp};

use super::{ParameterError, Parameters, TIME_FORMAT, invalid};

/// Default of `limit` for `/events/recent`.
const RECENT_EVENTS: usize = 100;

/// The parameters of `GET /events/recent`.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentParameters {
    /// The filters; none for all events.
    pub filters: FilterSet,
    /// The order of the events in the answer.
    pub order: Order,
    /// Maximum number of events: 1 to [`MAX_QUERY_EVENTS`].
    pub limit: usize,
    /// A cursor; only events before it.
    pub before: Option<String>,
}

impl RecentParameters {
    /// Reads the pairs of a query string.
    ///
    /// # Errors
    /// An unknown or repeated name, or a value that is out of bounds or has no meaning.
    pub fn read(pairs: Vec<(String, String)>) -> Result<Self, ParameterError> {
        let parameters = Parameters::read(pairs, &["limit", "order", "before"])?;
        let order = parameters.get("order").map(str::to_ascii_lowercase);
        let order = match order.as_deref() {
            None | Some("desc") => Order::NewestFirst,
            Some("asc") => Order::OldestFirst,
            Some(_) => return Err(invalid("order", "use asc or desc")),
        };
        Ok(Self {
            order,
            limit: parameters.count("limit", RECENT_EVENTS, MAX_QUERY_EVENTS)?,
            before: parameters.get("before").map(ToOwned::to_owned),
            filters: parameters.filters,
        })
    }
}

/// The parameters of `GET /events/replay/{timestamp}`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayParameters {
    /// The filters; none for all events.
    pub filters: FilterSet,
    /// Only events received at or after this time.
    pub from: Timestamp,
    /// Only events received before this time.
    pub to: Option<Timestamp>,
    /// Maximum number of events: 1 to [`MAX_QUERY_EVENTS`].
    pub limit: usize,
    /// A cursor; only events after it.
    pub cursor: Option<String>,
}

impl ReplayParameters {
    /// Reads the time in the path and the pairs of a query string.
    ///
    /// # Errors
    /// As [`RecentParameters::read`], and for a time in no known notation.
    pub fn read(timestamp: &str, pairs: Vec<(String, String)>) -> Result<Self, ParameterError> {
        let from = Timestamp::from_input(timestamp);
        let from = from.ok_or_else(|| invalid("timestamp", TIME_FORMAT))?;
        let parameters = Parameters::read(pairs, &["limit", "to", "cursor"])?;
        Ok(Self {
            from,
            to: parameters.time("to")?,
            limit: parameters.count("limit", MAX_QUERY_EVENTS, MAX_QUERY_EVENTS)?,
            cursor: parameters.get("cursor").map(ToOwned::to_owned),
            filters: parameters.filters,
        })
    }
}

/// The parameters of `GET /events/stream`.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamParameters {
    /// The filters; none for all events.
    pub filters: FilterSet,
    /// Echoed to clients that send it.
    pub client_id: Option<String>,
    /// What a client without the header `Last-Event-ID` names instead: a cursor or a time.
    pub last_event_id: Option<String>,
}

impl StreamParameters {
    /// Reads the pairs of a query string.
    ///
    /// # Errors
    /// An unknown or repeated name, or a filter that can never match.
    pub fn read(pairs: Vec<(String, String)>) -> Result<Self, ParameterError> {
        let parameters = Parameters::read(pairs, &["clientId", "lastEventId"])?;
        Ok(Self {
            client_id: parameters.get("clientId").map(ToOwned::to_owned),
            last_event_id: parameters.get("lastEventId").map(ToOwned::to_owned),
            filters: parameters.filters,
        })
    }
}
