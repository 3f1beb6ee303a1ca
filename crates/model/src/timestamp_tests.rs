use proptest::prelude::*;

use super::*;

#[test]
fn text_round_trips_and_offsets_become_utc() {
    let time = Timestamp::parse("2026-11-20T12:00:01.123+02:00").unwrap();
    assert_eq!(time.to_string(), "2026-11-20T10:00:01.123Z");
    assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
    assert_eq!(Timestamp::parse("yesterday"), None);
}

#[test]
fn what_people_write_is_read_where_its_meaning_is_certain() {
    let ten = "2026-11-20T10:00:00.000Z";
    for text in [
        "2026-11-20T10:00:00Z",
        " 2026-11-20t10:00:00z ",
        "2026-11-20T12:00:00+02:00",
        "2026-11-20T12:00:00 02:00",
        "2026-11-20T12:00:00+0200",
        "2026-11-20 08:00:00 -0200",
        "2026-11-20T10:00:00",
        "2026-11-20 10:00:00.000",
        "2026-11-20T10:00",
        "2026-11-20 10:00 UTC",
        "1795168800",
        "1795168800000",
    ] {
        let read = Timestamp::from_input(text).map(|time| time.to_string());
        assert_eq!(read.as_deref(), Some(ten), "{text}");
    }
    assert_eq!(Timestamp::from_input("0"), Some(Timestamp::default()));
    let day = Timestamp::from_input("2026-11-20").map(|time| time.to_string());
    assert_eq!(day.as_deref(), Some("2026-11-20T00:00:00.000Z"));
    for text in [
        "",
        "1",
        "00",
        "2026",
        "20261120",
        "17951688000",
        "1795168800000000",
        "-1795168800",
        "11/20/2026",
        "2026-11-20T",
        "2026-11-20T10:00:00 CET",
        "2026-13-01",
        "é026-11-20T10:00:00",
        "now",
    ] {
        assert_eq!(Timestamp::from_input(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_input_makes_it_panic(text in "\\PC{0,40}") {
        let _ = Timestamp::from_input(&text);
    }
}

#[test]
fn only_years_that_can_be_written_are_read() {
    for (text, written) in [
        ("9999-12-31T23:59:59.999Z", Some("9999-12-31T23:59:59.999Z")),
        (
            "9999-12-31T23:59:59.9999Z",
            Some("9999-12-31T23:59:59.999Z"),
        ),
        ("9999-12-31T23:59:59-00:01", None),
        (
            "9999-12-31T23:59:59+00:01",
            Some("9999-12-31T23:58:59.000Z"),
        ),
        ("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00.000Z")),
        ("0001-01-01T00:00:00+00:01", None),
        ("0000-12-31T23:59:59Z", None),
        (
            "0000-12-31T23:59:59-00:01",
            Some("0001-01-01T00:00:59.000Z"),
        ),
        ("-0001-01-01T00:00:00Z", None),
        ("10000-01-01T00:00:00Z", None),
        // A leap second is the last moment of its minute.
        ("2016-12-31T23:59:60Z", Some("2016-12-31T23:59:59.999Z")),
        // Before the epoch, parts of a millisecond are cut off in the same direction as after it.
        (
            "1969-12-31T23:59:59.9995Z",
            Some("1969-12-31T23:59:59.999Z"),
        ),
    ] {
        let read = Timestamp::parse(text).map(|time| time.to_string());
        assert_eq!(read.as_deref(), written, "{text}");
    }
    assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00.000Z");
    assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
}

fn writes_and_reads_the_same(time: Timestamp) -> Result<(), TestCaseError> {
    prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
    let json = serde_json::to_string(&time).unwrap();
    prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
    prop_assert_eq!(Timestamp::from_unix_millis(time.unix_millis()), time);
    Ok(())
}

proptest! {
    /// Text around the edges of the range, with every offset that RFC 3339 allows.
    #[test]
    fn whatever_parses_can_be_written_and_reads_the_same(
        year in prop_oneof![Just(0), Just(1), Just(9999), 0..=9999_u32],
        edge in prop_oneof![Just("01-01T00:00:00"), Just("12-31T23:59:59"), Just("06-30T23:59:60")],
        fraction in prop_oneof![Just(String::new()), "\\.[0-9]{1,12}"],
        (sign, hour, minute) in (prop_oneof![Just('+'), Just('-')], 0..=24_u8, 0..=60_u8),
    ) {
        let text = format!("{year:04}-{edge}{fraction}{sign}{hour:02}:{minute:02}");
        if let Some(time) = Timestamp::parse(&text) {
            writes_and_reads_the_same(time)?;
        }
    }

    /// Numbers from stores, from the wire and from arithmetic: any at all.
    #[test]
    fn whatever_a_number_becomes_can_be_written(
        millis in prop_oneof![Just(i64::MIN), Just(i64::MAX), any::<i64>()],
        seconds in prop_oneof![Just(u64::MAX), any::<u64>(), 0..1_000_000_000_000_u64],
    ) {
        let time = Timestamp::from_unix_millis(millis);
        writes_and_reads_the_same(time)?;
        let duration = Duration::from_secs(seconds);
        let (later, earlier) = (time.plus(duration), time.minus(duration));
        prop_assert!(earlier <= time && time <= later);
        for time in [later, earlier] {
            writes_and_reads_the_same(time)?;
        }
        let _ = (later.since(earlier), earlier.since(later));
    }
}
