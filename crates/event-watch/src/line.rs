//! The lines that stand for no single event: where events are gone, and where they came too fast.

use github_events::visible_within;
use serde_json::Value;

use crate::limits::MAX_DETAIL_UNITS;

/// The line that says that events are gone, from what the edge says about it.
#[must_use]
pub fn gap_line(json: &str) -> String {
    let notice: Value = serde_json::from_str(json).unwrap_or_default();
    let detail = notice["detail"].as_str().unwrap_or_default();
    let detail = match detail.trim() {
        "" => "events are missing",
        detail => detail,
    };
    let detail = visible_within(&detail.replace('"', "'"), MAX_DETAIL_UNITS);
    format!(
        "[gap] {detail}. Catch up with replay_events or GET /events/recent, or look at GitHub itself."
    )
}

/// The line in place of the lines of this many events.
#[must_use]
pub fn more_line(count: u64) -> String {
    format!(
        "[more] {count} further events, too many for a line each. See them with get_recent_events or GET /events/recent."
    )
}

#[cfg(test)]
mod tests {
    use github_events::limits::MAX_LINE_UNITS;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gap_says_what_to_do() {
        let line =
            gap_line(r#"{"truncated":true,"detail":"events before this cursor are missing"}"#);
        assert!(
            line.starts_with("[gap] events before this cursor are missing."),
            "{line}"
        );
        assert!(gap_line("{").starts_with("[gap] events are missing"));
    }

    proptest! {
        #[test]
        fn a_gap_is_one_short_line_whatever_a_server_says(detail in any::<String>()) {
            let line = gap_line(&json!({ "detail": detail }).to_string());
            prop_assert!(line.encode_utf16().count() <= MAX_LINE_UNITS, "{line}");
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            prop_assert!(line.matches('"').count().is_multiple_of(2), "a quote stays open: {line}");
        }
    }
}
