//! Setup shared by the tests of this crate.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use contract::{SessionLimits, SessionRecords};
use model::{Session, SessionId};
use store_redis::{RedisConfig, RedisSessionStore};
use testkit::servers::RedisServer;

/// A time to live that exceeds the duration of every test.
pub(crate) const TTL: Duration = Duration::from_secs(600);

/// Bounds that only the tests about bounds reach.
#[allow(dead_code, reason = "not every test creates sessions")]
pub(crate) const ROOMY: SessionLimits = SessionLimits {
    max_sessions: 1_000_000,
    max_sessions_per_owner: 1_000_000,
    max_bytes: 1 << 40,
    max_bytes_per_owner: 1 << 40,
};

pub(crate) fn session(name: &str) -> Session {
    Session {
        id: SessionId::new(name).unwrap(),
        ..contract::session(0)
    }
}

pub(crate) async fn open(server: &RedisServer) -> RedisSessionStore {
    RedisSessionStore::connect(RedisConfig::new(server.url()))
        .await
        .unwrap()
}

/// The sessions on a server.
#[allow(dead_code, reason = "not every test creates sessions")]
pub(crate) async fn sessions(server: &RedisServer) -> SessionRecords {
    SessionRecords::new(Arc::new(open(server).await))
}

/// Waits up to `within` until the store answers.
pub(crate) async fn recovers(store: &SessionRecords, within: Duration) {
    let deadline = Instant::now() + within;
    while let Err(error) = store.check().await {
        assert!(Instant::now() < deadline, "{error:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sends a command to the server directly, bypassing the store; returns the answer as text.
pub(crate) fn send_command(server: &RedisServer, command: &str) -> String {
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    connection
        .write_all(format!("{command}\r\n").as_bytes())
        .unwrap();
    let mut answer = vec![0; 8192];
    let length = connection.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
