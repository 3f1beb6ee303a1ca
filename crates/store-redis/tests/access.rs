//! A user of Redis that may not do all that the store does, or whose password has changed: said plainly.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use std::{
    error::Error,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use contract::SessionRecords;
use store_redis::{RedisConfig, RedisError, RedisSessionStore};
use testkit::servers::RedisServer;

async fn as_role(server: &RedisServer) -> Result<SessionRecords, RedisError> {
    let url = format!("redis://role:secret@127.0.0.1:{}", server.port());
    let store = RedisSessionStore::connect(RedisConfig::new(url)).await?;
    Ok(SessionRecords::new(Arc::new(store)))
}

/// Sends a command to the server directly.
fn send_command(server: &RedisServer, command: &str) {
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let line = format!("{command}\r\n");
    connection.write_all(line.as_bytes()).unwrap();
    let mut answer = [0; 256];
    let length = connection.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(!answer.starts_with('-'), "{command}: {answer}");
}

/// Waits until a check succeeds.
async fn recovers(store: &SessionRecords) {
    let succeeding = async {
        while store.check().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let recovered = tokio::time::timeout(Duration::from_secs(10), succeeding).await;
    assert!(recovered.is_ok());
}

/// The error of a check, with its causes.
async fn refusal(store: &SessionRecords) -> String {
    let error = store.check().await.unwrap_err();
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_or_key_that_is_denied_is_named_until_it_is_allowed() {
    let server = RedisServer::start().unwrap();
    let all = "ACL SETUSER role reset on >secret +@all ~*";
    send_command(&server, all);
    let store = as_role(&server).await.unwrap();
    for (denied, named) in [
        ("-hset", "HSET"),
        ("-zunionstore", "ZUNIONSTORE"),
        ("-pexpireat", "PEXPIREAT"),
        ("-unlink", "UNLINK"),
        ("-eval", "eval"),
        ("-evalsha", "evalsha"),
        (
            "resetkeys ~forgewire:sessions:* ~forgewire:{index:sessions}:* ~forgewire:check",
            "keys",
        ),
    ] {
        send_command(&server, &format!("ACL SETUSER role {denied}"));
        let text = refusal(&store).await;
        let fits = text.contains("lacks a permission") && text.contains(named);
        assert!(fits, "{denied}: {text}");
        assert!(!text.contains("secret"), "{text}");
        send_command(&server, all);
        // A changed password or rule may end the connection.
        recovers(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_named_at_the_start_and_when_they_change() {
    let server = RedisServer::start().unwrap();
    let refused = as_role(&server).await;
    assert!(
        matches!(refused, Err(RedisError::Refused { .. })),
        "{refused:?}"
    );
    send_command(&server, "ACL SETUSER role reset on >secret +@all ~*");
    let store = as_role(&server).await.unwrap();
    send_command(&server, "ACL SETUSER role resetpass >changed");
    send_command(&server, "CLIENT KILL USER role");
    let mut text = refusal(&store).await;
    for _ in 0..50 {
        if text.contains("refuses the credentials of redis.url") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        text = refusal(&store).await;
    }
    assert!(
        text.contains("refuses the credentials of redis.url"),
        "{text}"
    );
    assert!(
        text.contains("WRONGPASS") && !text.contains("secret"),
        "{text}"
    );
    send_command(&server, "ACL SETUSER role resetpass >secret");
    recovers(&store).await;
}
