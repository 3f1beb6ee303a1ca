//! Revisions and sequences that are never given out twice.
//!
//! A file that is put back to an earlier state would count on from there, and give the numbers of the
//! lost time to other changes: a reader that holds one of them would take the new change for one that
//! it has. A number is therefore the time in microseconds, or one more than the last number if the time
//! has not advanced; builds before this rule only count, which stays correct beside it.

use model::Timestamp;

/// The number after `last`, at this time.
pub(crate) fn next_number(last: u64, now: Timestamp) -> u64 {
    let micros = u64::try_from(now.unix_millis().saturating_mul(1000)).unwrap_or_default();
    // SQLite integers are signed.
    micros
        .min(i64::MAX.cast_unsigned())
        .max(last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_with_the_time_and_without_it() {
        let at = Timestamp::from_unix_millis;
        assert_eq!(next_number(0, at(-1)), 1);
        assert_eq!(next_number(7, at(2)), 2000);
        assert_eq!(next_number(2000, at(2)), 2001);
        assert!(next_number(0, at(1_790_000_000_000)) < 1 << 53);
    }
}
