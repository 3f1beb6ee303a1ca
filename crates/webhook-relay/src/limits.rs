//! Every bound of the relay, with its unit and reason.

use std::time::Duration;

/// Largest body of an answer, in bytes: a delivery of GitHub's largest payload (25 MB), whose text may grow when it is
/// written anew as JSON, with room for its headers and the receiver's answer.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Largest message of a channel, in bytes: GitHub's largest payload (25 MB), in base64 or escaped as a text.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Deliveries in one page of GitHub's list, the most that it gives.
pub(crate) const PAGE_DELIVERIES: usize = 100;
/// Listed deliveries that are kept until they are relayed. Those beyond it are the newest, which the next look finds
/// again: about 20 MB.
pub(crate) const MAX_LISTED: usize = 200_000;
/// Pages of a long list between two lines of the log.
pub(crate) const PROGRESS_PAGES: usize = 10;
/// Redirects that one request follows, as many as GitHub's own clients do for a repository that was renamed twice.
pub(crate) const MAX_REDIRECTS: usize = 3;
/// Largest file with the cursor, in bytes.
pub(crate) const MAX_CURSOR_BYTES: u64 = 4096;
/// Files of a folder among which the cursor of an earlier version is looked for.
pub(crate) const MAX_CURSOR_FILES: usize = 1000;

/// Time limit of a connect.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Lifetime of an idle connection: shorter than load balancers allow.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time limit of a request, from its first byte to the end of its answer.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest silence of a channel, after which it is opened anew: smee.io sends a ping every 30 s.
pub(crate) const CHANNEL_SILENCE: Duration = Duration::from_secs(90);
/// Time between two lines of the log about messages that are not passed on: anybody who knows the channel can post
/// any number of them.
pub(crate) const REFUSAL_LINES: Duration = Duration::from_secs(60);

/// First pause after a failure.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause after a failure without `Retry-After`.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// First pause after a rate limit that names no time: "at least one minute" (GitHub, "Rate limits for the REST API").
pub(crate) const FIRST_LIMIT_PAUSE: Duration = Duration::from_secs(60);
/// Longest pause after rate limits that name no time.
pub(crate) const LONGEST_LIMIT_PAUSE: Duration = Duration::from_secs(900);
/// Longest pause that a server may ask for: GitHub's rate limits begin anew within an hour.
pub(crate) const LONGEST_ASKED_PAUSE: Duration = Duration::from_secs(3600);

/// Attempts to read a page of GitHub's list, before the look at the list begins anew.
pub(crate) const LOOK_TRIES: u32 = 3;
/// Attempts to read one delivery whose answer makes no sense, before it is left out by name.
pub(crate) const UNREADABLE_TRIES: u32 = 3;
/// Attempts to read one delivery that GitHub does not give, or lists and does not have, before it is left out by name
/// if another one can be read.
pub(crate) const UNAVAILABLE_TRIES: u32 = 6;
/// Other deliveries that are read to see whether the fault is that of one; and the newest.
pub(crate) const PROBES: usize = 4;
/// Attempts to post a delivery to an ingest that answers with a fault of its own.
pub(crate) const FAULT_TRIES: u32 = 8;
