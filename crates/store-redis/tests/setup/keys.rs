//! The keys on the server.

use testkit::servers::RedisServer;

use crate::setup::send_command;

/// The keys of the server that match a pattern, with their time to live in milliseconds.
pub(crate) fn keys(server: &RedisServer, pattern: &str) -> Vec<(String, i64)> {
    let answer = send_command(server, &format!("KEYS {pattern}"));
    let names = answer.lines().map(str::trim);
    let names = names.filter(|line| line.starts_with("forgewire:"));
    names
        .map(|name| {
            let left = send_command(server, &format!("PTTL {name}"));
            let left = left.trim().trim_start_matches(':').parse().unwrap();
            (name.to_owned(), left)
        })
        .collect()
}
