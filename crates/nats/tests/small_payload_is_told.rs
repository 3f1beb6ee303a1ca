//! Alone in its process, because it reads the process's log.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails may panic, in its functions too"
)]

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use contract::StoredLog;
use nats::{JetStreamLog, LogConfig, NatsConfig, NatsConnection};
use ports::EventLog;
use testkit::servers::NatsServer;

const KIB: usize = 1024;
/// Time for a reconnection on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// The lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn warnings(&self) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.matches("larger events are stored without their `data`")
            .count()
    }
}

/// On one thread, so that all tasks write into this log.
#[tokio::test]
async fn a_small_server_is_told_once_and_again_when_it_changes() {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_writer(move || writer.clone());
    let _logging = tracing::subscriber::set_default(log.finish());
    let mut server = NatsServer::start().unwrap();
    server.set_max_payload(256 * KIB).unwrap();
    let config = NatsConfig::new(server.url());
    let connection = NatsConnection::connect(config).await.unwrap();
    let config = LogConfig {
        creates_stream: true,
        ..LogConfig::default()
    };
    let log = StoredLog::new(JetStreamLog::open(connection, config).await.unwrap());
    for _ in 0..5 {
        log.check_append().await.unwrap();
    }
    assert_eq!(lines.warnings(), 1);
    server.set_max_payload(300 * KIB).unwrap();
    let told = async {
        while lines.warnings() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, told).await.unwrap();
    for _ in 0..5 {
        log.check_append().await.unwrap();
    }
    assert_eq!(lines.warnings(), 2);
}
