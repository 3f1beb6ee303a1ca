//! The parameters of each route.

use event_flow::query::{MAX_QUERY_EVENTS, Order};
use model::{FilterDefaults, FilterSet, Timestamp};
use subscriptions::ClientId;

use super::{ParameterError, Parameters, TIME_FORMAT, invalid};

/// Default of `limit` for `/events/recent`.
const RECENT_EVENTS: usize = 100;

/// The parameters of `GET /events/recent`.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentParameters {
    /// The filters; none for all events.
    pub filters: FilterSet,
    /// Only events received at or after this time.
    pub from: Option<Timestamp>,
    /// Only events received before this time.
    pub to: Option<Timestamp>,
    /// The order of the events in the answer.
    pub order: Order,
    /// Maximum number of events: 1 to [`MAX_QUERY_EVENTS`].
    pub limit: usize,
    /// Number of events to pass over first.
    pub offset: usize,
    /// A cursor; only events before it.
    pub before: Option<String>,
}

impl RecentParameters {
    /// The names of the route's own parameters.
    pub(crate) const NAMES: [&str; 6] = ["limit", "offset", "order", "before", "from", "to"];

    /// Reads the pairs of a query string.
    ///
    /// # Errors
    /// An unknown or repeated name, or a value that is out of bounds or has no meaning.
    pub fn read(
        pairs: Vec<(String, String)>,
        defaults: FilterDefaults,
    ) -> Result<Self, ParameterError> {
        let parameters = Parameters::read(pairs, &Self::NAMES, defaults)?;
        let from = parameters.time("from")?;
        Ok(Self {
            order: parameters.order(Order::NewestFirst)?,
            limit: parameters.count("limit", RECENT_EVENTS, MAX_QUERY_EVENTS)?,
            offset: parameters.offset("before")?,
            from,
            to: parameters.end(from)?,
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
    /// The order of the events, which is also the end of the range at which the answer begins.
    pub order: Order,
    /// Maximum number of events: 1 to [`MAX_QUERY_EVENTS`].
    pub limit: usize,
    /// Number of events to pass over first.
    pub offset: usize,
    /// A cursor: only events after it if the oldest come first, only events before it otherwise.
    pub cursor: Option<String>,
}

impl ReplayParameters {
    /// The names of the route's own parameters.
    pub(crate) const NAMES: [&str; 6] = ["limit", "offset", "order", "to", "cursor", "before"];

    /// Reads the time in the path and the pairs of a query string.
    ///
    /// # Errors
    /// As [`RecentParameters::read`], and for a time in no known notation, and a cursor that the order gives no
    /// meaning.
    pub fn read(
        timestamp: &str,
        pairs: Vec<(String, String)>,
        defaults: FilterDefaults,
    ) -> Result<Self, ParameterError> {
        let from = Timestamp::from_input(timestamp);
        let from = from.ok_or_else(|| invalid("timestamp", TIME_FORMAT))?;
        let parameters = Parameters::read(pairs, &Self::NAMES, defaults)?;
        let order = parameters.order(Order::OldestFirst)?;
        let (cursor, other, reason) = match order {
            Order::OldestFirst => (
                "cursor",
                "before",
                "for order=desc only; oldest first, continue with nextCursor as cursor",
            ),
            Order::NewestFirst => (
                "before",
                "cursor",
                "for order=asc only; newest first, continue with previousCursor as before",
            ),
        };
        if parameters.get(other).is_some() {
            return Err(invalid(other, reason));
        }
        Ok(Self {
            from,
            order,
            to: parameters.end(Some(from))?,
            limit: parameters.count("limit", MAX_QUERY_EVENTS, MAX_QUERY_EVENTS)?,
            offset: parameters.offset(cursor)?,
            cursor: parameters.get(cursor).map(ToOwned::to_owned),
            filters: parameters.filters,
        })
    }
}

/// The parameters of `GET /events/stream`.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamParameters {
    /// The filters; none for all events.
    pub filters: FilterSet,
    /// The client's name of its own, which is echoed. Without filters, the stream follows the subscriptions that
    /// it has made under this name.
    pub client_id: Option<ClientId>,
    /// A subscription, which has filters of its own.
    pub subscription: Option<String>,
    /// What a client without the header `Last-Event-ID` names instead: a cursor or a time.
    pub last_event_id: Option<String>,
}

impl StreamParameters {
    /// The names of the route's own parameters.
    pub(crate) const NAMES: [&str; 3] = ["clientId", "lastEventId", "subscription"];

    /// Reads the pairs of a query string.
    ///
    /// # Errors
    /// An unknown or repeated name, or a filter that can never match.
    pub fn read(
        pairs: Vec<(String, String)>,
        defaults: FilterDefaults,
    ) -> Result<Self, ParameterError> {
        let parameters = Parameters::read(pairs, &Self::NAMES, defaults)?;
        if parameters.is_empty("subscription") {
            let reason = "is empty; give the id of a subscription, or open a stream without it";
            return Err(invalid("subscription", reason));
        }
        // A stream of every event is not what a name means that no subscription can have.
        let client_id = parameters.given("clientId").map(ClientId::new);
        let client_id = client_id
            .transpose()
            .map_err(|error| invalid("clientId", error.to_string()))?;
        let has_filters = !parameters.filters.filters().is_empty();
        if has_filters && parameters.get("subscription").is_some() {
            let reason =
                "has filters of its own; leave the others out, or open a stream without it";
            return Err(invalid("subscription", reason));
        }
        Ok(Self {
            subscription: parameters.get("subscription").map(ToOwned::to_owned),
            client_id,
            last_event_id: parameters.get("lastEventId").map(ToOwned::to_owned),
            filters: parameters.filters,
        })
    }
}

/// The parameters of `GET /events/subscribe`.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriptionListParameters {
    /// Maximum number of subscriptions.
    pub limit: usize,
    /// What the page before named.
    pub cursor: Option<String>,
}

impl SubscriptionListParameters {
    /// Reads the pairs of a query string; `max` bounds the page.
    ///
    /// # Errors
    /// An unknown or repeated name, or a value that is out of bounds.
    pub fn read(pairs: Vec<(String, String)>, max: usize) -> Result<Self, ParameterError> {
        let own = ["limit", "cursor"];
        let is_unknown = |(name, _): &&(String, String)| !own.contains(&&**name);
        if let Some((name, _)) = pairs.iter().find(is_unknown) {
            let known = own.join(", ");
            return Err(invalid(name, format!("unknown parameter; known: {known}")));
        }
        let parameters = Parameters::read(pairs, &own, FilterDefaults::default())?;
        Ok(Self {
            limit: parameters.count("limit", max, max)?,
            cursor: parameters.get("cursor").map(ToOwned::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use subscriptions::limits::MAX_CLIENT_ID_BYTES;

    use super::*;

    #[test]
    fn a_subscription_has_no_filters_beside_it_and_a_list_has_none_at_all() {
        let pairs = |query: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            query.iter().map(owned).collect()
        };
        let stream = |query: &[(&str, &str)]| {
            StreamParameters::read(pairs(query), FilterDefaults::default())
        };
        let read = stream(&[("subscription", " s "), ("clientId", "c")]).unwrap();
        assert_eq!(read.subscription.as_deref(), Some("s"));
        assert_eq!(read.client_id.unwrap().as_str(), "c");
        assert_eq!(stream(&[("clientId", "")]).unwrap().client_id, None);
        let long = "c".repeat(MAX_CLIENT_ID_BYTES + 1);
        for (name, words) in [(" ", "must not be empty"), (&long, "up to 256 bytes")] {
            // As where a subscription is made.
            let refused = stream(&[("clientId", name)]).unwrap_err().to_string();
            assert!(
                refused.contains("clientId: ") && refused.contains(words),
                "{refused}"
            );
        }
        for empty in ["", " "] {
            // A script whose id is missing would get every event.
            let refused = stream(&[("subscription", empty)]).unwrap_err().to_string();
            assert!(refused.starts_with("subscription: is empty"), "{refused}");
        }
        let refused = stream(&[("subscription", "s"), ("repo", "acme/rocket")]).unwrap_err();
        assert!(
            refused.to_string().contains("leave the others out"),
            "{refused}"
        );
        let list = |query: &[(&str, &str)]| SubscriptionListParameters::read(pairs(query), 100);
        assert_eq!(list(&[("limit", "7")]).unwrap().limit, 7);
        assert_eq!(list(&[]).unwrap().limit, 100);
        for (query, words) in [
            ([("limit", "101")], "limit: must be"),
            (
                [("owner", "acme")],
                "owner: unknown parameter; known: limit, cursor",
            ),
            (
                [("clientId", "k")],
                "clientId: unknown parameter; known: limit, cursor",
            ),
        ] {
            let refused = list(&query).unwrap_err().to_string();
            assert!(refused.starts_with(words), "{refused}");
            assert!(!refused.contains("resourceType"), "{refused}");
        }
    }

    #[test]
    fn a_replay_takes_the_cursor_of_its_order_and_refuses_the_other() {
        let read = |query: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let pairs = query.iter().map(owned).collect();
            let read = ReplayParameters::read("2026-11-20", pairs, FilterDefaults::default());
            read.map_err(|error| error.to_string())
        };
        for (query, order, cursor) in [
            (&[][..], Order::OldestFirst, None),
            (&[("cursor", "c")], Order::OldestFirst, Some("c")),
            (
                &[("order", "DESC"), ("before", "b")],
                Order::NewestFirst,
                Some("b"),
            ),
        ] {
            let read = read(query).unwrap();
            assert_eq!((read.order, read.cursor.as_deref()), (order, cursor));
        }
        for (query, field, fix) in [
            (&[("before", "b")][..], "before: ", "nextCursor as cursor"),
            (
                &[("order", "desc"), ("cursor", "c")],
                "cursor: ",
                "previousCursor as before",
            ),
            (&[("order", "up")], "order: ", "asc or desc"),
            (&[("to", "2026-11-20")], "to: ", "no event can match"),
        ] {
            let refused = read(query).unwrap_err();
            assert!(
                refused.starts_with(field) && refused.contains(fix),
                "{refused}"
            );
        }
    }
}
