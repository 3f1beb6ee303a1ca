//! Failures other than a clean end of the server that the connection survives, the store's handling
//! of values that other programs wrote, and the server's settings.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

mod setup;

use std::{
    error::Error,
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use contract::{SessionLimits, SessionRecords, SessionRecordsError};
use ports::StoreFailure;
use setup::{ROOMY, TTL, open, recovers, send_command, session, sessions};
use store_redis::{RedisConfig, RedisError, RedisSessionStore, WeakRedisSetting};
use testkit::servers::RedisServer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A proxy between the store and the server. Silenced connections stay open and carry no more data,
/// as when the machine at the other end is gone; connections opened afterwards work.
struct Proxy {
    port: u16,
    silenced: watch::Sender<()>,
}

impl Proxy {
    async fn before(server: &RedisServer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (port, server_port) = (listener.local_addr().unwrap().port(), server.port());
        let silenced = watch::Sender::new(());
        let silence = silenced.clone();
        tokio::spawn(async move {
            loop {
                let (mut store, _) = listener.accept().await.unwrap();
                let mut silence = silence.subscribe();
                tokio::spawn(async move {
                    let address = ("127.0.0.1", server_port);
                    let mut server = TcpStream::connect(address).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut store, &mut server) => {}
                        _ = silence.changed() => pending().await,
                    }
                });
            }
        });
        Self { port, silenced }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_went_silent_is_given_up_however_busy_it_is() {
    let server = RedisServer::start().unwrap();
    let proxy = Proxy::before(&server).await;
    let config = RedisConfig::new(proxy.url());
    let store = RedisSessionStore::connect(config).await.unwrap();
    let store = Arc::new(SessionRecords::new(Arc::new(store)));
    let one = session("one");
    store.create(&one, TTL, ROOMY).await.unwrap();
    // Some call is always in progress: the driver checks the connection only during a pause.
    let callers: Vec<_> = (0..50)
        .map(|caller| {
            let (store, id) = (Arc::clone(&store), one.id.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(40 * caller)).await;
                loop {
                    let _ = store.touch(&id, TTL).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
        })
        .collect();
    proxy.silenced.send_replace(());
    recovers(&store, Duration::from_secs(5)).await;
    assert!(store.touch(&one.id, TTL).await.unwrap());
    for caller in callers {
        caller.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_a_password_for_a_while_is_unavailable_for_that_while() {
    let server = RedisServer::start().unwrap();
    let store = sessions(&server).await;
    store.create(&session("before"), TTL, ROOMY).await.unwrap();
    send_command(&server, "CONFIG SET requirepass changed-for-a-while");
    let kill = "AUTH changed-for-a-while\r\nCLIENT KILL TYPE normal SKIPME yes";
    send_command(&server, kill);
    let refused = store.check().await;
    assert!(
        matches!(refused, Err(StoreFailure::Unavailable { .. })),
        "{refused:?}"
    );
    send_command(
        &server,
        "AUTH changed-for-a-while\r\nCONFIG SET requirepass \"\"",
    );
    recovers(&store, Duration::from_secs(5)).await;
    assert!(store.load(&session("before").id).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_read_only_for_a_while_is_unavailable_for_that_while() {
    let server = RedisServer::start().unwrap();
    let store = sessions(&server).await;
    send_command(&server, "REPLICAOF 127.0.0.1 1");
    let refused = store.create(&session("one"), TTL, ROOMY).await;
    assert!(
        matches!(
            refused,
            Err(SessionRecordsError::Failed(
                StoreFailure::Unavailable { .. }
            ))
        ),
        "{refused:?}"
    );
    send_command(&server, "REPLICAOF NO ONE");
    recovers(&store, Duration::from_secs(3)).await;
    store.create(&session("one"), TTL, ROOMY).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_creates_over_four_connections_one_wins() {
    let server = RedisServer::start().unwrap();
    let mut stores = Vec::new();
    for _ in 0..4 {
        stores.push(Arc::new(sessions(&server).await));
    }
    let rivals: Vec<_> = (0..100)
        .map(|rival| {
            let store = Arc::clone(&stores[rival % stores.len()]);
            let mut session = session("one");
            session.client_info = serde_json::json!({ "rival": rival });
            tokio::spawn(async move { (store.create(&session, TTL, ROOMY).await, session) })
        })
        .collect();
    let mut winners = Vec::new();
    for rival in rivals {
        match rival.await.unwrap() {
            (Ok(_), session) => winners.push(session),
            (Err(error), _) => assert!(matches!(error, SessionRecordsError::Exists), "{error:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    let stored = stores[0].load(&winners[0].id).await.unwrap().unwrap();
    assert_eq!(stored.session, winners[0]);
    assert_eq!(stores[0].list(None, 10).await.unwrap().sessions.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_ours_concerns_its_session_alone_and_is_no_outage() {
    let server = RedisServer::start().unwrap();
    let store = sessions(&server).await;
    let (one, other) = (session("one"), session("other"));
    for command in [
        "HSET forgewire:sessions:{one} state nonsense",
        "HSET forgewire:sessions:{one} revision nonsense",
        "HDEL forgewire:sessions:{one} state",
        "SET forgewire:sessions:{one} nonsense",
    ] {
        send_command(&server, "FLUSHALL");
        store.create(&other, TTL, ROOMY).await.unwrap();
        let revision = store.create(&one, TTL, ROOMY).await.unwrap();
        send_command(&server, command);
        let loaded = store.load(&one.id).await;
        assert!(
            matches!(loaded, Err(SessionRecordsError::Unreadable { .. })),
            "{command}: {loaded:?}"
        );
        for limit in [1, 10] {
            let (mut after, mut found, mut unreadable) = (None, Vec::new(), 0);
            loop {
                let page = store.list(after.as_ref(), limit).await.unwrap();
                found.extend(page.sessions.into_iter().map(|found| found.session));
                unreadable += page.unreadable;
                let Some(next) = page.next else { break };
                after = Some(next);
            }
            assert_eq!(found, std::slice::from_ref(&other), "{command}");
            assert_eq!(unreadable, 1, "{command}");
        }
        if command.starts_with("SET") {
            let replaced = store.replace(&one, revision, TTL, ROOMY).await;
            let is_unreadable = matches!(replaced, Err(SessionRecordsError::Unreadable { .. }));
            assert!(is_unreadable, "{replaced:?}");
        }
        assert!(store.end(&one.id).await.unwrap(), "{command}");
        assert!(store.load(&one.id).await.unwrap().is_none(), "{command}");
    }
}

/// As a server does that evicts keys.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_lost_a_part_is_mended() {
    let server = RedisServer::start().unwrap();
    let store = sessions(&server).await;
    let limits = SessionLimits {
        max_sessions_per_owner: 3,
        ..ROOMY
    };
    for part in ["due", "ids", "owned", "owners"] {
        send_command(&server, "FLUSHALL");
        let sessions = ["one", "three", "two"].map(session);
        for session in &sessions {
            store.create(session, TTL, limits).await.unwrap();
        }
        send_command(&server, &format!("DEL forgewire:{{index:sessions}}:{part}"));
        let listed = store.list(None, 10).await.unwrap().sessions;
        let listed: Vec<_> = listed.into_iter().map(|found| found.session).collect();
        assert_eq!(listed, sessions, "{part}");
        send_command(&server, &format!("DEL forgewire:{{index:sessions}}:{part}"));
        let fourth = session("four");
        let refused = store.create(&fourth, TTL, limits).await;
        assert!(
            matches!(refused, Err(SessionRecordsError::NoRoom { .. })),
            "{part}: {refused:?}"
        );
        // The places of sessions that ended are free again.
        send_command(&server, &format!("DEL forgewire:{{index:sessions}}:{part}"));
        assert!(store.end(&sessions[0].id).await.unwrap());
        store.create(&fourth, TTL, limits).await.unwrap();
    }
}

/// The texts of an error and of all its sources.
fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut chain = format!("{error:?}");
    let mut next = Some(error);
    while let Some(error) = next {
        chain.push_str(&error.to_string());
        next = error.source();
    }
    chain
}

/// Rejects every command and repeats its arguments, as servers do with an unknown command.
async fn repeater() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut store, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                while let Ok(length @ 1..) = store.read(&mut bytes).await {
                    let asked = String::from_utf8_lossy(&bytes[..length]).replace("\r\n", " ");
                    let answer =
                        format!("-ERR unknown command, with args beginning with: {asked}\r\n");
                    store.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_holds_the_password() {
    let server = RedisServer::start().unwrap();
    send_command(&server, "CONFIG SET requirepass another");
    let repeater = repeater().await;
    for url in [
        format!("redis://:hunter2@127.0.0.1:{}", server.port()),
        format!("redis://user:hunter2@127.0.0.1:{}", server.port()),
        format!("redis://:hunter2@127.0.0.1:{repeater}"),
        "redis://:hunter2@".to_owned(),
        "redis://:hunter2@host:nonsense".to_owned(),
        "redis://:hunter2@127.0.0.1:1/nonsense".to_owned(),
        "http://:hunter2@host".to_owned(),
        "rediss://:hunter2@host".to_owned(),
        "hunter2".to_owned(),
    ] {
        let startup_timeout = Duration::from_millis(300);
        let config = RedisConfig {
            startup_timeout,
            ..RedisConfig::new(&url)
        };
        let error = RedisSessionStore::connect(config).await.unwrap_err();
        let chain = error_chain(&error);
        assert!(!chain.contains("hunter2"), "{url}: {chain}");
        if url.ends_with(&server.port().to_string()) {
            assert!(
                matches!(error, RedisError::Refused { .. }),
                "{url}: {chain}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_to_a_silent_server_ends_in_time_and_leaves_no_connection() {
    let server = RedisServer::start().unwrap();
    server.pause().unwrap();
    let startup_timeout = Duration::from_millis(500);
    let config = RedisConfig {
        startup_timeout,
        ..RedisConfig::new(server.url())
    };
    let started = Instant::now();
    let refused = RedisSessionStore::connect(config).await;
    assert!(
        matches!(refused, Err(RedisError::Unreachable { .. })),
        "{refused:?}"
    );
    assert!(
        started.elapsed() < Duration::from_millis(1500),
        "{:?}",
        started.elapsed()
    );
    server.resume().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    // Only the connection that asks; each connection counts twice: `addr` and `laddr`.
    while send_command(&server, "CLIENT LIST")
        .matches("addr=")
        .count()
        != 2
    {
        assert!(
            Instant::now() < deadline,
            "{}",
            send_command(&server, "CLIENT LIST")
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_stays_as_long_as_it_would_have_lived_and_no_longer() {
    let server = RedisServer::start().unwrap();
    let store = sessions(&server).await;
    store.create(&session("one"), TTL, ROOMY).await.unwrap();
    assert!(store.end(&session("one").id).await.unwrap());
    let left = send_command(&server, "PTTL forgewire:sessions:{one}");
    let left: u128 = left.trim().trim_start_matches(':').parse().unwrap();
    assert!(left > 0 && left <= TTL.as_millis(), "{left} ms");
    let fields = send_command(&server, "HKEYS forgewire:sessions:{one}");
    assert!(
        fields.contains("ended") && !fields.contains("state"),
        "{fields}"
    );
    assert_eq!(store.list(None, 10).await.unwrap().sessions, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_evicts_or_forgets_is_named() {
    let server = RedisServer::start().unwrap();
    assert_eq!(open(&server).await.weak_settings().await, []);
    for policy in ["volatile-ttl", "allkeys-lru"] {
        send_command(&server, &format!("CONFIG SET maxmemory-policy {policy}"));
        let weak = open(&server).await.weak_settings().await;
        let policy = policy.to_owned();
        assert_eq!(weak, [WeakRedisSetting::Evicts { policy }]);
    }
    send_command(&server, "CONFIG SET maxmemory-policy noeviction");
    send_command(&server, "CONFIG SET appendonly no");
    let weak = open(&server).await.weak_settings().await;
    assert_eq!(weak, [WeakRedisSetting::NoAppendOnlyFile]);
}
