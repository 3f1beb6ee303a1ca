//! Where a watch begins that has not watched before.

use std::time::Duration;

use model::Timestamp;

use crate::{error::WatchError, limits::CURSOR_BYTES};

/// `--since`: a cursor, a time, or how long ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchStart {
    /// As it was given: the same text again is not given anew.
    pub(crate) given: String,
    /// What the edge is told, a cursor or a time.
    pub(crate) position: String,
}

impl WatchStart {
    /// Reads a cursor, a time (RFC 3339, a date, seconds or milliseconds since 1970), or a duration before `now` such
    /// as `2h` (`s`, `m`, `h`, `d`, `w`).
    ///
    /// # Errors
    /// The text is none of these.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, WatchError> {
        let text = text.trim();
        let position = if let Some(time) = Timestamp::from_input(text) {
            time.to_string()
        } else if let Some(ago) = duration(text) {
            now.minus(ago).to_string()
        } else if is_cursor(text) {
            text.to_owned()
        } else {
            return Err(WatchError::Option {
                name: "--since",
                reason: format!(
                    "{text:?} is neither a time such as 2026-11-20T10:00:00Z, nor a duration such as 2h, nor a cursor"
                ),
            });
        };
        Ok(Self {
            given: text.to_owned(),
            position,
        })
    }
}

fn duration(text: &str) -> Option<Duration> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    number.checked_mul(unit).map(Duration::from_secs)
}

/// Whether a text can be a cursor. Only the edge knows whether it is one; a mistyped time must not pass for it, because
/// the edge begins with the next event after a cursor that it does not know.
pub(crate) fn is_cursor(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    CURSOR_BYTES.contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_time_a_duration_or_a_cursor_and_nothing_else() {
        let now = Timestamp::parse("2026-11-20T10:00:00Z").unwrap();
        let cursor = "BwAAAAB_".repeat(8);
        for (text, position) in [
            ("2h", "2026-11-20T08:00:00.000Z"),
            (" 90m ", "2026-11-20T08:30:00.000Z"),
            ("1w", "2026-11-13T10:00:00.000Z"),
            ("2026-11-01T00:00:00+01:00", "2026-10-31T23:00:00.000Z"),
            ("2026-11-01", "2026-11-01T00:00:00.000Z"),
            ("1793000000", "2026-10-26T07:33:20.000Z"),
            (&cursor, &cursor),
        ] {
            let start = WatchStart::parse(text, now).unwrap();
            assert_eq!(start.position, position, "{text}");
            assert_eq!(start.given, text.trim());
        }
        for text in [
            "",
            "yesterday",
            "2",
            "h",
            "-2h",
            "2 h",
            "99999999999999999999h",
            "a b",
        ] {
            let refused = WatchStart::parse(text, now).unwrap_err();
            assert_eq!(refused.exit_code(), 2);
            assert!(refused.to_string().starts_with("--since: "), "{refused}");
        }
    }
}
