//! The range and the order of a query, as tools take them.

use event_flow::query::Order;
use mcp::{lenient, params::InputError};
use model::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::filter_input::text_or_number;
use mcp_server::arguments::ArgumentGroup;

/// Which of the events that match are returned.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    default,
    expecting = "an object"
)]
pub(super) struct RangeInput {
    /// Only events received at or after this time (RFC 3339, or seconds or milliseconds since 1970).
    #[serde(deserialize_with = "text_or_number")]
    #[schemars(extend("type" = ["string", "integer", "null"]))]
    from: Option<String>,
    /// Only events received before this time.
    #[serde(deserialize_with = "text_or_number")]
    #[schemars(extend("type" = ["string", "integer", "null"]))]
    to: Option<String>,
    /// Another name of from.
    #[serde(deserialize_with = "text_or_number")]
    #[schemars(extend("type" = ["string", "integer", "null"]))]
    from_timestamp: Option<String>,
    /// Another name of to.
    #[serde(deserialize_with = "text_or_number")]
    #[schemars(extend("type" = ["string", "integer", "null"]))]
    to_timestamp: Option<String>,
    /// asc: oldest first; desc: newest first.
    order: Option<String>,
    /// Only events before this cursor (`previousCursor` of an earlier result).
    pub(super) before: Option<String>,
    /// Maximum number of events to return.
    #[serde(deserialize_with = "lenient::count_between::<1, 1000, _, _>")]
    #[schemars(range(min = 1, max = 1000))]
    pub(super) limit: Option<usize>,
}

impl ArgumentGroup for RangeInput {
    const FIELDS: &[&str] = &[
        "from",
        "to",
        "fromTimestamp",
        "toTimestamp",
        "order",
        "before",
        "limit",
    ];
}

/// The times between which events were received.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct ReceiveTimes {
    /// At or after it.
    pub(super) from: Option<Timestamp>,
    /// Before it.
    pub(super) to: Option<Timestamp>,
}

impl RangeInput {
    /// The times.
    ///
    /// # Errors
    /// One is in no known notation, or given under both of its names, or the end is not after the beginning.
    pub(super) fn times(&self) -> Result<ReceiveTimes, InputError> {
        let from = one("fromTimestamp", "from", &self.from_timestamp, &self.from)?;
        let to = one("toTimestamp", "to", &self.to_timestamp, &self.to)?;
        if let (Some(from), Some(to)) = (from, to)
            && to <= from
        {
            let given = [("to", &self.to), ("toTimestamp", &self.to_timestamp)];
            let name = given.into_iter().find(|(_, text)| text.is_some());
            let reason = "not later than the beginning, so no event can match";
            return Err(InputError::new(name.map_or("to", |(name, _)| name), reason));
        }
        Ok(ReceiveTimes { from, to })
    }

    /// The order, if one is given.
    ///
    /// # Errors
    /// It is neither asc nor desc.
    pub(super) fn order(&self) -> Result<Option<Order>, InputError> {
        let order = self
            .order
            .as_deref()
            .map(|order| order.trim().to_ascii_lowercase());
        match order.as_deref() {
            None | Some("") => Ok(None),
            Some("asc") => Ok(Some(Order::OldestFirst)),
            Some("desc") => Ok(Some(Order::NewestFirst)),
            Some(_) => Err(InputError::new("order", "use asc or desc")),
        }
    }
}

/// The time that is given under one of two names.
fn one(
    older_name: &str,
    name: &str,
    older: &Option<String>,
    given: &Option<String>,
) -> Result<Option<Timestamp>, InputError> {
    match (
        time(older_name, older.as_deref())?,
        time(name, given.as_deref())?,
    ) {
        (Some(_), Some(_)) => {
            let reason = format!("another name of {name}; leave one of them out");
            Err(InputError::new(older_name, &reason))
        }
        (older, given) => Ok(older.or(given)),
    }
}

fn time(field: &str, text: Option<&str>) -> Result<Option<Timestamp>, InputError> {
    let parse = |text| {
        Timestamp::from_input(text).ok_or_else(|| InputError::new(field, Timestamp::INPUT_FORMATS))
    };
    let given = text.filter(|text| !text.is_empty());
    given.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(json: &str) -> RangeInput {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_time_is_read_under_either_name_and_not_under_both() {
        let time = "2026-11-20T10:00:00Z";
        for (name, older) in [("from", "fromTimestamp"), ("to", "toTimestamp")] {
            for name in [name, older] {
                let times = range(&format!(r#"{{"{name}":"{time}"}}"#)).times().unwrap();
                assert_eq!(times.from.or(times.to), Timestamp::parse(time), "{name}");
            }
            let both = format!(r#"{{"{name}":"{time}","{older}":"{time}"}}"#);
            let refused = range(&both).times().unwrap_err().to_string();
            assert!(refused.starts_with(&format!("{older}: ")), "{refused}");
        }
        let refused = range(r#"{"fromTimestamp":"yesterday"}"#).times();
        assert!(refused.unwrap_err().to_string().contains("RFC 3339"));
    }

    #[test]
    fn a_time_may_be_a_number_and_a_range_has_something_in_it() {
        let times = range(r#"{"fromTimestamp":1764374400000,"to":1764374401}"#).times();
        let times = times.unwrap();
        let (from, to) = (times.from.unwrap(), times.to.unwrap());
        assert_eq!(
            (to.unix_millis(), to.since(from).as_secs()),
            (1_764_374_401_000, 1)
        );
        assert_eq!(
            range(r#"{"from":0}"#).times().unwrap().from,
            Some(Timestamp::default())
        );
        for (given, field) in [
            (r#"{"from":"2026-11-20","to":"2026-11-20"}"#, "to: "),
            (
                r#"{"from":"2026-11-20","toTimestamp":"2026-11-19"}"#,
                "toTimestamp: ",
            ),
        ] {
            let refused = range(given).times().unwrap_err().to_string();
            assert!(
                refused.starts_with(field) && refused.contains("not later"),
                "{refused}"
            );
        }
    }

    #[test]
    fn the_order_is_read_in_any_case() {
        for (given, order) in [
            ("{}", None),
            (r#"{"order":""}"#, None),
            (r#"{"order":"ASC"}"#, Some(Order::OldestFirst)),
            (r#"{"order":"desc"}"#, Some(Order::NewestFirst)),
        ] {
            assert_eq!(range(given).order().unwrap(), order, "{given}");
        }
        assert!(range(r#"{"order":"up"}"#).order().is_err());
    }
}
