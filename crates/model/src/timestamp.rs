//! Points in time, to the millisecond, in UTC.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A point in time in UTC with millisecond precision; RFC 3339 on the wire.
///
/// From [`Timestamp::MIN`] to [`Timestamp::MAX`], the years that RFC 3339 and protobuf's `Timestamp`
/// can both write: every value can be written, and reads as the same value again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// `0001-01-01T00:00:00.000Z`.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// `9999-12-31T23:59:59.999Z`.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From milliseconds since the Unix epoch; a value out of range becomes the nearest in range,
    /// [`Timestamp::MIN`] or [`Timestamp::MAX`].
    #[must_use]
    pub const fn from_unix_millis(millis: i64) -> Self {
        // `clamp` is not const.
        if millis < Self::MIN.0 {
            Self::MIN
        } else if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// From RFC 3339 text, for instance `2026-11-20T10:00:00Z`; parts of a millisecond are cut off.
    /// `None` for any other text, and for a time whose year in UTC is not 1 to 9999: with an offset,
    /// text of the year 9999 can mean the year 10000.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let millis = parsed.unix_timestamp_nanos().div_euclid(1_000_000);
        let millis = i64::try_from(millis).ok()?;
        (Self::MIN.0..=Self::MAX.0)
            .contains(&millis)
            .then_some(Self(millis))
    }

    /// What [`Self::from_input`] reads, for refusals.
    pub const INPUT_FORMATS: &str = "use RFC 3339, for instance 2026-11-20T10:00:00Z, or the seconds since 1970 in 9 or \
                                     10 digits, or the milliseconds in 12 or 13; 0 is the beginning";

    /// From text that a person or another program wrote, wherever its meaning is certain: RFC 3339; the
    /// same without a zone or with a space for the `T`, and a date alone, in UTC; seconds since the Unix
    /// epoch in 9 or 10 digits (1973 to 2286), milliseconds in 12 or 13, and 0 for the epoch itself. The `+` of an offset that was
    /// not escaped in a query has become a space, and is read as `+`. `None` for any other text.
    #[must_use]
    pub fn from_input(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number: i64 = text.parse().ok()?;
            return match text.len() {
                1 if number == 0 => Some(Self::default()),
                9 | 10 => Some(Self::from_unix_millis(number * 1000)),
                12 | 13 => Some(Self::from_unix_millis(number)),
                _ => None,
            };
        }
        Self::parse(text).or_else(|| Self::parse(&completed(text)?))
    }

    /// Later by `duration`, up to [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_unix_millis(self.0.saturating_add(millis(duration)))
    }

    /// Earlier by `duration`, down to [`Timestamp::MIN`].
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self::from_unix_millis(self.0.saturating_sub(millis(duration)))
    }

    /// The time that has passed since `earlier`; zero if `earlier` is the later of the two.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Completes a date and time to RFC 3339; `None` if it does not begin with a date.
fn completed(text: &str) -> Option<String> {
    const DATE_BYTES: usize = 10;
    let text = text.to_ascii_uppercase();
    let (date, rest) = text.split_at_checked(DATE_BYTES)?;
    if rest.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let time = rest.strip_prefix(['T', ' '])?;
    let end = time.find(['Z', '+', '-', ' ']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(end);
    let seconds = if clock.len() == "10:00".len() {
        ":00"
    } else {
        ""
    };
    let zone = zone.trim_start();
    let sign = match zone.bytes().next() {
        Some(byte) if byte.is_ascii_digit() => "+",
        _ => "",
    };
    let zone = match zone {
        "" | "UTC" => "Z".to_owned(),
        zone => format!("{sign}{zone}"),
    };
    let zone = match zone.split_at_checked("+02".len()) {
        Some((hours, minutes)) if minutes.len() == 2 => format!("{hours}:{minutes}"),
        _ => zone,
    };
    Some(format!("{date}T{clock}{seconds}{zone}"))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .expect("the range of this type lies within that of the calendar");
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            moment.year(),
            u8::from(moment.month()),
            moment.day(),
            moment.hour(),
            moment.minute(),
            moment.second(),
            moment.millisecond()
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom("not an RFC 3339 time, for instance 2026-11-20T10:00:00Z")
        })
    }
}

#[cfg(test)]
#[path = "timestamp_tests.rs"]
mod tests;
