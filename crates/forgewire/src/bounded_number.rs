//! Numbers of the command line, which a refusal gives bounds.

use std::ops::RangeInclusive;

/// A number of the command line within bounds; a refusal names them.
pub(crate) fn whole_within<T: TryFrom<u64>>(
    text: &str,
    bounds: RangeInclusive<u64>,
) -> Result<T, String> {
    let number = text.trim().parse().ok();
    let number = number.filter(|number| bounds.contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| {
        let (least, most) = (bounds.start(), bounds.end());
        format!("must be a whole number from {least} to {most}")
    })
}
