//! Every limit of this crate, with its unit and the reason for its value.

use std::time::Duration;

/// Maximum wait for the bus to accept a hint. If it does not, readers find the event when they next poll
/// the log.
pub(crate) const HINT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for which a writer uses the log's identity without reading it again. After a log was replaced
/// without an error for this writer, its hints name the old one for up to this time, and readers get its
/// events when they next poll.
pub(crate) const EPOCH_LIFETIME: Duration = Duration::from_secs(1);
/// Appends that have to fail in a row before they count against readiness, even though the log answers: a
/// single one may have met a pause.
pub(crate) const FAILED_APPENDS: u32 = 2;
/// How long failed appends count. Longer than a dependency may fail before readiness is withdrawn (3.5 s);
/// afterwards the next append is the trial, because a role that is not ready gets none.
pub(crate) const FAILED_APPENDS_PERIOD: Duration = Duration::from_secs(5);
/// Maximum number of events in the answer to one query.
pub const MAX_QUERY_EVENTS: usize = 1000;
/// Maximum number of matching events that one query passes over. Each is read anew for every page; a client that
/// goes further continues from a cursor.
pub const MAX_QUERY_OFFSET: usize = 10_000;
/// Maximum JSON of the events in one answer, in bytes; what does not fit follows on the next page. An
/// answer of this size is encoded within milliseconds, and the budget of answers under way (`sse_edge`) has room for 64 of it.
pub const MAX_ANSWER_BYTES: usize = 4 << 20;
/// Number of events that a query reads at a time.
pub(crate) const PAGE_EVENTS: usize = 500;
/// Maximum number of events that one query scans; the answer then gives the position to continue from.
pub(crate) const MAX_SCANNED_EVENTS: usize = 50_000;
/// Time after which a query that has read a page reads no further one; the answer then gives the position to
/// continue from. Below the 5 s within which an edge answers.
pub(crate) const SEARCH_TIME: Duration = Duration::from_secs(3);
/// Age up to which statistics of the log are shown again: whoever asks more often costs the log nothing.
pub(crate) const STATISTICS_LIFETIME: Duration = Duration::from_secs(1);
/// Time after which a page is shown without statistics: below the 5 s that probes of balancers wait.
pub(crate) const STATISTICS_TIME: Duration = Duration::from_secs(2);

/// The period over which a follower counts the messages of the bus.
pub(crate) const BUSY_WINDOW: Duration = Duration::from_millis(10);
/// Messages in [`BUSY_WINDOW`] from which it takes those of [`BUSY_REST`] together: 2,000 a second.
pub(crate) const BUSY_MESSAGES: u32 = 20;
/// Time for which it rests when it has taken all of them; so much later does it learn of an event.
pub(crate) const BUSY_REST: Duration = Duration::from_millis(1);
/// Time for which it then waits for a message that others have overtaken, before it reads the log: a read of a page that is
/// about to be announced costs as much as the announcements.
pub(crate) const BUSY_GRACE: Duration = Duration::from_millis(20);
