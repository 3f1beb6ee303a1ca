//! The time that GitHub puts into the GUIDs of its deliveries.

use crate::Timestamp;

/// Largest difference between the time in a GUID and that of the reception at which the former is believed, in
/// milliseconds: GitHub delivers again for three days.
const BELIEVED_MILLIS: u64 = 4 * 24 * 3600 * 1000;
/// The time from the beginning of the Gregorian calendar, from which version 1 counts, to 1970 (RFC 9562 §5.1).
const GREGORIAN_MILLIS: i64 = 12_219_292_800_000;
/// Units of 100 ns in a millisecond.
const TICKS_PER_MILLI: u64 = 10_000;

/// When a webhook delivery was made, in units of 100 ns since 1582: GitHub's GUIDs are of version 1 (RFC 9562 §5.1),
/// which begin with that time, so it is the same in every copy of a delivery, whenever and wherever it arrives. For
/// any other GUID, and for a time that cannot be, it is the time of the reception.
#[must_use]
pub fn delivery_time(guid: Option<&str>, received_at: Timestamp) -> u64 {
    let received = i64::saturating_add(received_at.unix_millis(), GREGORIAN_MILLIS);
    let received = u64::try_from(received).unwrap_or_default();
    let told = guid.and_then(ticks_of).filter(|ticks| {
        let difference = (ticks / TICKS_PER_MILLI).abs_diff(received);
        difference <= BELIEVED_MILLIS
    });
    told.unwrap_or_else(|| received.saturating_mul(TICKS_PER_MILLI))
}

/// The time in a GUID of version 1.
fn ticks_of(guid: &str) -> Option<u64> {
    let guid = uuid::Uuid::try_parse(guid).ok()?;
    let (ticks, _) = guid.get_timestamp()?.to_gregorian();
    (guid.get_version_num() == 1).then_some(ticks)
}

#[cfg(test)]
mod tests {
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
}
