//! Behaviour while the server is gone, silent, or back again; and the keys that the store leaves
//! behind.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

mod setup;

use std::time::{Duration, Instant};

use contract::{SessionRecords, SessionRecordsError};
use ports::StoreFailure;
use setup::{ROOMY, TTL, open, send_command, session, sessions};
use store_redis::{RedisConfig, RedisError, RedisSessionStore};
use testkit::servers::RedisServer;

/// Time that a call may take beyond its deadline on a busy machine.
const SLACK: Duration = Duration::from_secs(1);
/// Maximum time for the store to find a restarted server: the longest pause between two attempts,
/// and time to connect on a busy machine.
const RECOVERY: Duration = Duration::from_secs(3);

async fn is_unavailable_in_time(store: &SessionRecords) {
    let one = session("one");
    let started = Instant::now();
    let (created, loaded, touched, listed) = tokio::join!(
        store.create(&one, TTL, ROOMY),
        store.load(&one.id),
        store.touch(&one.id, TTL),
        store.list(None, 10)
    );
    assert!(
        started.elapsed() < Duration::from_secs(2) + SLACK,
        "{:?}",
        started.elapsed()
    );
    assert!(
        matches!(
            created,
            Err(SessionRecordsError::Failed(
                StoreFailure::Unavailable { .. }
            ))
        ),
        "{created:?}"
    );
    assert!(
        matches!(
            loaded,
            Err(SessionRecordsError::Failed(
                StoreFailure::Unavailable { .. }
            ))
        ),
        "{loaded:?}"
    );
    assert!(
        matches!(
            touched,
            Err(SessionRecordsError::Failed(
                StoreFailure::Unavailable { .. }
            ))
        ),
        "{touched:?}"
    );
    assert!(
        matches!(
            listed,
            Err(SessionRecordsError::Failed(
                StoreFailure::Unavailable { .. }
            ))
        ),
        "{listed:?}"
    );
}

async fn recovers(store: &SessionRecords) {
    setup::recovers(store, RECOVERY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_every_call_ends_in_time_and_then_goes_on() {
    let mut server = RedisServer::start().unwrap();
    let store = sessions(&server).await;
    let before = session("before");
    let revision = store.create(&before, TTL, ROOMY).await.unwrap();
    server.kill();
    is_unavailable_in_time(&store).await;
    server.restart().unwrap();
    recovers(&store).await;
    let loaded = store.load(&before.id).await.unwrap().unwrap();
    assert_eq!(
        (loaded.session, loaded.revision),
        (before.clone(), revision)
    );
    // The server has lost the scripts.
    assert!(store.replace(&before, revision, TTL, ROOMY).await.unwrap() > revision);
    store.create(&session("after"), TTL, ROOMY).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_unavailable_too() {
    let server = RedisServer::start().unwrap();
    let store = sessions(&server).await;
    server.pause().unwrap();
    is_unavailable_in_time(&store).await;
    server.resume().unwrap();
    recovers(&store).await;
    store.create(&session("after"), TTL, ROOMY).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_under_writers_keeps_what_it_acknowledged() {
    let mut server = RedisServer::start().unwrap();
    let store = std::sync::Arc::new(sessions(&server).await);
    let (acknowledged, mut seen) = tokio::sync::watch::channel(0);
    let writer = tokio::spawn({
        let store = std::sync::Arc::clone(&store);
        async move {
            let mut created = Vec::new();
            for n in 0..600 {
                let session = session(&format!("session-{n}"));
                // A create without an answer may have taken effect: the test gives up its session.
                if store.create(&session, TTL, ROOMY).await.is_ok() {
                    created.push(session.id);
                    acknowledged.send_replace(created.len());
                } else {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            created
        }
    });
    for kills in 1..=3 {
        // An error here means that the writer has finished.
        let _ = seen.wait_for(|count| *count >= kills * 60).await;
        server.restart().unwrap();
    }
    let created = writer.await.unwrap();
    recovers(&store).await;
    assert!(created.len() > 180);
    for id in created {
        assert!(
            store.load(&id).await.unwrap().is_some(),
            "{id} was acknowledged and is gone"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_expire_leave_the_index_without_anybody_listing() {
    let server = RedisServer::start().unwrap();
    let store = sessions(&server).await;
    for n in 0..400 {
        store
            .create(
                &session(&format!("short-{n}")),
                Duration::from_millis(1),
                ROOMY,
            )
            .await
            .unwrap();
    }
    let answer = send_command(&server, "ZCARD forgewire:{index:sessions}:ids");
    let left: usize = answer.trim().trim_start_matches(':').parse().unwrap();
    assert!(left < 200, "{left} of 400 ids are still there");
    // The last session may still have a moment to live.
    let deadline = Instant::now() + RECOVERY;
    while !store.list(None, 10).await.unwrap().sessions.is_empty() {
        assert!(
            Instant::now() < deadline,
            "a session outlives its millisecond"
        );
    }
    assert_eq!(
        send_command(&server, "DBSIZE").trim(),
        ":0",
        "a store that is empty leaves nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_store_closes_its_connection() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let clients = || {
        send_command(&server, "CLIENT LIST")
            .matches("addr=")
            .count()
    };
    // The store's connection and the one that asks; each counts twice: `addr` and `laddr`.
    assert_eq!(clients(), 4);
    drop(store);
    let deadline = Instant::now() + RECOVERY;
    while clients() != 2 {
        assert!(Instant::now() < deadline, "the connection stays open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn connecting_to_nobody_ends_in_time() {
    let mut server = RedisServer::start().unwrap();
    server.kill();
    let startup_timeout = Duration::from_millis(500);
    let started = Instant::now();
    let config = RedisConfig {
        startup_timeout,
        ..RedisConfig::new(server.url())
    };
    let refused = RedisSessionStore::connect(config).await;
    assert!(
        matches!(refused, Err(RedisError::Unreachable { .. })),
        "{refused:?}"
    );
    assert!(started.elapsed() < startup_timeout + SLACK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_and_refuses_changes_fails_the_check_until_it_takes_them() {
    let server = RedisServer::start().unwrap();
    let store = sessions(&server).await;
    for (spoil, mend, reason, is_full) in [
        (
            "REPLICAOF 127.0.0.1 1",
            "REPLICAOF NO ONE",
            "READONLY",
            false,
        ),
        (
            "CONFIG SET maxmemory 1",
            "CONFIG SET maxmemory 0",
            "OOM",
            true,
        ),
        (
            "CONFIG SET min-replicas-to-write 1",
            "CONFIG SET min-replicas-to-write 0",
            "NOREPLICAS",
            false,
        ),
    ] {
        recovers(&store).await;
        assert!(send_command(&server, spoil).starts_with("+OK"), "{spoil}");
        let refused = store.check().await.unwrap_err();
        let source = std::error::Error::source(&refused).unwrap().to_string();
        assert!(source.contains(reason), "{source}");
        let is_as_it_should = match &refused {
            StoreFailure::Unavailable { .. } => !is_full,
            StoreFailure::Overloaded { .. } => is_full,
            StoreFailure::Corrupt { .. } => false,
        };
        assert!(is_as_it_should, "{reason}: {refused:?}");
        assert!(send_command(&server, mend).starts_with("+OK"), "{mend}");
    }
    recovers(&store).await;
    let left = send_command(&server, "TTL forgewire:check");
    let left: i64 = left.trim().trim_start_matches(':').parse().unwrap();
    assert!((1..=10).contains(&left), "it goes by itself: {left}");
}
