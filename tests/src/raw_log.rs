//! The event log from outside: entries that are no events, and a stream that an operator deletes.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use testkit::cluster::{System, SystemKind};

/// Maximum time for an answer of NATS.
const ANSWER: Duration = Duration::from_secs(5);

/// Appends an entry that does not decode, as a build with another format would.
///
/// # Errors
/// The store does not accept it.
pub fn plant_undecodable_entry(system: &mut System, name: &str) -> Result<()> {
    const BODY: &str = "no event";
    match system.kind() {
        SystemKind::Cluster => publish(system, &format!("forgewire.events.{name}"), BODY),
        SystemKind::Embedded => {
            let file = system.cluster().dir().join("forgewire/forgewire.db");
            let sql = "INSERT INTO events (id, received_at, watermark, body) \
                       SELECT ?1, coalesce(max(received_at), 0), coalesce(max(watermark), 0), ?2 FROM events";
            let connection = rusqlite::Connection::open(file)?;
            connection.execute(sql, rusqlite::params![name, BODY.as_bytes()])?;
            Ok(())
        }
    }
}

/// Appends an entry that does not decode, at the place that the event with this id would have.
///
/// # Errors
/// The store does not accept it.
pub fn plant_undecodable_event(system: &mut System, id: &str) -> Result<()> {
    let name = match system.kind() {
        SystemKind::Embedded => id.to_owned(),
        // The end of an event's subject: 128 bits of a digest.
        SystemKind::Cluster => {
            let digest = Sha256::digest(id.as_bytes());
            digest[..16]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect()
        }
    };
    plant_undecodable_entry(system, &name)
}

/// Deletes the stream of the event log, as an operator would.
///
/// # Errors
/// The cluster's NATS does not answer.
pub fn delete_stream(system: &mut System) -> Result<()> {
    publish(system, "$JS.API.STREAM.DELETE.FORGEWIRE_EVENTS", "")
}

/// Publishes on the cluster's NATS, and waits until JetStream has answered.
fn publish(system: &mut System, subject: &str, body: &str) -> Result<()> {
    let port = system.cluster().port("nats").context("NATS has a port")?;
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(ANSWER))?;
    let length = body.len();
    let text = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB answer.{port} 1\r\nPUB {subject} answer.{port} {length}\r\n{body}\r\n"
    );
    connection.write_all(text.as_bytes())?;
    let mut lines = BufReader::new(connection).lines();
    for line in lines.by_ref() {
        if line?.starts_with("MSG ") {
            let answer = lines.next().context("NATS closed the connection")??;
            ensure!(!answer.contains("\"error\""), "NATS refuses: {answer}");
            return Ok(());
        }
    }
    anyhow::bail!("NATS closed the connection")
}
