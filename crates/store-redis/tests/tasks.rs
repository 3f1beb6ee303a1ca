//! The keys that tasks leave on the server, and behaviour when the server is full or gone.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

#[path = "setup/keys.rs"]
mod keys;
mod setup;

use std::time::{Duration, Instant};

use keys::keys;
use model::{PrincipalId, TaskId};
use ports::{Revision, SessionStore, TaskLimits, TaskRecord, TaskStore, TaskStoreError};
use setup::{ROOMY, TTL, open, recovers, send_command, session};
use testkit::servers::RedisServer;

const LIMITS: TaskLimits = TaskLimits {
    max_tasks_per_owner: 1000,
    spare_ttl: Duration::ZERO,
    max_ttl: Duration::from_secs(24 * 3600),
};

fn task(n: u64, ttl: Duration) -> TaskRecord {
    TaskRecord {
        id: TaskId::new(&format!("task-{n}")).unwrap(),
        owner: PrincipalId::new("one").unwrap(),
        state: "state".into(),
        ttl: Some(ttl),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_owner_has_lies_in_one_slot_and_leaves_nothing() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let lasting = |ttl, found: &[(String, i64)]| {
        let most = i64::try_from(Duration::as_millis(&ttl)).unwrap();
        let near = |(name, left): &(String, i64)| {
            assert!(name.contains("{one}"), "{name}");
            (most - 5000..=most).contains(left)
        };
        found.iter().filter(|found| near(found)).count()
    };
    store.create_task(&task(1, TTL), LIMITS).await.unwrap();
    store.create_task(&task(2, TTL * 2), LIMITS).await.unwrap();
    // The index has to outlive the last task, but no longer.
    let found = keys(&server, "*");
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(lasting(TTL * 2, &found), 2, "{found:?}");
    let shorter = task(2, TTL / 2);
    let second = store.replace_task(&shorter, Revision(1), LIMITS);
    let revisions = [Revision(1), second.await.unwrap()];
    let found = keys(&server, "*");
    assert_eq!(lasting(TTL, &found), 2, "{found:?}");
    for (n, revision) in (1..3).zip(revisions) {
        let soon = task(n, Duration::from_millis(1));
        store.replace_task(&soon, revision, LIMITS).await.unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while !keys(&server, "*").is_empty() {
        assert!(Instant::now() < deadline, "{:?}", keys(&server, "*"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_outlives_a_session_of_its_owners_name() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let (session, task) = (session("one"), task(1, TTL));
    store.create(&session, TTL, ROOMY).await.unwrap();
    store.create_task(&task, LIMITS).await.unwrap();
    assert!(store.end(&session.id).await.unwrap());
    let loaded = store.load_task(&task.owner, &task.id).await.unwrap();
    assert_eq!(loaded.unwrap().record.state, task.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_expired_tasks_go_with_the_next_create() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    for n in 0..20 {
        let soon = task(n, Duration::from_millis(1));
        store.create_task(&soon, LIMITS).await.unwrap();
    }
    store.create_task(&task(100, TTL), LIMITS).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut n = 200;
    // A task that expired just now may still be stored once: each create checks again.
    loop {
        let before = send_command(&server, "ZCARD forgewire:tasks:{one}");
        if before.trim() == format!(":{}", n - 199) {
            break;
        }
        assert!(Instant::now() < deadline, "{before}");
        store.create_task(&task(n, TTL), LIMITS).await.unwrap();
        n += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_value_under_a_task_is_corrupt() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    send_command(&server, "SET forgewire:task:{one}:task-1 theirs");
    send_command(&server, "HSET forgewire:task:{one}:task-2 state theirs");
    for n in 1..3 {
        let task = task(n, TTL);
        let loaded = store.load_task(&task.owner, &task.id).await;
        let corrupt = matches!(loaded, Err(TaskStoreError::Corrupt { .. }));
        assert!(corrupt, "{loaded:?}");
        let replaced = store.replace_task(&task, Revision(1), LIMITS).await;
        let corrupt = matches!(replaced, Err(TaskStoreError::Corrupt { .. }));
        assert!(corrupt, "{replaced:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_overloaded_and_what_is_there_can_be_loaded() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    send_command(&server, "CONFIG SET maxmemory-policy noeviction");
    send_command(&server, "CONFIG SET maxmemory 24mb");
    let large = |n| TaskRecord {
        state: vec![b'x'; TaskLimits::MAX_STATE_BYTES].into(),
        ..task(n, TTL)
    };
    let mut stored = 0;
    let refused = loop {
        match store.create_task(&large(stored), LIMITS).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    let overloaded = matches!(refused, TaskStoreError::Overloaded { .. });
    assert!(overloaded && stored > 0, "{refused:?} after {stored}");
    let task = large(0);
    let loaded = store.load_task(&task.owner, &task.id).await.unwrap();
    assert_eq!(loaded.unwrap().record.state, task.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_a_call_ends_in_time_and_then_it_goes_on() {
    let mut server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let one = task(1, TTL);
    store.create_task(&one, LIMITS).await.unwrap();
    server.kill();
    let started = Instant::now();
    let (created, loaded) = tokio::join!(
        store.create_task(&one, LIMITS),
        store.load_task(&one.owner, &one.id)
    );
    let took = started.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    let unavailable = matches!(created, Err(TaskStoreError::Unavailable { .. }));
    assert!(unavailable, "{created:?}");
    let unavailable = matches!(loaded, Err(TaskStoreError::Unavailable { .. }));
    assert!(unavailable, "{loaded:?}");
    server.restart().unwrap();
    recovers(&store, Duration::from_secs(10)).await;
    let loaded = store.load_task(&one.owner, &one.id).await.unwrap();
    assert_eq!(loaded.unwrap().record.state, one.state);
}
