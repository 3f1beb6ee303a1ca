//! Every bound of the client, with its unit and reason.

use std::time::Duration;

/// Largest body of an answer, in bytes: a delivery of GitHub's largest payload (25 MB), whose text may grow when it is
/// written anew as JSON, with room for its headers and the receiver's answer.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Largest body of an answer that is no success, of which only the message is read, in bytes.
pub(crate) const MAX_REFUSAL_BYTES: usize = 1 << 20;
/// Redirects that one request follows, as many as GitHub's own clients do for a repository that was renamed twice.
pub(crate) const MAX_REDIRECTS: usize = 3;
/// Attempts to get one answer, the first among them.
pub(crate) const MAX_ATTEMPTS: u32 = 5;
/// Attempts of a query: GitHub takes further points for one that runs into its time limit ("Rate limits and query
/// limits for the GraphQL API").
pub(crate) const MAX_QUERY_ATTEMPTS: u32 = 2;
/// Pages of one list. GitHub gives 100 items in a page, so this is more than any list that we read has.
pub(crate) const MAX_PAGES: u32 = 10_000;
/// Largest file with a token or key, in bytes.
pub(crate) const MAX_SECRET_BYTES: u64 = 64 << 10;
/// Installations whose tokens are kept.
pub(crate) const MAX_INSTALLATIONS: u64 = 10_000;
/// How long the installation of an owner is believed: an App may be removed and installed again.
pub(crate) const INSTALLATION_KEPT: Duration = Duration::from_secs(3600);
/// Slots of calls that ended early, to be freed with the next one. Those beyond it end with their time to live.
pub(crate) const MAX_DROPPED_SLOTS: usize = 1_000;

/// Time limit of a connect.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Lifetime of an idle connection: shorter than load balancers allow.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Life of a token for the App, which GitHub limits to ten minutes.
pub(crate) const JWT_LIFE: Duration = Duration::from_secs(9 * 60);
/// How long before now a token for the App begins, against clocks that differ ("Generating a JSON Web Token").
pub(crate) const JWT_LEEWAY: Duration = Duration::from_secs(60);
/// An installation's token is renewed this long before its end, which is an hour after its beginning.
pub(crate) const RENEW_BEFORE: Duration = Duration::from_secs(10 * 60);
/// Until this long before its end, a token is used while it is renewed: longer than any request.
pub(crate) const USABLE_BEFORE: Duration = Duration::from_secs(2 * 60);
/// Longest pause that GitHub may ask for: its rate limits begin anew within an hour.
pub(crate) const LONGEST_ASKED_PAUSE: Duration = Duration::from_secs(3600);
/// Shortest pause after a secondary limit: GitHub writes whole seconds, and 0 would make a loop without a pause.
pub(crate) const SHORTEST_ASKED_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause after secondary limits that name no time.
pub(crate) const LONGEST_LIMIT_PAUSE: Duration = Duration::from_secs(900);
/// Longest time that is added to a wait, so that callers who wait for the same moment do not come at once.
pub(crate) const LONGEST_JITTER: Duration = Duration::from_secs(1);

/// Requests at the same time, over REST and GraphQL together ("Rate limits for the REST API", secondary limits).
pub(crate) const CONCURRENT_REQUESTS: u32 = 100;
/// Points per minute of REST (same place).
pub(crate) const REST_POINTS: u32 = 900;
/// Points per minute of GraphQL (same place).
pub(crate) const GRAPHQL_POINTS: u32 = 2_000;
/// Points of a request that reads (same place).
pub(crate) const READ_POINTS: u32 = 1;
/// Points of a request that may change something (same place).
pub(crate) const WRITE_POINTS: u32 = 5;
/// The span in which points are counted.
pub(crate) const POINTS_PERIOD: Duration = Duration::from_secs(60);
/// Failures in a row after which the circuit breaker opens.
pub(crate) const BREAKER_FAILURES: u32 = 5;
