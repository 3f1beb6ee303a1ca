//! Every bound of the edge, with its unit and reason; and what its bounds allow together.
//!
//! | together | at most | bound by | test |
//! | --- | --- | --- | --- |
//! | the record of a session | 97 KiB: 64 KiB of subscriptions, 16 KiB each of client information and capabilities | [`model::limits::MAX_SUBSCRIPTION_BYTES`], `mcp::limits::MAX_CLIENT_INFO_BYTES` | `the_worst_subscriptions_of_a_client_are_bounded_and_others_get_their_events` |
//! | the records that running calls have loaded, and what they keep of their requests | [`CALL_BYTES`] = 512 MiB: 97 KiB and 64 KiB for each of up to [`MAX_CALLS`] | counted as their JSON; each loads its session once | `what_calls_keep_has_a_bound_and_is_given_back` |
//! | the records of all sessions in the store | [`SESSIONS_BYTES`] = 8 GiB | counted by the store | `beyond_the_bytes_a_session_is_refused_and_may_shrink` |
//! | the records of one principal in the store | 97 KiB × [`MAX_SESSIONS_PER_PRINCIPAL`] = 950 MiB; less with a lower `edge.max_sessions_per_principal` | the number of sessions | `one_principal_cannot_take_the_room_of_others` |
//! | of that, answers to questions | one of 1 MiB for each question that a call asked | the mark in the id of a question, and its stream is closed with the first answer | `an_answer_to_a_question_that_was_never_asked_is_told_and_not_kept`, `a_question_has_one_answer_of_a_bounded_size_on_all_edges_together` |
//! | of that, answers to questions of an earlier version | [`UNMARKED_ANSWER_BYTES`] × [`UNMARKED_ANSWERS`] = 62 MiB for each start of an edge | counted for [`UNMARKED_ANSWERS_TIME`] | `questions_of_an_earlier_version_are_answered_for_a_while_within_bounds` |
//! | lines about refused hosts, origins and tokens | 33 in ten seconds: ten of each kind, and their sums | [`AuditLog`](service_kit::audit::AuditLog) | `refused_hosts_origins_and_tokens_are_counted_and_their_lines_are_bounded` |
//! | the tasks of one principal in the store | 1 MiB × 1,000 = 1,000 MiB | [`edge_records::TaskLimits`] and [`TASK_LIMITS`] | `tasks_that_are_over_make_room_and_those_in_work_do_not` |
//! | looks into the store for sessions that do not exist | `edge.rates.store_calls_per_second` for each principal and edge | a session that this edge does not know counts as a call that uses a store | `every_surface_that_costs_a_store_or_the_log_is_under_the_rates` |
//! | bodies that arrive: `edge.max_body_bytes` × connections | 256 MiB, with ingest's in the same process | [`BODY_BUDGET_BYTES`](service_kit::limits::BODY_BUDGET_BYTES) | `bodies_that_are_held_back_take_no_more_than_the_budget` |
//! | lines that arrive: 4 MiB × [`LINE_CONNECTIONS`], and × [`LINES_IN_FLIGHT`] while they are worked on | the same 256 MiB | the same | the same, and `a_large_line_that_does_not_end_is_told` |
//! | what the waiting calls of one principal keep of their requests | 312 KiB × `edge.rates.waiting_calls` = 312 MiB: 64 KiB of arguments, 80 KiB to which a state is bound, 152 KiB of answers and state, 16 KiB of capabilities | `mcp::limits`; the body is dropped when it is read | `what_a_call_keeps_is_bounded_and_the_refusal_names_the_field`, `a_call_that_waits_holds_nothing_of_its_body` |
//! | what the tasks of one principal keep of theirs, for up to a day | 208 KiB × 1,000 = 203 MiB: arguments, capabilities and earlier answers | the number of tasks | `calls_and_tasks_that_wait_do_not_hold_their_bodies` |
//! | params and answers of batches that are worked on | 2 × [`SMALL_BATCH_BYTES`] × [`MAX_CALLS`] + [`BATCH_BYTES`] = 448 MiB | shared out between principals; a batch without a running call ends at once | `requests_hold_what_the_bound_allows_and_leave_room_to_others`, `an_answer_that_does_not_fit_into_those_of_a_batch_is_an_error_in_its_place` |
//! | leases of the calls that an edge runs, however many | one, extended every third of [`CALL_LEASE`] | the streams of the calls name it | `ten_thousand_calls_have_one_lease` |
//! | looks whether other edges still run the calls that are read here | one for each of these edges and third of [`CALL_LEASE`] | all readers share them; a reader reads its stream when it is told to, or after [`READER_POLL`] | `waits_that_nothing_happens_to_cost_the_stores_nothing` |
//! | states of tasks on their way to listen streams that do not read | 1 MiB × [`LARGE_TASKS`] = 64 MiB, and as much again while they are written; smaller ones 64 KiB for each stream, as any frame | shared out between principals | `listen_streams_that_do_not_read_do_not_hold_the_states_of_their_tasks` |
//! | states of tasks that are being read for listen streams | 1 MiB × [`TASK_READS`] = 8 MiB, and three times as much while they are formatted | the number of reads | the same |
//! | reads of the store by the check of followed tasks | one for each task that is not over and [`TASK_CHECK_INTERVAL`], however many streams follow it | a principal has 1,000 tasks | `a_stream_is_told_each_state_of_a_task_once` |
//! | requests and calls that wait for a turn at the cores | 1 KiB × (the listener's connections + [`MAX_CALLS`] + [`LINES_IN_FLIGHT`] × [`LINE_CONNECTIONS`]) beside what they are | what waits is a request, a call or a line, each of which has its own bound; a client that has used up its share delays itself | `calls_are_charged_to_whoever_makes_them_on_every_surface`, `who_waits_no_longer_is_forgotten` |
//! | bytes of answers that are made, wait or are not yet taken by their clients | [`ANSWER_BYTES`] = 256 MiB, with a token 8/9 of what others leave; up to three times as much while they are encoded | every answer above [`SMALL_ANSWER_BYTES`] holds its part of the budget until its last part is handed over | `answers_that_nobody_reads_stay_within_their_budget_and_refuse_nobody_else`, `who_fills_the_budget_refuses_neither_others_nor_a_small_answer` |
//! | messages of calls that wait for a store that takes nothing | [`UNSTORED_BYTES`] × [`MAX_CALLS`] = 192 MiB; answers are in [`ANSWER_BYTES`], those of up to [`SMALL_ANSWER_BYTES`] beside it for [`CALL_OUTCOME_PATIENCE`] | a notice takes the place of what is beyond | `messages_that_the_store_does_not_take_have_a_bound` |
//! | small answers that are not taken | 32 KiB and hyper's buffer of 16 KiB for each of the listener's connections, for `edge.max_behind_seconds` | `service_kit::http::HttpLimits` | `the_permit_stays_until_the_last_part_is_handed_over` |
//! | answers that are being compressed | 300 KiB of state × [`COMPRESSIONS`] = 5 MiB, and what they become, which is less than they are | beyond it answers are sent as they are | `at_the_bound_an_answer_is_sent_as_it_is` |
//! | lines that wait on NDJSON connections | [`LINE_BYTES`] = 128 MiB, with a token 8/9 of what others leave, and [`LINE_FREE_BYTES`] × [`LINE_CONNECTIONS`] = 31 MiB; larger answers are in [`ANSWER_BYTES`] | a line without room is an error in its place, and the stream of a session goes on from its last line later | `lines_that_nobody_reads_have_one_budget_and_others_have_room`, `lines_that_nobody_reads_count_until_they_are_read_and_all_of_them_come` |
//! | broadcasts that are kept for sessions that are away | [`KEPT_BROADCAST_BYTES`] = 8 MiB in the store, and three times as much in the memory of each edge: in two forms, and once more while they are read | the oldest are removed, and a session that may have missed one is told | `what_is_kept_is_bounded_and_who_misses_something_is_told_once` |
//! | broadcasts of other edges that are worked on or wait | [`BROADCAST_BYTES`] × ([`QUESTIONS_AT_ONCE`] + [`QUESTIONS_WAITING`]) = 72 MiB, sent by operators alone | further ones are not answered, and the edge is named as missing | `with_too_many_questions_an_edge_does_not_answer` |
//! | streams and resumed answers of calls | `edge.max_streams`, with a token 8/9 of what others leave | a resumed answer takes the place of a stream | `resumed_answers_take_the_places_of_streams` |
//! | the subscriptions of clients that streams open with or are brought up to date with: all of an owner × streams that open at once | [`FOLLOWED_BYTES`] × [`LARGE_SUBSCRIPTION_LOADS`] = 32 MiB, and some four times as much when they are decoded; in first steps 1 MiB × [`SMALL_SUBSCRIPTION_LOADS`] = 32 MiB | what is more than [`SUBSCRIPTION_STEP_BYTES`] waits for a turn of its owner and one of the edge, up to [`SUBSCRIPTION_LOAD_WAIT`], and then gets 503 | `however_many_open_at_once_an_owner_has_one_large_load_in_memory` |
//! | loads of the subscriptions of one client: streams × changes × opens | one that runs and one that waits, whoever asks meanwhile; for its open streams one for each [`SUBSCRIPTION_PAUSE`] while they change, and for each [`SUBSCRIPTION_CHECK_INTERVAL`] | each owner has one look at a time | `what_is_asked_for_together_is_loaded_once`, `changes_that_come_together_are_one_look` |
//! | looks at subscriptions that wait for those of another owner | none after a change; at the interval [`CONCURRENT_SUBSCRIPTION_CHECKS`] owners at once | each owner has looks of its own | `a_change_waits_for_no_look_at_another_owner` |
//! | cursors of subscriptions that wait to be stored: streams × subscriptions | [`WAITING_SUBSCRIPTION_USES`] in all, [`CONCURRENT_SUBSCRIPTION_USES`] at once | one for each subscription, however many streams follow it; owners take turns | `what_several_streams_say_of_a_subscription_is_stored_once`, `owners_take_turns_and_what_waits_has_a_bound` |
//! | messages and answers that the sessions of one principal have not read | 256 MiB + 32 KiB × [`MAX_SESSIONS_PER_PRINCIPAL`] = 569 MiB in the store, for an hour | [`ports::MailboxLimits`] | `the_sessions_of_one_principal_have_a_bound_in_bytes` |

use std::time::Duration;

use edge_records::TaskLimits;

/// Extra time before the kernel drops a client that stopped reading; the edge should act first and
/// give the reason.
pub(crate) const KERNEL_EXTRA_TIME: Duration = Duration::from_secs(10);
/// Number of hosts in `edge.allowed_hosts`, and of origins in `edge.allowed_origins`; each request is compared with all of
/// them.
pub(crate) const MAX_ALLOWED_HOSTS: usize = 256;
/// Bytes of the record of a session, at most: the 97 KiB above in full steps of the store.
pub(crate) const MAX_SESSION_BYTES: u64 = 100 << 10;
/// Bytes of the records of all sessions in the store: two steps of it for each of a million sessions. Beyond it no
/// session begins, and none becomes larger.
pub(crate) const SESSIONS_BYTES: u64 = 8 << 30;
/// Number of sessions with unreadable records that the log names; the counter has all.
pub(crate) const LOGGED_SESSIONS: usize = 256;
/// Number of tasks with unreadable records that the log names.
pub(crate) const LOGGED_TASKS: usize = 256;
/// Session changes that wait to be examined; on overflow all sessions with a stream are examined.
pub(crate) const SESSION_CHANGES: usize = 1024;
/// Time within which the body of a POST has to arrive.
pub(crate) const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of the answers of one edge that are under way: 64 of the largest pages.
pub(crate) const ANSWER_BYTES: usize = 256 << 20;
/// Largest answer outside that budget, in bytes: twice the list of tools, so that a client that has used up
/// its share can still do what clients do at first.
pub(crate) const SMALL_ANSWER_BYTES: usize = 32 << 10;
/// Answers that are compressed at once; each has some 300 KiB of state meanwhile.
pub(crate) const COMPRESSIONS: usize = 16;
/// Bytes of an answer that are compressed before others have their turn: less than a millisecond.
pub(crate) const COMPRESSION_STEP_BYTES: usize = 64 << 10;
/// Smallest answer that is compressed, in bytes: a smaller one fits into a packet in any case.
pub(crate) const MIN_COMPRESSED_BYTES: usize = 1 << 10;
/// Largest part of an answer that is handed to a connection, in bytes: as much as the kernel takes of what a
/// client does not read (`TCP_NOTSENT_LOWAT`).
pub(crate) const ANSWER_PART_BYTES: usize = 16 << 10;
/// Time for which an answer waits for room in the budget.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// Answers that wait for room, each with its bytes; beyond that they are refused at once.
pub(crate) const WAITING_ANSWERS: usize = 32;
/// Time after which a client that was refused an answer may call again, in milliseconds.
pub(crate) const ANSWER_RETRY_MILLIS: u64 = 1000;
/// Time for which a connection of lines whose token is revoked waits until its client has read that.
pub(crate) const LAST_WORDS_WAIT: Duration = Duration::from_secs(2);
/// Concurrent calls of sessions on one edge; further ones get 503. Room for 10,000 that wait for an event.
pub(crate) const MAX_CALLS: usize = 12_288;
/// Bytes that they keep of their requests and of the records of their sessions; further ones get 503. A call that waits
/// keeps about 1 KiB, and the largest 161 KiB.
pub(crate) const CALL_BYTES: usize = 512 << 20;
/// Concurrent calls of one session on one edge; further ones get 503.
pub(crate) const MAX_CALLS_PER_SESSION: usize = 64;
/// Time that a batch of the 2025-03-26 revision may take: below the 60 s after which the strictest balancers
/// cut a response that has not begun. What has no answer by then gets an error in its place.
pub(crate) const BATCH_TIME: Duration = Duration::from_secs(55);
/// Time that all waits of a batch may last together, as long as the wait of one request: a later one answers
/// at once with what there is, and its cursor.
pub(crate) const BATCH_WAIT: Duration = Duration::from_secs(50);
/// Bytes of the params of all requests in a batch, which wait for their turn; a request beyond it gets an
/// error in its place. Four times the largest arguments.
pub(crate) const BATCH_PARAM_BYTES: usize = 256 << 10;
/// Bytes of the answers to a batch, as many as one answer over REST has; an answer beyond it is an error in
/// its place, which comes on top of this.
pub(crate) const BATCH_ANSWER_BYTES: usize = 4 << 20;
/// Bytes of the params of a batch, and of its answers, that need no room in [`BATCH_BYTES`].
pub(crate) const SMALL_BATCH_BYTES: usize = 16 << 10;
/// Bytes that all batches may hold together beyond that while they are worked on, shared out between
/// principals. At the bound a request gets an error in its place.
pub(crate) const BATCH_BYTES: usize = 64 << 20;
/// A call that has sent neither an answer nor a message for this long begins to answer as a stream:
/// its connection is kept open, and (from 2025-11-25 on) the client can reconnect for the answer.
pub(crate) const STREAM_AFTER: Duration = Duration::from_secs(3);
/// Frames of a recorded call that wait for its client; a client that reads more slowly is
/// disconnected, and reconnects for the rest.
pub(crate) const WAITING_FRAMES: usize = 64;
/// Time for which a call waits for a client that does not read and could not come back for the rest: its
/// messages cannot be stored. As long as the client of any stream may stay behind by default.
pub(crate) const UNKEPT_CLIENT_WAIT: Duration = Duration::from_secs(MAX_BEHIND_SECONDS);
/// Time for which the calls of an edge that died still count as running. One lease stands for all of them, and is
/// extended every third of this.
pub(crate) const CALL_LEASE: Duration = Duration::from_secs(30);
/// Calls that say at once that this edge runs them, after its lease was lost: three operations of the store each.
pub(crate) const CLAIMS_AT_ONCE: usize = 16;
/// Interval at which the reader of a call that is run elsewhere reads its stream without a hint. A bus that loses
/// messages says so, and then all readers read; this is for what nobody can say, such as a message that was sent
/// while a connection was broken on both sides.
pub(crate) const READER_POLL: Duration = Duration::from_secs(60);
/// Interval at which a call that runs for long stores its beginning again, and keeps its session: a third of the time
/// for which a mailbox keeps a message.
pub(crate) const CALL_REFRESH: Duration = Duration::from_secs(1200);
/// Interval at which a call that waits tells its client how far it is, and sees whether its token still holds. Clients
/// give up after a silence of 60 s or more, and one interval may be lost while an edge is restarted.
pub(crate) const PARKED_CHECK_INTERVAL: Duration = Duration::from_secs(20);
/// Time after which a call that waits, and whose client has gone, no longer waits on this edge: a client that comes back
/// later has it made again, and one that does not must not keep its place among the calls that may wait.
pub(crate) const ABSENT_CLIENT_WAIT: Duration = Duration::from_secs(300);
/// Interval at which the edge to which a client came back says that its call still runs, if it asked for progress: as
/// often as the call itself does.
pub(crate) const READER_PROGRESS_INTERVAL: Duration = Duration::from_secs(20);
/// Time after its end for which a call tries to store its answer while the store does not answer or is full: as
/// long as its lease, which was extended at most a third of that ago.
pub(crate) const CALL_OUTCOME_PATIENCE: Duration = CALL_LEASE;
/// Pause between two attempts to store what a call has sent.
pub(crate) const CALL_STORE_PAUSE: Duration = Duration::from_secs(1);
/// Messages of a call that wait for the store, and their bytes; beyond that a notice takes their place. The answer
/// is not among them.
pub(crate) const UNSTORED_MESSAGES: usize = 64;
/// Bytes of these messages.
pub(crate) const UNSTORED_BYTES: usize = 16 << 10;
/// Time that a call waits for the client's answer to a question: a person may have to think.
pub(crate) const ASK_DEADLINE: Duration = Duration::from_secs(600);
/// Time after its start for which an edge takes answers to questions without a mark: edges of an earlier
/// version ask them. A rollout is over by then, and the last of these questions [`ASK_DEADLINE`] after it.
pub(crate) const UNMARKED_ANSWERS_TIME: Duration = Duration::from_secs(3600);
/// Number of these answers; together with their bytes 62 MiB for each start of an edge.
pub(crate) const UNMARKED_ANSWERS: u32 = 1000;
/// Bytes of one of these answers: the form that a user has filled in, or a list of roots.
pub(crate) const UNMARKED_ANSWER_BYTES: usize = 64 << 10;
/// Interval at which a waiting call checks a mailbox without a hint: the maximum delay caused by a
/// lost hint.
pub(crate) const ANSWER_POLL: Duration = Duration::from_secs(2);
/// Interval at which HTTP+SSE streams check for answers without a hint. Each check is a read of the
/// store, and a bus that loses hints reports it, so this is the last resort.
pub(crate) const ANSWER_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Number of slices into which the streams that carry answers are divided for that check.
pub(crate) const ANSWER_SLICES: usize = 64;
/// Time within which a client has to call again with its answers.
pub(crate) const STATE_LIFETIME: Duration = Duration::from_secs(3600);
/// Maximum time to work on a task.
pub(crate) const TASK_WORK_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Time for which the outcome of a task is kept. At the bound of tasks of one principal, those that ended
/// first make room for new ones.
pub(crate) const TASK_OUTCOME_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// Bounds of the stored tasks of one principal. A task that is worked on has more time left than one that
/// is over, so the store spares only those.
pub(crate) const TASK_LIMITS: TaskLimits = TaskLimits {
    max_tasks_per_owner: 1000,
    spare_ttl: TASK_OUTCOME_TTL,
    max_ttl: Duration::from_secs(2 * 24 * 60 * 60),
    // 1,000 of the largest.
    max_bytes_per_owner: 1010 << 20,
    max_bytes: 64 << 30,
};
/// Interval at which a client should poll a task, in milliseconds.
pub(crate) const TASK_POLL_MILLIS: u64 = 1000;
/// Time for which a task whose edge died still counts as being worked on.
pub(crate) const TASK_LEASE: Duration = Duration::from_secs(60);
/// Time for which an edge tries to store the outcome of a task while the store does not answer or is full: its
/// lease was renewed at most a third of [`TASK_LEASE`] ago, so no other edge has given the task up.
pub(crate) const TASK_OUTCOME_PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two of these attempts.
pub(crate) const TASK_OUTCOME_PAUSE: Duration = Duration::from_secs(1);
/// Interval at which an edge checks the tasks that its listen streams follow, independent of the bus.
pub(crate) const TASK_CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// Tasks that are read for listen streams concurrently; further reads wait for their turn. Formatting a large
/// state takes some milliseconds of a core, which calls need too.
pub(crate) const TASK_READS: usize = 8;
/// Largest state of a task, in bytes, that a listen stream may hold for a client that does not read, as it
/// may hold other frames; a larger one has a place.
pub(crate) const SMALL_TASK_BYTES: usize = 64 << 10;
/// Places for larger states of tasks on their way to listen streams, shared out between principals. At the
/// bound a stream waits, with the id alone.
pub(crate) const LARGE_TASKS: usize = 64;
/// Pause before a stream asks again for such a place.
pub(crate) const LARGE_TASK_PAUSE: Duration = Duration::from_millis(500);
/// Delivery reports of messages that wait to be passed on; on overflow a sender gets "stored",
/// which is also true.
pub(crate) const DELIVERY_REPORTS: usize = 1024;
/// Time that a sender waits for the report that its message was delivered.
pub(crate) const DELIVERY_WAIT: Duration = Duration::from_millis(500);
/// Time that a client of `/mcp/sse` waits for the end of its request; a longer one goes on, and its answer comes on
/// the stream all the same.
pub(crate) const SENT_WAIT: Duration = DELIVERY_WAIT;
/// Time within which other edges have to answer a question; those that do not are named.
pub(crate) const ANSWERS_WAIT: Duration = Duration::from_millis(250);
/// Time that an edge waits for its clients to take a broadcast before it reports: shorter than [`ANSWERS_WAIT`], so
/// that one client that does not read does not cost the report.
pub(crate) const BROADCAST_WAIT: Duration = Duration::from_millis(150);
/// The same for a broadcast that is kept, which each session takes from the store: its count is exact also where the
/// store is slow.
pub(crate) const KEPT_WAIT: Duration = Duration::from_millis(1000);
/// Time within which other edges have to answer for such a broadcast.
pub(crate) const KEPT_ANSWERS_WAIT: Duration = Duration::from_millis(1200);
/// Bytes of the message of a broadcast: its question fits into a message of the bus twice.
pub(crate) const BROADCAST_BYTES: usize = 256 << 10;
/// Broadcasts that are kept for sessions that are away; beyond it the oldest are removed.
pub(crate) const KEPT_BROADCASTS: u32 = 100;
/// Bytes of the kept broadcasts together; beyond it the oldest are removed.
pub(crate) const KEPT_BROADCAST_BYTES: u64 = 8 << 20;
/// Time for which a broadcast is kept: as long as any message to a session.
pub(crate) const KEPT_BROADCAST_TTL: Duration = Duration::from_secs(3600);
/// Time for which an edge does not read again what is kept: many clients reconnect at once.
pub(crate) const KEPT_CACHE_LIFE: Duration = Duration::from_secs(1);
/// Sessions that take kept broadcasts at once, on one edge.
pub(crate) const CONCURRENT_KEPT: usize = 64;
/// Interval at which an edge says that it is there.
pub(crate) const PRESENCE_INTERVAL: Duration = Duration::from_secs(5);
/// Time after which an edge that said nothing is no longer expected to answer: two lost messages.
pub(crate) const PRESENCE_LIFE: Duration = Duration::from_secs(15);
/// Time after which an edge has heard of all others that were there when it began; until then it waits for answers
/// as long as it may.
pub(crate) const PRESENCE_SETTLED: Duration = Duration::from_secs(1);
/// Time for the last word of an edge that ends.
pub(crate) const LEAVE_WAIT: Duration = Duration::from_millis(200);
/// Other edges that an edge knows; further ones are neither expected nor named.
pub(crate) const MAX_EDGES: usize = 1024;
/// Answers to one question that wait to be read.
pub(crate) const ANSWERS_PER_QUESTION: usize = MAX_EDGES;
/// Questions of other edges that wait for their turn; further ones are not answered.
pub(crate) const QUESTIONS_WAITING: usize = 256;
/// Questions of other edges that are answered at once.
pub(crate) const QUESTIONS_AT_ONCE: usize = 32;
/// Interval of the heartbeats that clients of `/mcp/sse` see.
pub(crate) const NAMED_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// Interval at which an edge checks the sessions whose streams it holds, independent of the bus.
pub(crate) const SESSION_CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// Interval at which an edge loads the subscriptions that its streams follow, independent of the bus.
pub(crate) const SUBSCRIPTION_CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// Pause between two loads of subscriptions that change: changes are effective everywhere within a second, and a
/// client that makes a thousand of them costs ten loads a second.
pub(crate) const SUBSCRIPTION_PAUSE: Duration = Duration::from_millis(100);
/// Pause before subscriptions are loaded again after a failure.
pub(crate) const SUBSCRIPTION_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Owners whose subscriptions are checked concurrently at the interval. A change waits for none of these.
pub(crate) const CONCURRENT_SUBSCRIPTION_CHECKS: usize = 16;
/// Clients whose subscriptions are checked before changes of their owner have their turn again.
pub(crate) const SOURCES_PER_ROUND: usize = 64;
/// Clients of one owner whose subscriptions are loaded concurrently for open streams.
pub(crate) const SOURCES_LOADED_AT_ONCE: usize = 4;
/// Subscriptions that are loaded by id at once: up to 2 MiB.
pub(crate) const SUBSCRIPTIONS_READ_AT_ONCE: usize = 32;
/// Records that are read and decoded in one step, up to 1 MiB, before others have their turn.
pub(crate) const SUBSCRIPTION_STEP_RECORDS: usize = 16;
/// Bytes of subscriptions from which on a tool lists no more: its answer has less room than this.
pub(crate) const LISTED_SUBSCRIPTION_BYTES: usize = 512 << 10;
/// Bytes of a client's subscriptions up to which one step is all, and needs no turn of [`LARGE_SUBSCRIPTION_LOADS`].
pub(crate) const SUBSCRIPTION_STEP_BYTES: usize = 128 << 10;
/// First steps at once, each of up to 1 MiB.
pub(crate) const SMALL_SUBSCRIPTION_LOADS: usize = 32;
/// Those of one owner.
pub(crate) const SMALL_SUBSCRIPTION_LOADS_PER_OWNER: usize = 4;
/// Larger loads that are in memory at once, of an owner one: up to [`FOLLOWED_BYTES`] each, and some four times as much
/// when they are decoded.
pub(crate) const LARGE_SUBSCRIPTION_LOADS: usize = 2;
/// Bytes of the subscriptions that one stream follows: as many as an owner may have. Without authentication all clients
/// are one owner, which may have more, and each of them has this bound.
pub(crate) const FOLLOWED_BYTES: usize = 16 << 20;
/// Time that a stream which opens, or is open, waits for its subscriptions behind those of others.
pub(crate) const SUBSCRIPTION_LOAD_WAIT: Duration = CALL_DEADLINE;
/// Uses of subscriptions that wait to be stored, one for each subscription: some 200 bytes each.
pub(crate) const WAITING_SUBSCRIPTION_USES: usize = 20_000;
/// Uses that are stored concurrently.
pub(crate) const CONCURRENT_SUBSCRIPTION_USES: usize = 4;
/// Time after the creation of a subscription by which its record is stored, or the call has failed; with as much
/// again for the difference between the clocks of two edges. Until then the event id of a stream does not prove that
/// the stream knew the subscription, and a stream that resumes begins at the subscription's own position.
pub(crate) const SUBSCRIPTION_SETTLE_TIME: Duration = Duration::from_secs(10);
/// Time after which what a socket took counts as received by a client that names no event. A balancer acknowledges what its
/// own client may never get, until its kernel gives that one up: after some 924 s with Linux's `tcp_retries2` of 15, which
/// begin with the next heartbeat.
pub(crate) const SUBSCRIPTION_PROOF: Duration = Duration::from_secs(20 * 60);
/// A subscription without an end of its own is kept after its last use, which is stored once in this time.
pub(crate) const SUBSCRIPTION_USE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Attempts to change a session while other edges change it too.
pub(crate) const UPDATE_ATTEMPTS: usize = 16;
/// Shortest time after which a page whose stream cannot be opened is told to come back, in
/// milliseconds; the longest is twice that. Longer than the 1 s of `Retry-After`, because the page cannot
/// wait longer with each attempt.
pub(crate) const PAGE_RETRY_MILLIS: u64 = 2000;
/// Default of `edge.max_streams`.
pub(crate) const MAX_STREAMS: usize = 15_000;
/// Default of `edge.max_stream_seconds`: the maximum time until a new edge has its share of the
/// streams.
pub(crate) const MAX_STREAM_SECONDS: u32 = 3600;
/// Default of `edge.heartbeat_seconds`: below the 45 s after which the strictest balancers cut idle
/// connections.
pub(crate) const HEARTBEAT_SECONDS: u64 = 15;
/// Default of `edge.max_behind_seconds`.
pub(crate) const MAX_BEHIND_SECONDS: u64 = 60;
/// Maximum of `edge.stream_threads`: more than the cores of any machine on which this runs.
pub(crate) const MAX_STREAM_THREADS: usize = 1024;
/// Default of `edge.drain_seconds`.
pub(crate) const DRAIN_SECONDS: u64 = 20;
/// Default of `edge.session_idle_seconds`.
pub(crate) const SESSION_IDLE_SECONDS: u64 = 24 * 60 * 60;
/// Default of `edge.session_max_seconds`: 7 days.
pub(crate) const SESSION_MAX_SECONDS: u64 = 7 * 24 * 60 * 60;
/// Default of `edge.max_sessions`.
pub(crate) const MAX_SESSIONS: u64 = 1_000_000;
/// Default of `edge.max_sessions_per_principal`.
pub(crate) const MAX_SESSIONS_PER_PRINCIPAL: u32 = 10_000;
/// Idle time of a session that ends with its stream, and of a connection of `/mcp/sse`: while the stream is open, its edge checks the
/// session every [`SESSION_CHECK_INTERVAL`]; an edge that died does not.
pub(crate) const STREAM_SESSION_IDLE: Duration = Duration::from_secs(90);
/// Sessions with an end of a subscription before them that this edge takes out in time; of others the periodic check
/// does. About 150 bytes each.
pub(crate) const SESSIONS_WITH_ENDS: usize = 100_000;
/// Sessions that are checked concurrently.
pub(crate) const CONCURRENT_SESSION_CHECKS: usize = 32;
/// Default of `edge.max_body_bytes`: what both official SDKs accept.
pub(crate) const MAX_BODY_BYTES: usize = 4 << 20;
/// Largest `edge.max_body_bytes`: three such bodies fit into the memory for large ones.
pub(crate) const HIGHEST_MAX_BODY_BYTES: usize = 64 << 20;
/// Time for which a call to a store or to the sync role may delay a request.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// Interval at which an edge stores how far it has followed the log for names: what another one reads when it
/// starts.
pub(crate) const NAME_CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
/// Interval at which an edge looks whether the stored names are still there: if they are lost, it stores what it
/// knows, before an edge that starts has to find names again in the log.
pub(crate) const NAME_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Pause before names are loaded or stored again after a failure.
pub(crate) const NAME_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Interval at which an edge asks the mirror for names of tokens of which no event has shown the id: until then, the name
/// alone decides. The call is small, and comes only while there are such names.
pub(crate) const NAME_MIRROR_INTERVAL: Duration = Duration::from_secs(1);
/// The longest such interval, for names that the mirror does not know.
pub(crate) const MAX_NAME_MIRROR_INTERVAL: Duration = Duration::from_secs(8);
/// Time within which an edge follows the log as far as the mirror was when it answered.
pub(crate) const NAME_MIRROR_PATIENCE: Duration = Duration::from_secs(2);
/// Events that an edge reads for names when it starts, those since the last checkpoint, or all if no names are stored:
/// some ten seconds of reading. Renames beyond them are unknown, and it says so.
pub(crate) const MAX_NAME_CATCH_UP_EVENTS: usize = 200_000;
/// Events of one such read.
pub(crate) const NAME_CATCH_UP_PAGE_EVENTS: usize = 500;
/// Principals whose pins are read from the store at once when an edge starts: most have one or two names.
pub(crate) const NAME_PRINCIPALS_PER_READ: usize = 256;
/// NDJSON connections of one edge; further ones are refused with 503 and `Retry-After`.
pub(crate) const LINE_CONNECTIONS: usize = 1000;
/// Concurrent requests of one NDJSON connection; beyond that its further lines wait.
pub(crate) const LINES_IN_FLIGHT: usize = 64;
/// Answers of one NDJSON connection that wait for a client that does not read; beyond that its
/// requests wait.
pub(crate) const LINES_QUEUED: usize = 64;
/// Bytes of the lines that wait on all NDJSON connections, shared out between principals.
pub(crate) const LINE_BYTES: usize = 128 << 20;
/// Bytes of these on each connection that need no room there: whatever others hold, it works.
pub(crate) const LINE_FREE_BYTES: usize = 32 << 10;
/// Bytes of the lines of one connection together; one larger line waits alone.
pub(crate) const LINE_QUEUE_BYTES: usize = 256 << 10;
/// Shortest and longest pause before the stream of a session is opened again on an NDJSON connection.
pub(crate) const LINE_STREAM_PAUSE: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(5));
/// Maximum silence on an NDJSON connection: after that an empty line keeps proxies from cutting it.
pub(crate) const LINE_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
