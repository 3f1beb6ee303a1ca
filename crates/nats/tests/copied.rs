//! An entry that was copied in the stream: by a tool that publishes what it read, or a restored backup that is
//! played in beside the original.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use std::{
    fmt::Write as _,
    io::{Read, Write as _},
    net::TcpStream,
    time::Duration,
};

use model::Sequence;
use nats::{JetStreamLog, LogConfig, NatsConfig, NatsConnection};
use ports::EventLog;
use sha2::{Digest, Sha256};
use testkit::servers::NatsServer;

/// Publishes an event at its own subject, without the condition that it is the first there.
fn copy(server: &NatsServer, event: &model::StoredEvent) {
    let digest = Sha256::digest(event.facts.id.as_str().as_bytes());
    let mut subject = "forgewire.events.".to_owned();
    for byte in &digest[..16] {
        write!(subject, "{byte:02x}").unwrap();
    }
    let body = proto::encode_event(event);
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    connection
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let head = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB copied 1\r\nPUB {subject} copied {}\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(&body).unwrap();
    connection.write_all(b"\r\n").unwrap();
    let mut answer = String::new();
    let mut buffer = [0; 4096];
    while !answer.contains("\"seq\"") {
        let read = connection.read(&mut buffer).unwrap();
        assert!(read > 0, "{answer}");
        answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}

/// It is an entry of its own to every reader, in the same order for all; its id tells that it is the same event,
/// and a redelivery of the webhook is still a duplicate.
#[tokio::test(flavor = "multi_thread")]
async fn a_copied_entry_comes_again_with_the_id_of_its_event() {
    let server = NatsServer::start().unwrap();
    let connection = NatsConnection::connect(NatsConfig::new(server.url()))
        .await
        .unwrap();
    let config = LogConfig {
        creates_stream: true,
        ..LogConfig::default()
    };
    let log = JetStreamLog::open(connection, config).await.unwrap();
    log.append(contract::events(0, 2)).await.unwrap();
    copy(&server, &contract::event(0));
    let page = log.read_after(Sequence::START, 100).await.unwrap();
    let ids: Vec<_> = page
        .events
        .iter()
        .map(|event| &event.item.facts.id)
        .collect();
    assert_eq!((ids.len(), page.resumes_after), (3, None));
    assert_eq!(ids[0], ids[2], "consumers tell it by the id");
    let again = log.append(contract::events(0, 1)).await.unwrap();
    assert!(again[0].duplicate);
}
