//! The time that GitHub puts into the GUIDs of its deliveries.

use crate::Timestamp;

/// Largest difference between the time in a GUID and that of the reception at which the former is believed, in
/// milliseconds: GitHub delivers again for three days.
const BELIEVED_MILLIS: u64 = 4 * 24 * 3600 * 1000;
/// The time from the beginning of the Gregorian calendar, from which version 1 counts, to 1970 (RFC 9562 §5.1).
const GREGORIAN_MILLIS: i64 = 12_219_292_800_000;
/// Length of a GUID with its hyphens.
const GUID_CHARACTERS: usize = 36;
/// Units of 100 ns in a millisecond.
const TICKS_PER_MILLI: u64 = 10_000;

/// When a webhook delivery was made, in units of 100 ns since 1582, by its GUID ([`guid_time`]), so it is the same in
/// every copy of a delivery, whenever and wherever it arrives. For a GUID that does not tell, it is the time of the
/// reception.
#[must_use]
pub fn delivery_time(guid: Option<&str>, received_at: Timestamp) -> u64 {
    let told = guid.and_then(|guid| guid_time(guid, received_at));
    told.unwrap_or_else(|| gregorian_millis(received_at).saturating_mul(TICKS_PER_MILLI))
}

/// [`delivery_time`] as a timestamp, which has milliseconds.
#[must_use]
pub fn delivery_timestamp(guid: Option<&str>, received_at: Timestamp) -> Timestamp {
    let told = guid.and_then(|guid| guid_time(guid, received_at));
    let millis = told.and_then(|ticks| i64::try_from(ticks / TICKS_PER_MILLI).ok());
    millis.map_or(received_at, |millis| {
        Timestamp::from_unix_millis(millis - GREGORIAN_MILLIS)
    })
}

/// The time that a GUID tells, in units of 100 ns since 1582: GitHub's are of version 1 (RFC 9562 §5.1), which begin
/// with it. The id of an event tells that of its delivery: `<guid>.<n>`. `None` for any other GUID or id, and for a
/// time that cannot be, so far is it from that of the reception.
#[must_use]
pub fn guid_time(id: &str, received_at: Timestamp) -> Option<u64> {
    let ticks = ticks_of(id)?;
    let difference = (ticks / TICKS_PER_MILLI).abs_diff(gregorian_millis(received_at));
    (difference <= BELIEVED_MILLIS).then_some(ticks)
}

/// A time in milliseconds since 1582; zero before that.
fn gregorian_millis(time: Timestamp) -> u64 {
    let millis = i64::saturating_add(time.unix_millis(), GREGORIAN_MILLIS);
    u64::try_from(millis).unwrap_or_default()
}

/// The time in a GUID of version 1 in its usual form, five groups of hexadecimal digits; `.` and a number may follow.
fn ticks_of(id: &str) -> Option<u64> {
    let (guid, number) = id.split_once('.').unwrap_or((id, "0"));
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if guid.len() != GUID_CHARACTERS || !is_number {
        return None;
    }
    let guid = uuid::Uuid::try_parse(guid).ok()?;
    let (ticks, _) = guid.get_timestamp()?.to_gregorian();
    (guid.get_version_num() == 1).then_some(ticks)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_guid_of_version_1_tells_when_the_delivery_was_made() {
        // 2014-04-25T12:52:24.582508Z, as other readers of such GUIDs say.
        let received_at = Timestamp::parse("2014-04-25T13:00:00Z").unwrap();
        let time = |guid: &str| delivery_time(Some(guid), received_at);
        let made = time("72d3162e-cc78-11e3-81ab-4c9367dc0958");
        let second = Timestamp::parse("2014-04-25T12:52:24Z").unwrap();
        let second = delivery_time(None, second);
        assert_eq!((made - second) / (1000 * TICKS_PER_MILLI), 0);
        assert_eq!(time("72d3162f-cc78-11e3-81ab-4c9367dc0958"), made + 1);
        assert!(made < delivery_time(None, received_at));
        let told = delivery_timestamp(Some("72d3162e-cc78-11e3-81ab-4c9367dc0958"), received_at);
        assert_eq!(told, Timestamp::parse("2014-04-25T12:52:24.582Z").unwrap());
        assert_eq!(delivery_timestamp(None, received_at), received_at);
    }

    #[test]
    fn any_other_guid_gives_the_time_of_the_reception() {
        let now = Timestamp::parse("2026-11-29T00:00:00Z").unwrap();
        for guid in [
            "72d3162e-cc78-11e3-81ab-4c9367dc0958",
            "0f8fad5b-d9cb-469f-a165-70867728950e",
            "d1",
            "",
            "72d3162e-cc78-1-81ab",
            "zzzzzzzz-cc78-11e3-81ab-4c9367dc0958",
        ] {
            let time = delivery_time(Some(guid), now);
            assert_eq!(time, delivery_time(None, now), "{guid}");
        }
    }

    #[test]
    fn what_only_resembles_a_guid_tells_nothing() {
        let near = Timestamp::parse("2014-04-25T13:00:00Z").unwrap();
        let guid = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
        let upper = guid.to_uppercase();
        for told in [guid, &upper, "72d3162e-cc78-11e3-81ab-4c9367dc0958.12"] {
            assert!(guid_time(told, near).is_some(), "{told}");
        }
        for other in [
            "72d3162e-cc78-11e3",
            "72d3162e-cc78-11e3-81ab-4c9367dc0958-",
            "+2d3162e-cc78-11e3-81ab-4c9367dc0958",
            "72d3162ecc7811e381ab4c9367dc0958",
            "{72d3162e-cc78-11e3-81ab-4c9367dc0958}",
            "urn:uuid:72d3162e-cc78-11e3-81ab-4c9367dc0958",
            "72d3162e-cc78-11e3-81ab-4c9367dc0958.",
            "72d3162e-cc78-11e3-81ab-4c9367dc0958.x",
            "72d3162e-cc78-11e3-81ab-4c9367dc095g",
            "72d3162e-cc78-11e3-81ab-4c9367dc09\u{e9}",
        ] {
            assert_eq!(guid_time(other, near), None, "{other}");
        }
    }

    /// The GUID with a time, as RFC 9562 §5.1 lays it out.
    fn guid(ticks: u64, version: u64, rest: u64) -> String {
        let (low, middle, high) = (ticks & 0xffff_ffff, ticks >> 32 & 0xffff, ticks >> 48);
        let (clock, node) = (rest >> 48, rest & 0xffff_ffff_ffff);
        format!("{low:08x}-{middle:04x}-{version:x}{high:03x}-{clock:04x}-{node:012x}")
    }

    /// Milliseconds since 1970 around 2026, and the same in ticks since 1582.
    fn times() -> impl Strategy<Value = (i64, u64)> {
        (1_700_000_000_000..1_900_000_000_000_i64).prop_map(|millis| {
            let at = Timestamp::from_unix_millis(millis);
            (millis, gregorian_millis(at) * TICKS_PER_MILLI + 7)
        })
    }

    const DAY_MILLIS: i64 = 24 * 3600 * 1000;

    proptest! {
        #[test]
        fn a_guid_tells_its_time_within_days_of_its_reception(
            (millis, ticks) in times(),
            version in 0..16_u64,
            rest in any::<u64>(),
            number in prop::option::of(any::<u16>()),
            away in -8 * DAY_MILLIS..8 * DAY_MILLIS,
        ) {
            let received_at = Timestamp::from_unix_millis(millis + away);
            let mut id = guid(ticks, version, rest);
            id.extend(number.map(|number| format!(".{number}")));
            let is_told = version == 1 && away.unsigned_abs() <= BELIEVED_MILLIS;
            prop_assert_eq!(guid_time(&id, received_at), is_told.then_some(ticks));
            let fallback = delivery_time(None, received_at);
            let expected = if is_told { ticks } else { fallback };
            prop_assert_eq!(delivery_time(Some(&id), received_at), expected);
        }

        #[test]
        fn a_damaged_guid_tells_nothing_or_what_its_own_text_says(
            (_, ticks) in times(),
            rest in any::<u64>(),
            place in 0..36_usize,
            new in any::<char>(),
        ) {
            let text = guid(ticks, 1, rest);
            let text: String = text
                .chars()
                .enumerate()
                .map(|(at, old)| if at == place { new } else { old })
                .collect();
            if let Some(told) = ticks_of(&text) {
                prop_assert_eq!(text.len(), GUID_CHARACTERS);
                let said = guid(told, 1, 0);
                prop_assert_eq!(&said[..19], &text.to_ascii_lowercase()[..19]);
            }
        }

        #[test]
        fn no_text_is_too_odd(text in ".{0,60}", at in any::<i64>()) {
            let at = Timestamp::from_unix_millis(at);
            let _ = (guid_time(&text, at), delivery_time(Some(&text), at));
        }
    }
}
