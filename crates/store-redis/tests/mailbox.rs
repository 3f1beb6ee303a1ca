//! The keys that mailboxes and locks leave on the server, and their cost to each other.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

#[path = "setup/keys.rs"]
mod keys;
mod setup;

use std::time::{Duration, Instant};

use keys::keys;
use model::{LockName, StreamId};
use ports::{LockError, Mailbox, MailboxError, MailboxLimits, SessionLock, SessionStore};
use setup::{ROOMY, TTL, open, recovers, send_command, session};
use testkit::servers::RedisServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_has_its_sessions_slot_and_time_and_leaves_nothing() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let (one, stream) = (session("one"), StreamId::new("a").unwrap());
    store.create(&one, TTL, ROOMY).await.unwrap();
    let append = store.append(&one.id, &stream, "message".into(), MailboxLimits::default());
    append.await.unwrap();
    let times = [TTL.as_millis(), TTL.as_millis() * 2, TTL.as_millis() / 2];
    for millis in times {
        let ttl = Duration::from_millis(u64::try_from(millis).unwrap());
        store.touch(&one.id, ttl).await.unwrap();
        let found = keys(&server, "*");
        let of_session = found.iter().filter(|(name, _)| name.contains("{one}"));
        assert_eq!(of_session.clone().count(), 6, "{found:?}");
        for (name, left) in of_session {
            let left = i128::from(*left);
            let expected = i128::try_from(millis).unwrap();
            assert!(
                (expected - 5000..=expected).contains(&left),
                "{name}: {left}"
            );
        }
    }
    store.end(&one.id).await.unwrap();
    let found = keys(&server, "*");
    assert_eq!(found.len(), 1, "only that it has ended is left: {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_lock_is_remembered_for_a_day() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let lock = LockName::new("one").unwrap();
    let guard = store
        .acquire(&lock, TTL, Duration::ZERO)
        .await
        .unwrap()
        .unwrap();
    assert!(store.release(&lock, &guard.token).await.unwrap());
    let found = keys(&server, "*lock*");
    let day = 24 * 3600 * 1000;
    assert!(
        matches!(found[..], [(_, left)] if (day - 5000..=day).contains(&left)),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_overloaded_and_has_room_again_after_a_trim() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let (one, stream) = (session("one"), StreamId::new("a").unwrap());
    store.create(&one, TTL, ROOMY).await.unwrap();
    let limits = MailboxLimits {
        max_bytes: u64::MAX,
        ..MailboxLimits::default()
    };
    send_command(&server, "CONFIG SET maxmemory-policy noeviction");
    send_command(&server, "CONFIG SET maxmemory 24mb");
    let payload = vec![b'x'; MailboxLimits::MAX_PAYLOAD_BYTES];
    let append = || store.append(&one.id, &stream, payload.clone().into(), limits);
    let mut last = None;
    let refused = loop {
        match append().await {
            Ok(sequence) => last = Some(sequence),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(refused, MailboxError::Overloaded { .. }),
        "{refused:?}"
    );
    store.trim(&one.id, &stream, last.unwrap()).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = append().await {
        assert!(Instant::now() < deadline, "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_mailbox_and_lock_end_in_time_and_then_go_on() {
    let mut server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let (one, stream) = (session("one"), StreamId::new("a").unwrap());
    let (lock, limits) = (LockName::new("one").unwrap(), MailboxLimits::default());
    store.create(&one, TTL, ROOMY).await.unwrap();
    server.kill();
    let started = Instant::now();
    let (appended, acquired) = tokio::join!(
        store.append(&one.id, &stream, "message".into(), limits),
        store.acquire(&lock, TTL, TTL)
    );
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    assert!(
        matches!(appended, Err(MailboxError::Unavailable { .. })),
        "{appended:?}"
    );
    assert!(
        matches!(acquired, Err(LockError::Unavailable { .. })),
        "{acquired:?}"
    );
    server.restart().unwrap();
    recovers(&store, Duration::from_secs(10)).await;
    // An unacknowledged call may have taken effect: the lock expires by itself.
    let other = LockName::new("other").unwrap();
    let acquired = store.acquire(&other, TTL, Duration::ZERO).await.unwrap();
    assert!(acquired.is_some());
}
