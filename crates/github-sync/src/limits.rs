//! Every bound of the sync role, with its unit and its reason.

use std::time::Duration;

/// Default of `sync.max_resources`: small ones, such as labels and runs. The typical issue has 5 KiB, so that some 50,000 reach
/// [`MAX_STATE_BYTES`] first. At either bound the least recently used states are evicted, and a later `GetResource` for one of
/// them answers "not found".
pub(crate) const DEFAULT_MAX_RESOURCES: usize = 200_000;

/// Maximum size of all states together, in bytes of JSON; states are evicted at this bound too. A
/// pull request may have hundreds of KiB, so a count alone would not bound the memory.
pub(crate) const MAX_STATE_BYTES: usize = 256 * 1024 * 1024;

/// Repositories, and owners, of which is known which address they have and had: some 400 bytes each, 13 MiB. Beyond it the
/// ones of which nothing was heard for longest are forgotten; their states are "not found" until their next event.
pub(crate) const MAX_MIRRORED_PLACES: usize = 32 * 1024;

/// Addresses of one repository or owner that are remembered: renames of years.
pub(crate) const MAX_ADDRESSES_OF_PLACE: usize = 16;

/// Default of `sync.deadline_seconds`, for one call from end to end. An agent waits for the answer.
pub(crate) const DEFAULT_DEADLINE_SECONDS: u64 = 2;

/// Part of a call's deadline in which the sync role does not wait for the log any more: its answer, or the
/// reason why there is none, has to arrive before the caller gives up.
pub(crate) const ANSWER_RESERVE: Duration = Duration::from_millis(300);

/// Pause before the log's end is read again when it does not fit the follower's position: the follower is
/// about to notice that the log was replaced or put back.
pub(crate) const END_RECHECK: Duration = Duration::from_millis(50);

/// Longest `sync.deadline_seconds`: after that time the user has stopped waiting.
pub(crate) const MAX_DEADLINE_SECONDS: u64 = 60;

/// Largest response that the client reads. A state is no larger than a webhook's payload, 25 MB.
pub(crate) const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Largest request that the server reads: 100 addresses have up to 160 bytes each, a filter up to 11 KiB, a URI 256 bytes.
pub(crate) const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// How often the log's head is read for the lag, in case the follower hangs.
pub(crate) const HEAD_INTERVAL: Duration = Duration::from_secs(2);

/// Pauses before the second, third and further attempts of a read that broke with its connection or found
/// no peer, all within the deadline of the whole call. The first repetition finds another instance at
/// once, if there is one behind the address; the last ones bridge the moment in which a balancer still
/// chooses an instance that has stopped.
pub(crate) const RETRY_PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(300),
];

/// Default of `sync.sweep_seconds`. A webhook that is lost shows after two minutes at most, and a list without news costs
/// GitHub's budget nothing (304).
pub(crate) const DEFAULT_SWEEP_SECONDS: u64 = 120;

/// Longest `sync.sweep_seconds`: GitHub forgets deliveries after three days, and a sweep may fail.
pub(crate) const MAX_SWEEP_SECONDS: u64 = 3600;

/// How far back GitHub's lists of deliveries go ("Viewing webhook deliveries"). What is older cannot be fetched.
pub(crate) const DELIVERIES_KEPT: Duration = Duration::from_secs(3 * 24 * 3600);

/// How much of a list is read again: a delivery is listed when its attempt has ended, after others that GitHub made later.
/// An attempt takes 10 s, and GitHub's queues may be long.
pub(crate) const LIST_OVERLAP: Duration = Duration::from_secs(10 * 60);

/// Deliveries of a webhook whose look-up is not repeated while they are in the part of the list that is read again: 8 bytes
/// each. Beyond it the oldest are looked up once more.
pub(crate) const MAX_SETTLED: usize = 20_000;

/// Webhooks of one place that are looked at, the first page of GitHub's list. A place has at most 20 of one event.
pub(crate) const MAX_HOOKS: usize = 100;

/// Pages that a sweep reads of one webhook's list, 100 deliveries each; the next sweep goes on there. 200 pages are 20,000
/// deliveries, 200 of the 5,000 requests that a token has in an hour.
pub(crate) const MAX_PAGES_PER_SWEEP: u32 = 200;

/// Missing deliveries that wait for their repair, some 200 bytes each. Beyond it the newest are left, and found by a
/// later look at the list.
pub(crate) const MAX_PENDING_REPAIRS: usize = 20_000;

/// Deliveries that one sweep fetches; the next one goes on. As many as a token has requests in an hour.
pub(crate) const MAX_FETCHES_PER_SWEEP: usize = 5_000;

/// Bytes of payloads that one sweep fetches; the next one goes on. A payload has some 15 KB, and 25 MB at most.
pub(crate) const MAX_BYTES_PER_SWEEP: usize = 512 * 1024 * 1024;

/// Deliveries that are fetched at the same time. A payload may have 25 MB, and takes 65 MB while its answer is read and its event
/// is made; with the one that is stored just then, three of them take 195 MB. 5,000 fetches of 150 ms take 6 minutes of a sweep.
pub(crate) const FETCHES_AT_ONCE: usize = 2;

/// Look-ups in the log at the same time.
pub(crate) const LOOKUPS_AT_ONCE: usize = 16;

/// Time limit of a sweep; the next one goes on.
pub(crate) const SWEEP_TIME: Duration = Duration::from_secs(15 * 60);

/// How long a request of a sweep waits for a rate limit and between attempts. Longer pauses end the sweep of that place.
pub(crate) const SWEEP_PATIENCE: Duration = Duration::from_secs(30);

/// Requests of the hour that a sweep leaves to others with the same credentials, as far as GitHub says what is left.
pub(crate) const SWEEP_RESERVE: u32 = 200;

/// Sweeps in which GitHub does not give a delivery that it lists, or not in a form that can be read, before it is given up.
/// One that GitHub fails to give (5xx) is tried on after all others, and from then on a sweep is whole without it.
pub(crate) const FETCH_TRIES: u32 = 3;

/// Of those that GitHub failed to give before, how many may fail once more in one sweep: the others of them are left for the
/// next one. Fewer failures in a row than open the circuit breaker of GitHub's API.
pub(crate) const FAILURES_PER_SWEEP: usize = 3;

/// Deliveries of a place in a row that GitHub refuses or fails to give, after which no more of it are fetched in a sweep: that
/// is the place, or GitHub.
pub(crate) const NOT_GIVEN_IN_A_ROW: u32 = 5;

/// Events of the log that are read to find out whether a later state was stored before the one that is repaired, the newest
/// first. Older ones mark nothing as late.
pub(crate) const MAX_COMPARED_EVENTS: usize = 50_000;

/// Events in a page of that read.
pub(crate) const COMPARED_PAGE: usize = 500;

/// Time limit of an append of a repaired event.
pub(crate) const REPAIR_APPEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Repaired and unrepairable deliveries that `/health` shows.
pub(crate) const RECENT_GAPS: usize = 50;

/// Lines that one sweep logs about single deliveries; beyond it their number is logged.
pub(crate) const SWEEP_LINES: usize = 100;

/// Lease of the replica that sweeps, or that compares a place: so long after its death another one begins.
pub(crate) const SYNC_LEASE: Duration = Duration::from_secs(30);

/// Time after which the lease is extended, and asked for by the others.
pub(crate) const SYNC_LEASE_STEP: Duration = Duration::from_secs(10);

/// Pause after a sweep that ended at a bound, before the next one goes on.
pub(crate) const SWEEP_CONTINUES: Duration = Duration::from_secs(1);

/// Time to live of what is stored of the mirror, from its last change: for as long as the store is there. An issue that nobody
/// changes for years is still an issue.
pub(crate) const MIRROR_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// States of a place that were stored last and are remembered by id, 30 bytes each. A replica that missed more of them reads
/// all states of the place.
pub(crate) const RECENTLY_SAVED: usize = 500;

/// Resources of a list that are no longer listed and wait for their event, 16 bytes each. Of those beyond it there is no event.
pub(crate) const MAX_GONE_WAITING: usize = 1_000;

/// How often the issues of a repository are counted without another reason: a point of GraphQL's limit.
pub(crate) const COUNT_ISSUES_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Pages of numbers of issues that are read at most, 100 numbers each: a point of GraphQL's limit for a page, and 50 bytes of
/// memory for a number while they are read.
pub(crate) const MAX_NUMBER_PAGES: u32 = 1_000;

/// Issues that are missing from their repository and are asked for by themselves in one comparison; the next one goes on.
pub(crate) const MAX_FATES_PER_PASS: usize = 100;

/// Of them, how many GitHub may fail to answer for (5xx) before a comparison leaves the others to the next one:
/// fewer failures in a row than open the circuit breaker of GitHub's API.
pub(crate) const MAX_FATE_FAILURES: usize = 3;

/// States that are stored between two looks at what else is to be stored.
pub(crate) const SAVED_AT_ONCE: usize = 200;

/// States that are on their way to the store at the same time.
pub(crate) const SAVES_AT_ONCE: usize = 16;

/// Places that one replica compares at the same time. GitHub is asked for one page of each.
pub(crate) const PLACES_COMPARED_AT_ONCE: usize = 4;

/// How often it is looked which places are due, and whether another replica has stored states.
pub(crate) const COMPARE_STEP: Duration = Duration::from_secs(5);

/// Places whose stored state is read with one call.
pub(crate) const PLACES_PER_READ: usize = 100;

/// How long after a change its webhook may still arrive: an event of it is made after that time. GitHub's webhooks arrive within
/// seconds, and its queues may be long.
pub(crate) const WEBHOOK_GRACE: Duration = Duration::from_secs(60);

/// Objects of a list that wait for their webhooks, in bytes of JSON. Beyond it the list is read again from before them.
pub(crate) const MAX_HELD_BYTES: usize = 8 * 1024 * 1024;

/// How long an event of a change waits for the sweep of GitHub's lists of deliveries, which may find its webhook.
pub(crate) const SWEEP_GRACE: Duration = Duration::from_secs(15 * 60);

/// Clocks of GitHub and of this machine, and the time between a change and its place in a list: what was created so long before
/// the last comparison may have been missed by it.
pub(crate) const COMPARE_OVERLAP: Duration = Duration::from_secs(10 * 60);

/// How long a comparison waits until the log is read to its end.
pub(crate) const FOLLOW_TIME: Duration = Duration::from_secs(5);

/// Pause before a comparison that ended at its time limit goes on.
pub(crate) const COMPARE_CONTINUES: Duration = Duration::from_secs(1);

/// Time limit for reading the stored mirror at the start. After it the role is ready with what events show, and goes on to read.
pub(crate) const RESTORE_TIME: Duration = Duration::from_secs(10);

/// States that are read from the store with one call.
pub(crate) const RESTORED_AT_ONCE: usize = 1_000;

/// Longest `sync.interval_seconds`.
pub(crate) const MAX_INTERVAL_SECONDS: u64 = 24 * 3600;

/// Longest `sync.initial_timeout_seconds`.
pub(crate) const MAX_COMPARE_SECONDS: u64 = 3600;

/// Lists (a kind of a place) of which is remembered that states were evicted, 40 bytes each. Beyond it every list counts as
/// one of them until a restart.
pub(crate) const MAX_MISSING_LISTS: usize = 32 * 1024;

/// Largest object of GitHub in a stored state, in bytes: a record has up to 1 MiB, and the rest of a state some 2 KiB. What is
/// larger is read from GitHub again after a restart.
pub(crate) const MAX_SAVED_OBJECT_BYTES: usize = 1024 * 1024 - 16 * 1024;

/// Bytes of objects that are given out at once for the store.
pub(crate) const MAX_UNSAVED_BYTES: usize = 8 * 1024 * 1024;

/// Lists whose progress is kept, some 200 bytes each. Beyond it none is added.
pub(crate) const MAX_LIST_PROGRESS: usize = 64 * 1024;

/// Repositories of an organization that are mirrored. Of those beyond it there is no list.
pub(crate) const MAX_REPOSITORIES_OF_OWNER: usize = 2_000;

/// Items of a page of a list: GitHub's maximum.
pub(crate) const LIST_PAGE_ITEMS: usize = 100;

/// Requests of one pass over a list, those of earlier processes among them. 20,000 pages are two million issues; a list that has
/// more, or leads in a circle, is an error.
pub(crate) const MAX_PASS_PAGES: u32 = 20_000;

/// Pages of a list that is always read whole (milestones, labels, releases, projects, an organization's repositories): 10,000
/// objects, as many releases as GitHub lists. Their numbers are stored twice, 200 KB. What is beyond it is left to events.
pub(crate) const MAX_WHOLE_PAGES: usize = 100;

/// Pages of runs of workflows in one round: 300 runs, of 30,000 and more that a busy repository has. Older ones are complete,
/// or events complete them.
pub(crate) const RUN_PAGES: u32 = 3;

/// Age of a change, by the own clock, after which no other one is dated in its second, or is written with an earlier time:
/// far more than a request of GitHub takes (10 s), and than clocks differ.
pub(crate) const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// Points of GraphQL of the hour that a comparison leaves to others with the same credentials, as far as GitHub says what is
/// left.
pub(crate) const POINTS_RESERVE: u32 = 200;

/// Pull requests whose states one query reads: each has four connections, and 100 of them cost a point. With checks a batch
/// takes GitHub some seconds, and it ends a query after ten.
pub(crate) const PULLS_PER_QUERY: usize = 20;

/// Pull requests of a repository whose states one comparison reads: 50 points of the 5,000 of an hour. The next one goes on.
pub(crate) const MAX_PULLS_PER_PASS: usize = 1_000;

/// Issues whose sub-issues one query reads: each has one connection, and 100 of them cost a point.
pub(crate) const ISSUES_PER_QUERY: usize = 50;

/// Issues of a repository whose sub-issues one comparison reads: 40 points. The next one goes on.
pub(crate) const MAX_LINKS_PER_PASS: usize = 2_000;

/// Pages of the items of a project, 50 each: as many items as a project may have. What is beyond it is left out.
pub(crate) const MAX_ITEM_PAGES: u32 = 1_000;

/// Conditions of a place that no webhook tells and that are remembered, some 150 bytes each. Of those beyond it there is no
/// event before others have ended.
pub(crate) const MAX_CONDITIONS: usize = 2_000;

/// Names of checks that the event of pending checks has.
pub(crate) const MAX_CONDITION_CHECKS: usize = 20;

/// Longest `sync.pending_checks_minutes`: a week.
pub(crate) const MAX_PENDING_CHECKS_MINUTES: u64 = 7 * 24 * 60;

/// Longest `sync.waiting_review_hours`: 90 days.
pub(crate) const MAX_WAITING_REVIEW_HOURS: u64 = 90 * 24;

/// Longest `sync.due_milestone_hours`: 30 days.
pub(crate) const MAX_DUE_MILESTONE_HOURS: u64 = 30 * 24;

/// How long a request for a list waits for a rate limit and between attempts. After it the caller decides.
pub(crate) const LIST_PATIENCE: Duration = Duration::from_secs(30);

/// Labels, and words, of one filter: every state is compared with each of them.
pub(crate) const MAX_FILTER_TEXTS: usize = 20;

/// Longest text of a filter, in bytes: a branch's name has up to 255.
pub(crate) const MAX_FILTER_TEXT_BYTES: usize = 256;

/// Bytes of objects that are searched for words for one page; then the page ends, and its cursor goes on. Some 30 ms.
pub(crate) const MAX_SEARCHED_BYTES: usize = 16 * 1024 * 1024;

/// Longest cursor of a list, in bytes: it has a digest, numbers, and an address of up to 140 bytes.
pub(crate) const MAX_CURSOR_BYTES: usize = 1024;

/// Bytes of objects in one answer with the states at several addresses; a single one may be larger. The client reads up to
/// [`MAX_ANSWER_BYTES`].
pub(crate) const MAX_MANY_BYTES: usize = 16 * 1024 * 1024;

/// Time within which others are told of stored states. Without a bus they find them a little later.
pub(crate) const NEWS_TIME: Duration = Duration::from_secs(1);

/// Places of other replicas' news that wait to be looked at; what is left out is found at the next look at all places.
pub(crate) const MAX_PLACES_OF_NEWS: usize = 1_000;
