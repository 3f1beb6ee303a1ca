//! Values of other programs under the keys that many calls share: each is named with the fix, stays as it is, and
//! leaves nothing behind once it is gone.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

mod setup;

use std::{sync::Arc, time::Duration};

use contract::{
    NewTask, SessionLimits, SessionRecords, SessionRecordsError, TaskLimits, TaskRecords,
};
use model::{
    Classified, ErrorClass, LeaseName, PrincipalId, RecordId, Session, SessionId, StreamId, TaskId,
};
use ports::{Collection, Leases, Mailbox, MailboxLimits, Records, RecordsError};
use setup::{ROOMY, TTL, open, recovers, send_command, session};
use testkit::servers::RedisServer;

const TASKS: Collection = Collection::new("tasks");
const SORTED_SET: &str = "sorted set";
const HASH: &str = "hash";
/// Room for the three sessions or tasks of a test, and one more.
const FOUR: SessionLimits = SessionLimits {
    max_sessions: 4,
    max_sessions_per_owner: 4,
    max_bytes: 1 << 30,
    max_bytes_per_owner: 1 << 30,
};
const FOUR_TASKS: TaskLimits = TaskLimits {
    max_tasks_per_owner: 4,
    spare_ttl: Duration::ZERO,
    max_ttl: Duration::from_secs(24 * 3600),
    max_bytes_per_owner: 1 << 30,
    max_bytes: 1 << 30,
};

/// Asserts that a call failed because of the value under this key, in a way that promises nothing of another try.
fn names<T: std::fmt::Debug, E: Classified + 'static>(
    outcome: Result<T, E>,
    key: &str,
    kind: &str,
) {
    let error = outcome.unwrap_err();
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    let sentence =
        format!("the key {key} is not the {kind} that Forgewire keeps there: remove or rename it");
    assert!(text.contains(&sentence), "{text}");
    assert_eq!(text.matches(key).count(), 1, "{text}");
    assert_eq!(error.class(), ErrorClass::Permanent, "{text}");
}

/// Puts another program's value under a key.
fn occupy(server: &RedisServer, key: &str) {
    send_command(server, &format!("SET {key} theirs"));
}

/// Removes it again; it has not been touched.
fn vacate(server: &RedisServer, key: &str) {
    let value = send_command(server, &format!("GET {key}"));
    assert!(value.contains("theirs"), "{key}: {value}");
    send_command(server, &format!("DEL {key}"));
}

async fn listed(sessions: &SessionRecords) -> Vec<Session> {
    let page = sessions.list(None, 10).await.unwrap();
    page.sessions
        .into_iter()
        .map(|found| found.session)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_value_in_the_index_of_sessions_is_named_and_the_index_is_mended_without_it() {
    let server = RedisServer::start().unwrap();
    let store = Arc::new(open(&server).await);
    let sessions = SessionRecords::new(store.clone());
    for (part, kind) in [("due", SORTED_SET), ("ids", SORTED_SET), ("owners", HASH)] {
        send_command(&server, "FLUSHALL");
        let key = format!("forgewire:{{index:sessions}}:{part}");
        let fourth = session("four");
        occupy(&server, &key);
        names(sessions.check().await, &key, kind);
        let created = sessions.create(&fourth, TTL, FOUR).await;
        names(created, &key, kind);
        vacate(&server, &key);
        let [one, three, two] = ["one", "three", "two"].map(session);
        for session in [&one, &three, &two] {
            sessions.create(session, TTL, FOUR).await.unwrap();
        }
        occupy(&server, &key);
        names(sessions.check().await, &key, kind);
        let created = sessions.create(&fourth, TTL, FOUR).await;
        names(created, &key, kind);
        names(sessions.list(None, 10).await, &key, kind);
        if part == "ids" {
            let rest = sessions.list(Some(&one.id), 10).await;
            names(rest, &key, kind);
        }
        // Other keys are not affected.
        let loaded = sessions.load(&one.id).await.unwrap();
        assert_eq!(loaded.unwrap().session, one, "{part}");
        assert!(sessions.touch(&one.id, TTL / 2).await.unwrap());
        assert!(sessions.end(&two.id).await.unwrap());
        Records::check(&*store, TASKS).await.unwrap();
        vacate(&server, &key);
        recovers(&sessions, Duration::ZERO).await;
        assert_eq!(listed(&sessions).await, [one, three], "{part}");
        // The bounds hold as before.
        for id in ["five", "six"] {
            let created = sessions.create(&session(id), TTL, FOUR).await;
            created.unwrap();
        }
        let refused = sessions.create(&fourth, TTL, FOUR).await;
        let refused_for_room = matches!(refused, Err(SessionRecordsError::NoRoom { .. }));
        assert!(refused_for_room, "{part}: {refused:?}");
    }
}

fn task(n: u64) -> NewTask {
    NewTask {
        id: TaskId::new(&format!("task-{n}")).unwrap(),
        owner: PrincipalId::new("one").unwrap(),
        // Heavier than a step, so that it has a weight.
        state: vec![b'x'; 20_000].into(),
        ttl: Some(TTL),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_value_in_the_index_of_a_collection_is_named_and_the_index_is_mended_without_it()
{
    let server = RedisServer::start().unwrap();
    let store = Arc::new(open(&server).await);
    let tasks = TaskRecords::new(store.clone());
    let sessions = SessionRecords::new(store.clone());
    let (owner, first) = (task(0).owner, RecordId::new("task").unwrap());
    for (part, kind) in [
        ("due", SORTED_SET),
        ("ids", SORTED_SET),
        ("owned", SORTED_SET),
        ("owners", HASH),
        ("weights", HASH),
    ] {
        send_command(&server, "FLUSHALL");
        let key = format!("forgewire:{{index:tasks}}:{part}");
        occupy(&server, &key);
        names(tasks.check().await, &key, kind);
        names(tasks.create(&task(1), FOUR_TASKS).await, &key, kind);
        vacate(&server, &key);
        for n in 1..4 {
            tasks.create(&task(n), FOUR_TASKS).await.unwrap();
        }
        occupy(&server, &key);
        names(tasks.check().await, &key, kind);
        names(tasks.create(&task(4), FOUR_TASKS).await, &key, kind);
        let page = async |after| Records::list(&*store, TASKS, Some(&owner), after, 10).await;
        if part == "weights" {
            assert_eq!(page(None).await.unwrap().records.len(), 3);
        } else {
            names(page(None).await, &key, kind);
        }
        if part == "owned" {
            names(page(Some(&first)).await, &key, kind);
        }
        // What is there can be read, and neither sessions nor another collection are affected.
        let loaded = tasks.load(&owner, &task(1).id).await.unwrap();
        assert_eq!(loaded.unwrap().state, task(1).state, "{part}");
        sessions.check().await.unwrap();
        let created = sessions.create(&session("one"), TTL, ROOMY).await;
        created.unwrap();
        let others = Collection::new("others");
        Records::check(&*store, others).await.unwrap();
        vacate(&server, &key);
        tasks.check().await.unwrap();
        assert_eq!(page(None).await.unwrap().records.len(), 3, "{part}");
        tasks.create(&task(4), FOUR_TASKS).await.unwrap();
        let refused = tasks.create(&task(5), FOUR_TASKS).await;
        let refused_for_room = matches!(refused, Err(contract::TaskRecordsError::NoRoom { .. }));
        assert!(refused_for_room, "{part}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_value_under_the_account_of_an_owner_is_named_and_concerns_that_owner() {
    let server = RedisServer::start().unwrap();
    let store = Arc::new(open(&server).await);
    let sessions = SessionRecords::new(store.clone());
    let stream = StreamId::new("a").unwrap();
    let one = session("one");
    let other = Session {
        id: SessionId::new("other").unwrap(),
        ..contract::session(1)
    };
    assert_ne!(one.owner, other.owner);
    let large = vec![b'x'; usize::try_from(MailboxLimits::UNCOUNTED_BYTES).unwrap()];
    let append = async |session: &Session, payload: &[u8]| {
        let payload = payload.to_vec().into();
        let limits = MailboxLimits::default();
        store.append(&session.id, &stream, payload, limits).await
    };
    for (part, kind) in [("", HASH), (":times", SORTED_SET)] {
        send_command(&server, "FLUSHALL");
        for session in [&one, &other] {
            let opened = Mailbox::open(&*store, &session.id, &session.owner, TTL).await;
            opened.unwrap();
        }
        let key = format!("forgewire:mail:{{{}}}{part}", one.owner);
        occupy(&server, &key);
        names(append(&one, &large).await, &key, kind);
        // A mailbox of so little weight does not count.
        append(&one, b"small").await.unwrap();
        append(&other, &large).await.unwrap();
        sessions.check().await.unwrap();
        vacate(&server, &key);
        append(&one, &large).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_value_under_a_lock_is_named_and_concerns_that_lock() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let [one, other] = ["one", "other"].map(|name| LeaseName::new(name).unwrap());
    let key = "forgewire:lock:one";
    occupy(&server, key);
    names(store.acquire(&one, TTL, Duration::ZERO).await, key, HASH);
    let lease = store.acquire(&other, TTL, Duration::ZERO).await.unwrap();
    assert!(lease.is_some());
    vacate(&server, key);
    let lease = store.acquire(&one, TTL, Duration::ZERO).await.unwrap();
    assert!(lease.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_under_the_key_of_checks_is_replaced() {
    let server = RedisServer::start().unwrap();
    let sessions = setup::sessions(&server).await;
    for command in ["HSET", "ZADD", "SADD"] {
        let key = "forgewire:check";
        send_command(&server, &format!("DEL {key}"));
        let member = if command == "SADD" { "" } else { "1" };
        send_command(&server, &format!("{command} {key} {member} 1"));
        sessions.check().await.unwrap();
    }
}

/// Members without an owner, which no index has, are taken for entries whose session or task is gone.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_members_of_an_index_take_no_room() {
    let server = RedisServer::start().unwrap();
    let store = Arc::new(open(&server).await);
    let tasks = TaskRecords::new(store.clone());
    let sessions = SessionRecords::new(store.clone());
    for part in ["due", "ids", "owned"] {
        send_command(&server, "FLUSHALL");
        for n in 1..4 {
            let session = session(&format!("s{n}"));
            let created = sessions.create(&session, TTL, FOUR).await;
            created.unwrap();
            tasks.create(&task(n), FOUR_TASKS).await.unwrap();
        }
        for index in ["index:sessions", "index:tasks"] {
            send_command(
                &server,
                &format!("ZADD forgewire:{{{index}}}:{part} 0 theirs"),
            );
        }
        let created = sessions.create(&session("s4"), TTL, FOUR).await;
        created.unwrap();
        tasks.create(&task(4), FOUR_TASKS).await.unwrap();
        let refused = sessions.create(&session("s5"), TTL, FOUR).await;
        let refused_for_room = matches!(refused, Err(SessionRecordsError::NoRoom { .. }));
        assert!(refused_for_room, "{part}: {refused:?}");
        let refused = tasks.create(&task(5), FOUR_TASKS).await;
        let refused_for_room = matches!(refused, Err(contract::TaskRecordsError::NoRoom { .. }));
        assert!(refused_for_room, "{part}: {refused:?}");
        assert_eq!(listed(&sessions).await.len(), 4, "{part}");
        let found: Result<_, RecordsError> = Records::list(&*store, TASKS, None, None, 10).await;
        assert_eq!(found.unwrap().records.len(), 4, "{part}");
    }
}
