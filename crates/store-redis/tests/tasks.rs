//! The keys that tasks leave on the server, and behaviour when the server is full or gone.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

#[path = "setup/keys.rs"]
mod keys;
mod setup;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use contract::{NewTask, SessionRecords, TaskLife, TaskLimits, TaskRecords, TaskRecordsError};
use keys::keys;
use model::{PrincipalId, RecordId, TaskId};
use ports::{Collection, RecordKey, Records, StoreFailure};
use setup::{ROOMY, TTL, open, recovers, send_command, session};
use store_redis::RedisSessionStore;
use testkit::servers::RedisServer;

const LIMITS: TaskLimits = TaskLimits {
    max_tasks_per_owner: 1000,
    spare_ttl: Duration::ZERO,
    max_ttl: Duration::from_secs(24 * 3600),
    max_bytes_per_owner: 1 << 30,
    max_bytes: 1 << 30,
};

const TASKS: Collection = Collection::new("tasks");

/// The tasks on a server.
fn tasks_of(store: &Arc<RedisSessionStore>) -> TaskRecords {
    TaskRecords::new(Arc::clone(store) as Arc<dyn Records>)
}

fn task(n: u64, ttl: Duration) -> NewTask {
    NewTask {
        id: TaskId::new(&format!("task-{n}")).unwrap(),
        owner: PrincipalId::new("one").unwrap(),
        state: "state".into(),
        ttl: Some(ttl),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_has_a_slot_and_a_time_of_its_own_and_leaves_nothing() {
    let server = RedisServer::start().unwrap();
    let store = Arc::new(open(&server).await);
    let tasks = tasks_of(&store);
    let times = [TTL, TTL * 2];
    for (n, ttl) in (1..).zip(times) {
        tasks.create(&task(n, ttl), LIMITS).await.unwrap();
    }
    let found = keys(&server, "*");
    // Four keys of the index: no state weighs more than a step.
    assert_eq!(found.len(), 6, "{found:?}");
    for (n, ttl) in (1..).zip(times) {
        let most = i64::try_from(ttl.as_millis()).unwrap();
        let name = format!("forgewire:tasks:{{task-{n}@one}}");
        let of_task = found.iter().find(|(key, _)| *key == name);
        let (_, left) = of_task.unwrap_or_else(|| panic!("{name}: {found:?}"));
        assert!((most - 5000..=most).contains(left), "{name}: {left}");
    }
    for n in 1..3 {
        let task = task(n, TTL);
        let of = (&task.owner, &task.id);
        let kept = tasks.load(of.0, of.1).await.unwrap().unwrap();
        let soon = TaskLife::For(Some(Duration::from_millis(1)));
        tasks.replace(of, &kept, soon, LIMITS).await.unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    // A list removes the entries of those that have expired.
    while !keys(&server, "*").is_empty() {
        assert!(Instant::now() < deadline, "{:?}", keys(&server, "*"));
        let listed = Records::list(&*store, TASKS, None, None, 10);
        listed.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_outlives_a_session_of_its_owners_name() {
    let server = RedisServer::start().unwrap();
    let store = Arc::new(open(&server).await);
    let tasks = tasks_of(&store);
    let (session, task) = (session("one"), task(1, TTL));
    let sessions = SessionRecords::new(store.clone());
    sessions.create(&session, TTL, ROOMY).await.unwrap();
    tasks.create(&task, LIMITS).await.unwrap();
    assert!(sessions.end(&session.id).await.unwrap());
    let loaded = tasks.load(&task.owner, &task.id).await.unwrap();
    assert_eq!(loaded.unwrap().state, task.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_value_under_a_task_is_unreadable() {
    let server = RedisServer::start().unwrap();
    let tasks = tasks_of(&Arc::new(open(&server).await));
    send_command(&server, "SET forgewire:tasks:{task-1@one} theirs");
    send_command(&server, "HSET forgewire:tasks:{task-2@one} state theirs");
    for n in 1..3 {
        let task = task(n, TTL);
        let loaded = tasks.load(&task.owner, &task.id).await;
        let unreadable = matches!(loaded, Err(TaskRecordsError::Unreadable { .. }));
        assert!(unreadable, "{loaded:?}");
        let created = tasks.create(&task, LIMITS).await;
        let unreadable = matches!(created, Err(TaskRecordsError::Unreadable { .. }));
        assert!(unreadable, "{created:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_overloaded_and_what_is_there_can_be_loaded() {
    let server = RedisServer::start().unwrap();
    let store = Arc::new(open(&server).await);
    let tasks = tasks_of(&store);
    send_command(&server, "CONFIG SET maxmemory-policy noeviction");
    send_command(&server, "CONFIG SET maxmemory 24mb");
    let large = |n| NewTask {
        state: vec![b'x'; TaskLimits::MAX_STATE_BYTES].into(),
        ..task(n, TTL)
    };
    let mut stored = 0;
    let refused = loop {
        match tasks.create(&large(stored), LIMITS).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    let overloaded = matches!(
        refused,
        TaskRecordsError::Failed(StoreFailure::Overloaded { .. })
    );
    assert!(overloaded && stored > 0, "{refused:?} after {stored}");
    let task = large(0);
    let loaded = tasks.load(&task.owner, &task.id).await.unwrap();
    assert_eq!(loaded.unwrap().state, task.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_spares_nothing_and_what_is_there_can_be_ended() {
    let server = RedisServer::start().unwrap();
    let store = Arc::new(open(&server).await);
    let tasks = tasks_of(&store);
    let sparing = TaskLimits {
        max_tasks_per_owner: 2,
        spare_ttl: TTL,
        ..LIMITS
    };
    for n in 1..3 {
        tasks.create(&task(n, TTL), sparing).await.unwrap();
    }
    let session = session("one");
    let sessions = SessionRecords::new(store.clone());
    sessions.create(&session, TTL, ROOMY).await.unwrap();
    send_command(&server, "CONFIG SET maxmemory-policy noeviction");
    send_command(&server, "CONFIG SET maxmemory 1");
    let refused = tasks.create(&task(3, TTL * 2), sparing).await;
    let overloaded = matches!(
        refused,
        Err(TaskRecordsError::Failed(StoreFailure::Overloaded { .. }))
    );
    assert!(overloaded, "{refused:?}");
    let owner = task(1, TTL).owner;
    let listed = Records::list(&*store, TASKS, Some(&owner), None, 10).await;
    assert_eq!(listed.unwrap().records.len(), 2, "nothing was spared");
    // An end needs no memory: it gives some back.
    let key = RecordKey {
        collection: TASKS,
        id: RecordId::scoped(&task(1, TTL).id, &owner),
    };
    assert!(Records::end(&*store, &key).await.unwrap());
    assert!(sessions.end(&session.id).await.unwrap());
    send_command(&server, "CONFIG SET maxmemory 0");
    // The other one still counts, and only that one.
    let stingy = TaskLimits {
        spare_ttl: Duration::ZERO,
        ..sparing
    };
    tasks.create(&task(3, TTL), stingy).await.unwrap();
    let refused = tasks.create(&task(4, TTL), stingy).await;
    let no_room = matches!(refused, Err(TaskRecordsError::NoRoom { .. }));
    assert!(no_room, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_a_call_ends_in_time_and_then_it_goes_on() {
    let mut server = RedisServer::start().unwrap();
    let store = Arc::new(open(&server).await);
    let tasks = tasks_of(&store);
    let one = task(1, TTL);
    tasks.create(&one, LIMITS).await.unwrap();
    server.kill();
    let started = Instant::now();
    let (created, loaded) =
        tokio::join!(tasks.create(&one, LIMITS), tasks.load(&one.owner, &one.id));
    let took = started.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    let unavailable = matches!(
        created,
        Err(TaskRecordsError::Failed(StoreFailure::Unavailable { .. }))
    );
    assert!(unavailable, "{created:?}");
    let unavailable = matches!(
        loaded,
        Err(TaskRecordsError::Failed(StoreFailure::Unavailable { .. }))
    );
    assert!(unavailable, "{loaded:?}");
    server.restart().unwrap();
    recovers(&SessionRecords::new(store), Duration::from_secs(10)).await;
    let loaded = tasks.load(&one.owner, &one.id).await.unwrap();
    assert_eq!(loaded.unwrap().state, one.state);
}
