//! Every bound of filters, names and subscriptions, with its unit and the reason for its value; and what the
//! bounds allow together.
//!
//! | together | at most | bound by |
//! | --- | --- | --- |
//! | a filter | [`MAX_FILTER_COST`] = 46 comparisons per event | its 13 fields and [`MAX_FILTER_TAGS`] |
//! | a set of filters: one query, or one subscription | 64 × 46 = 2,944 comparisons per event | [`MAX_FILTERS`] |
//! | the subscriptions of a session | [`MAX_SESSION_COST`] = 4,096 comparisons per event | checked when one is added |
//! | the subscriptions in a session's record | [`MAX_SUBSCRIPTION_BYTES`] = 64 KiB | checked when one is added |
//!
//! The sums over the streams of a principal and of an edge are bounded by `fanout`.

/// Longest login of a user or organization, in characters (GitHub, "Username considerations"). Logins are
/// ASCII.
pub const MAX_OWNER_CHARACTERS: usize = 39;
/// Longest name of a repository, in characters (GitHub's form for a new repository). Names are ASCII.
pub const MAX_REPOSITORY_CHARACTERS: usize = 100;
/// Longest name of a label, in characters (GitHub, "Managing labels"); up to 200 bytes.
pub const MAX_LABEL_CHARACTERS: usize = 50;
/// Longest text that is read as a name, in bytes: a URL of GitHub with a query fits.
pub const MAX_NAME_TEXT_BYTES: usize = 1024;
/// Longest URI of a resource, in bytes. The longest canonical one has 181: an owner of 39, a repository of 100
/// and a number of 20 digits.
pub const MAX_RESOURCE_URI_BYTES: usize = 256;

/// Maximum number of filters in one set: of a query, or of a subscription.
pub const MAX_FILTERS: usize = 64;
/// Maximum number of tags in one filter. GitHub allows 100 labels per issue; a filter
/// for more than a few of them is rare.
pub const MAX_FILTER_TAGS: usize = 32;
/// Maximum number of authors in one filter: the people whom an agent may be told to trust.
pub const MAX_FILTER_AUTHORS: usize = 32;
/// Longest login or association of an author that is kept of an event, in bytes: the login of an app has 43.
pub const MAX_AUTHOR_BYTES: usize = 100;
/// Comparisons that one filter may need for an event: one to find it, one for each of its 13 fields, one for
/// each of its tags. Authors and associations are one each, because the event has one of them, which is searched for.
pub const MAX_FILTER_COST: usize = 1 + 13 + MAX_FILTER_TAGS;
/// Longest word for a change, in bytes: the longest that an event has. GitHub's own words are far shorter, but those of
/// `repository_dispatch` are chosen by whoever calls its API.
pub const MAX_ACTION_BYTES: usize = 1024;

/// Number of subscription numbers that a session remembers after the subscriptions were ended (20 bytes each):
/// more than a client makes while it is away.
pub const MAX_RECENT_SUBSCRIPTIONS: usize = 64;

/// Maximum number of subscriptions of one session: an agent has a few.
pub const MAX_SUBSCRIPTIONS: usize = 64;
/// Maximum number of resources to which one session may subscribe.
pub const MAX_RESOURCE_URIS: usize = 256;
/// Comparisons per event that all subscriptions of one session may need, in the unit of
/// [`Filter::cost`](crate::Filter::cost): 64 subscriptions with 16 filters of owner, repository and type. A
/// stream makes them for every event that may concern it, in about 20 µs.
pub const MAX_SESSION_COST: usize = 4096;
/// Bytes that the subscriptions of one session may have in its record: every request of the session loads the
/// record. 64 subscriptions with one filter take 20 KiB, 256 resources 40 KiB.
pub const MAX_SUBSCRIPTION_BYTES: usize = 64 << 10;
