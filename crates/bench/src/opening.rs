//! The streams of a measurement, and the request that opens each of them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{
    repositories::{OWNER, Repositories},
    requests::{fields_of, stateless, stateless_wait, wait_in_session},
};

/// Default number of streams that are being opened at the same time.
const IN_FLIGHT: usize = 64;
/// The same if each opening writes to the session store.
const IN_FLIGHT_STORED: usize = 16;

/// A kind of stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OpeningKind {
    /// `GET /events/stream`.
    #[default]
    Events,
    /// The GET stream of a session of the handshake era, with one subscription.
    Session,
    /// `subscriptions/listen`, naming one resource.
    Listen,
    /// HTTP+SSE of 2024-11-05, with one subscription.
    Sse,
    /// `GET /sub` of nginx with nchan.
    Peer,
    /// A call of `wait_for_events` that asks for progress, of the stateless era.
    Wait,
    /// The same within a session, so that its answer is stored and can be resumed.
    SessionWait,
}

impl OpeningKind {
    /// The kinds that an edge serves.
    pub(crate) const SERVED_BY_EDGES: [Self; 4] =
        [Self::Events, Self::Session, Self::Listen, Self::Sse];

    /// The name of this kind.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Session => "session",
            Self::Listen => "listen",
            Self::Sse => "sse",
            Self::Peer => "peer",
            Self::Wait => "wait",
            Self::SessionWait => "session-wait",
        }
    }

    /// Whether its frames contain the event. Otherwise they only report that a resource changed,
    /// and are counted.
    pub(crate) fn has_stamps(self) -> bool {
        self != Self::Listen
    }
}

/// Streams of one kind; also the arguments of a receiver.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Opening {
    /// Number of streams.
    #[arg(long)]
    pub(crate) streams: usize,
    /// Addresses of the servers, used in turn.
    #[arg(long, value_delimiter = ',', required = true)]
    pub(crate) targets: Vec<SocketAddr>,
    /// Kind of stream.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) kind: OpeningKind,
    /// Prefix of the names of the repositories.
    #[arg(long, default_value = "bench")]
    prefix: String,
    /// Number of repositories: each stream subscribes to the events of one, in turn; 0: all events.
    #[arg(long, default_value_t = 0)]
    filters: u64,
    /// Number of streams that are being opened at the same time.
    #[arg(long, default_value_t = IN_FLIGHT)]
    pub(crate) in_flight: usize,
    /// Cursor after which the streams begin.
    #[arg(long)]
    after: Option<String>,
    /// File with the ids of sessions, one per line.
    #[arg(long)]
    sessions: Option<PathBuf>,
}

impl Opening {
    /// `/events/stream` without a filter.
    pub(crate) fn events(streams: usize, targets: &[SocketAddr]) -> Self {
        Self::of_kind(OpeningKind::Events, streams, targets)
    }

    /// Streams of this kind; sessions need [`Self::with_sessions`].
    pub(crate) fn of_kind(kind: OpeningKind, streams: usize, targets: &[SocketAddr]) -> Self {
        Self {
            streams,
            targets: targets.to_vec(),
            kind,
            prefix: Repositories::one().prefix,
            filters: 0,
            in_flight: match kind {
                OpeningKind::Session | OpeningKind::Sse | OpeningKind::SessionWait => {
                    IN_FLIGHT_STORED
                }
                OpeningKind::Events
                | OpeningKind::Listen
                | OpeningKind::Peer
                | OpeningKind::Wait => IN_FLIGHT,
            },
            after: None,
            sessions: None,
        }
    }

    /// Each stream subscribes to the events of one of these repositories.
    pub(crate) fn with_filter(self, repositories: &Repositories) -> Self {
        Self {
            prefix: repositories.prefix.clone(),
            filters: repositories.count,
            ..self
        }
    }

    /// The streams resume after this cursor, all at once.
    pub(crate) fn with_cursor(self, cursor: &str) -> Self {
        Self {
            in_flight: self.streams,
            after: Some(cursor.to_owned()),
            ..self
        }
    }

    /// Uses the sessions of this file.
    pub(crate) fn with_sessions(self, file: &Path) -> Self {
        Self {
            sessions: Some(file.to_owned()),
            ..self
        }
    }

    /// These options as a command line.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let targets: Vec<_> = self.targets.iter().map(ToString::to_string).collect();
        let mut arguments = vec![
            format!("--streams={}", self.streams),
            format!("--targets={}", targets.join(",")),
            format!("--kind={}", self.kind.name()),
            format!("--prefix={}", self.prefix),
            format!("--filters={}", self.filters),
            format!("--in-flight={}", self.in_flight),
        ];
        if let Some(cursor) = &self.after {
            arguments.push(format!("--after={cursor}"));
        }
        if let Some(file) = &self.sessions {
            arguments.push(format!("--sessions={}", file.display()));
        }
        arguments
    }

    /// The repositories over which the streams are divided; a single one if all streams receive all
    /// events.
    pub(crate) fn repositories(&self) -> Repositories {
        Repositories::of(&self.prefix, self.filters)
    }

    /// The repository of a stream: each repository has streams on every server.
    pub(crate) fn repository(&self, index: usize) -> u64 {
        (index / self.targets.len()) as u64 % self.repositories().count
    }

    /// The server of a stream.
    pub(crate) fn target(&self, index: usize) -> SocketAddr {
        self.targets[index % self.targets.len()]
    }

    /// The session ids, one per stream; empty for kinds without sessions.
    pub(crate) fn read_sessions(&self) -> Result<Vec<String>> {
        if !matches!(self.kind, OpeningKind::Session | OpeningKind::SessionWait) {
            return Ok(Vec::new());
        }
        let file = self.sessions.as_ref().context("no sessions are given")?;
        let text =
            std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let ids: Vec<_> = text.lines().map(str::to_owned).collect();
        let (has, needs) = (ids.len(), self.streams);
        ensure!(has >= needs, "{has} sessions for {needs} streams");
        Ok(ids)
    }

    /// The request that opens a stream.
    pub(crate) fn request(&self, index: usize, sessions: &[String]) -> Vec<u8> {
        let target = self.target(index);
        let get = |path: &str, fields: &str| {
            format!(
                "GET {path} HTTP/1.1\r\nHost: {target}\r\nAccept: text/event-stream\r\n{fields}\r\n"
            )
            .into_bytes()
        };
        match self.kind {
            OpeningKind::Events => {
                let filter = match self.filters {
                    0 => String::new(),
                    _ => {
                        let repository = self.repositories().name(self.repository(index));
                        format!("?owner={OWNER}&repo={repository}")
                    }
                };
                let after = self.after.as_ref();
                let after = after.map(|cursor| format!("Last-Event-ID: {cursor}\r\n"));
                get(
                    &format!("/events/stream{filter}"),
                    &after.unwrap_or_default(),
                )
            }
            OpeningKind::Session => get("/mcp", &fields_of(&sessions[index])),
            OpeningKind::Listen => {
                let repository = self.repositories().name(self.repository(index));
                let uri = format!("github://issues/{OWNER}/{repository}/7");
                let params = json!({ "notifications": { "resourceSubscriptions": [uri] } });
                stateless(target, index as u64, "subscriptions/listen", "", params)
            }
            OpeningKind::Sse => get("/sse", ""),
            OpeningKind::Peer => get("/sub", ""),
            OpeningKind::Wait => {
                let repository = self.repositories().name(self.repository(index));
                stateless_wait(target, index as u64, Some(&repository), None)
            }
            OpeningKind::SessionWait => {
                let repository = self.repositories().name(self.repository(index));
                wait_in_session(target, &sessions[index], index as u64, &repository)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_concerns_one_repository_and_each_repository_has_streams_on_every_server() {
        let repositories = Repositories::of("x", 3);
        let events = |index| repositories.events_of(index, 7).collect::<Vec<_>>();
        assert_eq!(
            [events(0), events(1), events(2)],
            [vec![1, 4, 7], vec![2, 5], vec![3, 6]]
        );
        for number in 1..=7 {
            let index = repositories.of_event(number);
            assert!(events(index).contains(&number));
        }
        let servers = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let opening = Opening::events(12, &servers).with_filter(&repositories);
        for server in servers {
            let of_server = (0..12).filter(|index| opening.target(*index) == server);
            let repositories: Vec<_> = of_server.map(|index| opening.repository(index)).collect();
            assert_eq!(repositories, [0, 1, 2, 0, 1, 2]);
        }
    }
}
