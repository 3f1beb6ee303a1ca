//! Finds the place up to which a log is still the one that was followed.

use model::{Sequence, Timestamp};
use ports::{EventLog, EventLogError, LogHead};

use super::{
    deadline::within,
    trail::{FollowedEntry, Trail},
};

/// Number of entries that are compared first, and then at a time.
const COMPARED_ENTRIES: (usize, usize) = (16, 500);

/// The result of comparing the log with the trail.
#[derive(Debug)]
pub(super) struct LogComparison {
    /// The log's head before the comparison.
    pub(super) head: LogHead,
    /// The last position up to which the log is as it was followed; `None` if nothing differs.
    pub(super) same_through: Option<Sequence>,
}

/// Compares the log with what was followed up to `position`, from there backwards to `suspect` and beyond it
/// for as long as entries differ. Bounded by the length of the trail.
///
/// # Errors
/// The log cannot be read.
pub(super) async fn compare(
    log: &dyn EventLog,
    trail: &Trail,
    position: Sequence,
    suspect: Sequence,
) -> Result<LogComparison, EventLogError> {
    let head = within(log, "read the head", log.head()).await?;
    // The end before the position is proof.
    let mut same_through = (head.last < position).then_some(head.last);
    let mut before = position.min(head.last).next();
    let first = trail.first().map(|first| first.sequence);
    let mut limit = COMPARED_ENTRIES.0;
    // An empty trail has nothing to compare.
    while first.is_some_and(|first| first < before) {
        let read = log.read_before(before, limit);
        let page = within(log, "read backwards", read).await?;
        limit = COMPARED_ENTRIES.1;
        let low = match page.lowest() {
            Some(lowest) => lowest.previous(),
            None => head.trimmed_through,
        };
        let logged = FollowedEntry::all_of(&page).into_iter();
        let low = low.max(head.trimmed_through);
        let difference = trail.difference_within(low, before.previous(), logged);
        same_through = difference.map(Sequence::previous).or(same_through);
        // At the trimmed part there is nothing left to compare. A page that has entries of it is of another
        // state of the log than the head, and so would be the next one.
        let is_end = page.lowest().is_none() || low <= head.trimmed_through;
        if is_end || (difference.is_none() && low < suspect) {
            break;
        }
        before = low.next();
    }
    if let Some(oldest) = trail.first()
        && same_through.is_some_and(|same_through| same_through < oldest.sequence)
    {
        same_through = Some(by_time(log, &head, (oldest, trail.oldest_time())).await?);
    }
    Ok(LogComparison { head, same_through })
}

/// The place to continue when the log has nothing of what is remembered. What was appended since the log was
/// put back was received later than the oldest of the remembered events, which are lost. Without any event,
/// nothing shows when that was: everything counts as new.
async fn by_time(
    log: &dyn EventLog,
    head: &LogHead,
    (oldest, time): (FollowedEntry, Option<Timestamp>),
) -> Result<Sequence, EventLogError> {
    let Some(time) = time else {
        return Ok(head.trimmed_through);
    };
    let found = within(log, "seek", log.seek(time)).await?;
    let position = found.position.min(oldest.sequence.previous());
    Ok(position.min(head.last))
}
