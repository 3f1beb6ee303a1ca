//! The session store from outside: a record that this build cannot read.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use testkit::cluster::{System, SystemKind};

/// Maximum time for an answer of Redis.
const ANSWER: Duration = Duration::from_secs(5);
/// A record as a build with another format would write it.
const RECORD: &str = "\u{2}{}";

/// Replaces the record of a session by one of another build.
///
/// # Errors
/// The store does not accept it, or has no such session.
pub fn plant_unreadable_session(system: &mut System, id: &str) -> Result<()> {
    match system.kind() {
        SystemKind::Cluster => {
            let key = format!("forgewire:sessions:{{{id}}}");
            let answer = redis(system, &["HSET", &key, "state", RECORD])?;
            ensure!(answer == ":0", "the session has a record: {answer}");
        }
        SystemKind::Embedded => {
            let file = system.cluster().dir().join("forgewire/forgewire.db");
            let sql = "UPDATE records SET state = ?2 WHERE collection = 'sessions' AND id = ?1";
            let connection = rusqlite::Connection::open(file)?;
            let changed = connection.execute(sql, rusqlite::params![id, RECORD.as_bytes()])?;
            ensure!(changed == 1, "there is no session {id}");
        }
    }
    Ok(())
}

/// Sends a command to the cluster's Redis; returns the first line of the answer.
fn redis(system: &mut System, command: &[&str]) -> Result<String> {
    let port = system.cluster().port("redis").context("Redis has a port")?;
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(ANSWER))?;
    write!(connection, "*{}\r\n", command.len())?;
    for word in command {
        write!(connection, "${}\r\n{word}\r\n", word.len())?;
    }
    let mut line = String::new();
    BufReader::new(connection).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
