//! The keys that mailboxes and locks leave on the server, and their cost to each other.

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

use contract::SessionRecords;
use keys::keys;
use model::{LeaseName, Sequence, Session, SessionId, StreamId};
use ports::{Leases, Mailbox, MailboxError, MailboxLimits, StoreFailure};
use setup::{TTL, open, recovers, send_command, session};
use testkit::servers::RedisServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_has_one_slot_and_one_time_and_leaves_nothing() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let (one, stream) = (session("one"), StreamId::new("a").unwrap());
    store.open(&one.id, &one.owner, TTL).await.unwrap();
    let append = store.append(&one.id, &stream, "message".into(), MailboxLimits::default());
    append.await.unwrap();
    let times = [TTL.as_millis(), TTL.as_millis() * 2, TTL.as_millis() / 2];
    for millis in times {
        let ttl = Duration::from_millis(u64::try_from(millis).unwrap());
        store.touch(&one.id, ttl).await.unwrap();
        let found = keys(&server, "*");
        let of_mailbox = found.iter().filter(|(name, _)| name.contains("{one}"));
        assert_eq!(of_mailbox.clone().count(), 5, "{found:?}");
        for (name, left) in of_mailbox {
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
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_lock_is_remembered_for_a_day() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let lock = LeaseName::new("one").unwrap();
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
    store.open(&one.id, &one.owner, TTL).await.unwrap();
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
        matches!(
            refused,
            MailboxError::Failed(StoreFailure::Overloaded { .. })
        ),
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
    let (lock, limits) = (LeaseName::new("one").unwrap(), MailboxLimits::default());
    store.open(&one.id, &one.owner, TTL).await.unwrap();
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
        matches!(
            appended,
            Err(MailboxError::Failed(StoreFailure::Unavailable { .. }))
        ),
        "{appended:?}"
    );
    assert!(
        matches!(acquired, Err(StoreFailure::Unavailable { .. })),
        "{acquired:?}"
    );
    server.restart().unwrap();
    let answers = SessionRecords::new(Arc::new(open(&server).await));
    recovers(&answers, Duration::from_secs(10)).await;
    // An unacknowledged call may have taken effect: the lock expires by itself.
    let other = LeaseName::new("other").unwrap();
    let acquired = store.acquire(&other, TTL, Duration::ZERO).await.unwrap();
    assert!(acquired.is_some());
}

/// As a server does that evicts keys: no message vanishes in silence, and the next one arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_lost_a_part_says_so_and_goes_on() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let limits = MailboxLimits::default();
    let streams = ["a", "b"].map(|name| StreamId::new(name).unwrap());
    for part in ["", ":order", ":index", ":payloads", ":streams"] {
        send_command(&server, "FLUSHALL");
        let one = session("one");
        store.open(&one.id, &one.owner, TTL).await.unwrap();
        let mut readers = Vec::new();
        for stream in &streams {
            let opened = store.open_stream(&one.id, stream, limits).await.unwrap();
            for message in ["first", "second"] {
                let append = store.append(&one.id, stream, message.into(), limits);
                append.await.unwrap();
            }
            readers.push((stream, opened));
        }
        send_command(&server, &format!("DEL forgewire:mailbox:{{one}}{part}"));
        if part.is_empty() {
            let gone = store.read_after(&one.id, &streams[0], Sequence::START, 10);
            assert!(matches!(gone.await, Err(MailboxError::Missing)));
            store.open(&one.id, &one.owner, TTL).await.unwrap();
        }
        for (stream, position) in readers {
            let read = async |after| store.read_after(&one.id, stream, after, 10).await.unwrap();
            let mut page = read(position).await;
            assert!(
                page.resumes_after.is_some() || page.went_back(position),
                "{part}: {page:?}"
            );
            if page.went_back(position) {
                page = read(Sequence::START).await;
                assert!(page.messages.is_empty(), "{part}: {page:?}");
            }
            let append = store.append(&one.id, stream, "third".into(), limits);
            append.await.unwrap();
            let page = read(page.through).await;
            let payloads = page.messages.iter().map(|message| &message.item[..]);
            assert_eq!(payloads.collect::<Vec<_>>(), [b"third"], "{part}");
            assert_eq!(page.resumes_after, None, "{part}: told once");
            store.trim(&one.id, stream, page.through).await.unwrap();
        }
    }
}

/// The memory that the server uses, in bytes.
fn used_bytes(server: &RedisServer) -> u64 {
    let info = send_command(server, "INFO memory");
    let used = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    used.unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_one_owner_fill_no_more_of_the_server_than_their_bound() {
    const MIB: u64 = 1 << 20;
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let stream = StreamId::new("a").unwrap();
    let limits = MailboxLimits::default();
    let payload = vec![b'x'; MailboxLimits::MAX_PAYLOAD_BYTES];
    let before = used_bytes(&server);
    let (mut taken, mut refused) = (0, 0);
    for n in 0..300 {
        let one = session(&format!("s{n}"));
        store.open(&one.id, &one.owner, TTL).await.unwrap();
        let append = store.append(&one.id, &stream, payload.clone().into(), limits);
        match append.await {
            Ok(_) => taken += 1,
            Err(MailboxError::Failed(StoreFailure::Overloaded { .. })) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(
        (taken, refused),
        (255, 45),
        "a message weighs a little more"
    );
    let held = used_bytes(&server) - before;
    // A value of 1 MiB and its head take 1.25 MiB.
    assert!(held < limits.max_owner_bytes * 3 / 2, "{} MiB", held / MIB);
    let last = session("s299").id;
    let small = store.append(&last, &stream, "small".into(), limits);
    small.await.unwrap();
    let other = Session {
        id: SessionId::new("other").unwrap(),
        ..contract::session(1)
    };
    store.open(&other.id, &other.owner, TTL).await.unwrap();
    let append = store.append(&other.id, &stream, payload.clone().into(), limits);
    append.await.unwrap();
    store.end(&session("s0").id).await.unwrap();
    let append = store.append(&last, &stream, payload.into(), limits);
    append.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_too_old_leave_the_server_though_nobody_asks_for_them() {
    let server = RedisServer::start().unwrap();
    let store = open(&server).await;
    let (one, stream) = (session("one"), StreamId::new("a").unwrap());
    store.open(&one.id, &one.owner, TTL).await.unwrap();
    let limits = MailboxLimits {
        max_age: Duration::from_millis(300),
        ..MailboxLimits::default()
    };
    let payload = vec![b'x'; 100 << 10];
    let append = store.append(&one.id, &stream, payload.clone().into(), limits);
    let first = append.await.unwrap();
    store.touch(&one.id, TTL).await.unwrap();
    assert_eq!(keys(&server, "*payloads*").len(), 1);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !keys(&server, "*payloads*").is_empty() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let page = store.read_after(&one.id, &stream, Sequence::START, 10);
    let page = page.await.unwrap();
    assert!(page.messages.is_empty() && !page.closed, "{page:?}");
    assert_eq!(page.resumes_after, Some(first), "the loss is told");
    let append = store.append(&one.id, &stream, payload.into(), limits);
    assert!(append.await.unwrap() > first);
}
