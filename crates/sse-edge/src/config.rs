//! The `[edge]` section.

mod addresses;
mod keys;

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use model::FilterDefaults;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::{
    config::Secret,
    descriptors::Descriptors,
    http::{DEFAULT_IDLE_SECONDS, MAX_IDLE_SECONDS},
    proxies::{ProxyConfig, TrustedProxies},
};

use fanout::{
    bounds::{MaxAge, StreamBounds},
    lag::LagLimits,
    limits::MIN_STREAM_HEARTBEATS,
};
use mcp_server::RateLimits;

use self::addresses::{check_hosts, check_origins};
use crate::{error::EdgeBuildError, limits, session::SessionBounds};

/// The edge: MCP over HTTP and SSE, REST and SSE for browsers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Config")]
pub struct EdgeConfig {
    /// Address to listen on; port 0 picks a free one, and the ready line on stdout names it.
    pub listen: SocketAddr,
    /// Origins of web pages that may use this edge, for instance `https://app.example.com`; up to 256. While
    /// the edge listens on loopback, pages from this machine (localhost) may use it too. Requests
    /// without `Origin` (agents, curl) are not restricted.
    pub allowed_origins: Vec<String>,
    /// Names under which this edge is reached, without scheme and port, for instance
    /// `edge.example.com`; up to 256. A request whose `Host` is none of them, nor the host of an allowed
    /// origin, nor this machine (localhost), is answered with 403, because a web page could use a name
    /// of its own for this machine (DNS rebinding). Without any name here, that holds on loopback only;
    /// on other addresses every `Host` is accepted. A TLS proxy on the same machine that passes `Host`
    /// on needs its name here. An admin listener on loopback shows its details under the same names.
    pub allowed_hosts: Vec<String>,
    /// Proxies in front of this edge that name the addresses of its clients. Without authentication, clients are
    /// told apart by their addresses where they share memory and time of the edge.
    pub proxies: ProxyConfig,
    /// Whether JSON answers of a kilobyte or more are compressed for clients that accept gzip. Streams never are.
    pub compress_answers: bool,
    /// Path prefix of all routes, for a proxy that passes the prefix on: with `/forgewire`, MCP is
    /// at `/forgewire/mcp`. Empty for none.
    pub base_path: String,
    /// Seconds between heartbeat comments on an idle stream; at least 1.
    pub heartbeat_seconds: u64,
    /// Maximum number of open streams; beyond it a request gets 503 with Retry-After. 0 refuses
    /// every stream. File descriptors bound streams too: the process raises its soft limit to the
    /// hard limit at start and keeps a reserve of 64 to 1,024. The log and the metric
    /// `forgewire_edge_max_streams` say which bound holds.
    pub max_streams: usize,
    /// Whether streams on plain HTTP/1.1 leave the HTTP server with their socket and are served by
    /// threads of their own: a stream then costs about 1 KiB instead of 11, and less CPU. Streams
    /// over HTTP/1.0 stay with the HTTP server.
    pub take_over_sockets: bool,
    /// Threads that serve such streams; 0 for one per core.
    pub stream_threads: usize,
    /// Seconds that a client may stay behind before its stream is cut. Nothing is lost: it resumes
    /// with its cursor. 0 for no limit; then the client catches up from the log, however late.
    pub max_behind_seconds: u64,
    /// Number of events that a client may fall behind before its stream is cut, not counting those
    /// it had missed before it connected; 0 for no limit.
    pub max_behind_events: u64,
    /// Maximum age of a stream in seconds; then it ends, and its client reconnects to any edge and
    /// continues where it was, so that load spreads again after a scale-up. Each stream ends at a
    /// random point in the last quarter. At least 8 times `heartbeat_seconds`; 0 for no limit.
    /// Streams of `/sse` are exempt, because their session would end with them.
    pub max_stream_seconds: u32,
    /// Seconds over which streams are ended when the process drains.
    pub drain_seconds: u64,
    /// Seconds without a request after which a kept-alive connection closes, 1 to 700. It should be
    /// longer than the balancer's own time for connections to the edge; see docs/production.md,
    /// "Balancers".
    pub idle_seconds: u64,
    /// Seconds without use after which a session ends (default: 1 day). A refused request and a
    /// stream of another session are not use; the session's own open stream is. A session keeps the
    /// value of the edge on which it began.
    pub session_idle_seconds: u64,
    /// Maximum age of a session in seconds, regardless of use (default: 7 days); at least
    /// `session_idle_seconds`. Its client starts a new one. A session keeps the value of the edge on
    /// which it began.
    pub session_max_seconds: u64,
    /// Maximum number of sessions on all edges together; beyond it a request gets 503 with
    /// Retry-After. Edges that share a session store should have the same value. 0 refuses every
    /// session.
    pub max_sessions: u64,
    /// Maximum number of sessions of one principal; beyond it a request gets 503 with Retry-After.
    /// Without authentication all clients are one principal, and only `max_sessions` counts.
    pub max_sessions_per_principal: u32,
    /// Largest body of a POST, in bytes, 1 to 67108864; all bodies of the process share 256 MiB.
    pub max_body_bytes: usize,
    /// Keys that seal `requestState`, cursors and event ids, at least 32 characters each, for instance the output of
    /// `openssl rand -base64 32`. All edges need the same keys. The first key seals, every key
    /// opens. To rotate: add the new key at the end on all edges, then move it to the front, and
    /// remove the old one when `retention.event_days` have passed: a client that comes back with a
    /// cursor of a key that is gone is told that events may be missing. Without any key, here or in
    /// `state_key_files`, keys derived from those in `[roles]` are used. If there are none either, each
    /// process makes its own for `requestState`, so that a client that answers a question has to reach the
    /// same edge, and cursors are sealed with one that is derived from the identity of the log. See
    /// docs/production.md, "State keys".
    pub state_keys: Vec<Secret>,
    /// Files with such keys, one key per file; their keys come after those of `state_keys`.
    pub state_key_files: Vec<PathBuf>,
    /// Whether cursors and event ids are read that were issued before they were sealed, or before the
    /// edges had a key in `state_keys` or `state_key_files`. Because anybody can make one up, it is believed
    /// only if it names the event at its position; the client of any other is told that events may be
    /// missing, and gets all that are kept. A reader can still learn the number of an event that it has
    /// seen, by trying, so set it to false once clients have come back since the upgrade, at the latest after
    /// `retention.event_days`. Without a key, it concerns the unsealed ones only.
    pub accept_older_cursors: bool,
    /// Whether the kind `issue` in a filter includes pull requests, which GitHub counts among the issues of a
    /// repository, as clients of earlier systems expect. A call or request decides for itself with
    /// `includePullRequests`.
    pub issues_include_pull_requests: bool,
    /// Whether `GET /mcp/sse` takes a token as `?token=…` in the query, for pages whose `EventSource` cannot send a
    /// header. URLs end up in histories and in the logs of proxies, so leave it off where a header is possible.
    /// Forgewire logs no query.
    pub query_tokens: bool,
    /// Whether `/demo` has a page for trying `/mcp/sse` in a browser: `"loopback"` while the edge listens on
    /// loopback, `"on"` or `"off"`. The page itself needs no token; everything that it calls does.
    pub demo_page: DemoPage,
    /// Whether clients with channels (Claude Code) get the events of their subscriptions as notifications that their
    /// session shows to the model: `"loopback"` while the edge listens on loopback, `"on"` or `"off"`. What strangers
    /// write on GitHub then reaches a model without a tool call, so see `lockdown`.
    pub channels: ChannelSwitch,
    /// Whether the texts of strangers are left out of everything that this edge shows. Ids, logins, names of repositories
    /// and teams, labels, branches, tags, states, numbers, times and GitHub's own links stay, and so do titles and texts
    /// of objects that say that their author is an OWNER, MEMBER or COLLABORATOR. `[withheld by edge.lockdown]` stands
    /// in the place of everything else. It holds for tools, resources, prompts, channels, streams and REST.
    pub lockdown: bool,
    /// Bytes of the sync role's answers that this edge keeps, so that a resource or a list is read again only once it may
    /// have changed; 0 for none. Without effect where the sync role is in the same process.
    pub mirror_cache_bytes: u64,
    /// Rate limits of one principal.
    pub rates: RateLimits,
}

/// Where channels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChannelSwitch {
    /// On an edge that listens on loopback.
    Loopback,
    /// On every edge.
    On,
    /// Nowhere.
    Off,
}

/// Where the demo page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DemoPage {
    /// On an edge that listens on loopback.
    Loopback,
    /// On every edge.
    On,
    /// Nowhere.
    Off,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            proxies: ProxyConfig::default(),
            compress_answers: true,
            base_path: String::new(),
            heartbeat_seconds: limits::HEARTBEAT_SECONDS,
            max_streams: limits::MAX_STREAMS,
            take_over_sockets: true,
            stream_threads: 0,
            max_behind_seconds: limits::MAX_BEHIND_SECONDS,
            max_behind_events: 0,
            max_stream_seconds: limits::MAX_STREAM_SECONDS,
            drain_seconds: limits::DRAIN_SECONDS,
            idle_seconds: DEFAULT_IDLE_SECONDS,
            session_idle_seconds: limits::SESSION_IDLE_SECONDS,
            session_max_seconds: limits::SESSION_MAX_SECONDS,
            max_sessions: limits::MAX_SESSIONS,
            max_sessions_per_principal: limits::MAX_SESSIONS_PER_PRINCIPAL,
            max_body_bytes: limits::MAX_BODY_BYTES,
            state_keys: Vec::new(),
            state_key_files: Vec::new(),
            accept_older_cursors: true,
            issues_include_pull_requests: false,
            query_tokens: false,
            demo_page: DemoPage::Loopback,
            channels: ChannelSwitch::Loopback,
            lockdown: false,
            mirror_cache_bytes: mirror_cache::limits::DEFAULT_MAX_BYTES,
            rates: RateLimits::default(),
        }
    }
}

impl EdgeConfig {
    /// Refuses values that are out of bounds.
    ///
    /// # Errors
    /// A value out of bounds; the text names the key.
    pub fn check(&self) -> Result<(), EdgeBuildError> {
        let positive = |key, value: u64| match value {
            0 => Err(EdgeBuildError::Value {
                key,
                reason: "must be at least 1".to_owned(),
            }),
            _ => Ok(()),
        };
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/".contains(&b);
        let base = &self.base_path;
        let fits = base.is_empty()
            || (base.starts_with('/')
                && !base.ends_with('/')
                && !base.contains("//")
                && base.bytes().all(is_plain));
        if !fits {
            return Err(EdgeBuildError::Value {
                key: "edge.base_path",
                reason:
                    "must be empty or a path such as /forgewire: no slash at the end, letters, digits and -_.~"
                        .to_owned(),
            });
        }
        check_hosts(&self.allowed_hosts).map_err(|reason| EdgeBuildError::Value {
            key: "edge.allowed_hosts",
            reason,
        })?;
        check_origins(&self.allowed_origins).map_err(|reason| EdgeBuildError::Value {
            key: "edge.allowed_origins",
            reason,
        })?;
        self.trusted_proxies()?;
        positive("edge.heartbeat_seconds", self.heartbeat_seconds)?;
        if self.stream_threads > limits::MAX_STREAM_THREADS {
            return Err(EdgeBuildError::Value {
                key: "edge.stream_threads",
                reason: format!(
                    "must be at most {}, or 0 for one per core",
                    limits::MAX_STREAM_THREADS
                ),
            });
        }
        let least = self.heartbeat_seconds.saturating_mul(MIN_STREAM_HEARTBEATS);
        if self.max_stream_seconds > 0 && u64::from(self.max_stream_seconds) < least {
            return Err(EdgeBuildError::Value {
                key: "edge.max_stream_seconds",
                reason: format!(
                    "must be at least {least}, which is {MIN_STREAM_HEARTBEATS} times edge.heartbeat_seconds, or 0 for no limit"
                ),
            });
        }
        if !(1..=MAX_IDLE_SECONDS).contains(&self.idle_seconds) {
            return Err(EdgeBuildError::Value {
                key: "edge.idle_seconds",
                reason: format!("must be from 1 to {MAX_IDLE_SECONDS}"),
            });
        }
        positive("edge.session_idle_seconds", self.session_idle_seconds)?;
        positive("edge.max_body_bytes", self.max_body_bytes as u64)?;
        if self.max_body_bytes > limits::HIGHEST_MAX_BODY_BYTES {
            return Err(EdgeBuildError::Value {
                key: "edge.max_body_bytes",
                reason: format!("must be at most {}", limits::HIGHEST_MAX_BODY_BYTES),
            });
        }
        if self.session_max_seconds < self.session_idle_seconds {
            return Err(EdgeBuildError::Value {
                key: "edge.session_max_seconds",
                reason: format!(
                    "must be at least edge.session_idle_seconds, which is {}",
                    self.session_idle_seconds
                ),
            });
        }
        self.rates.check().map_err(|error| EdgeBuildError::Value {
            key: error.key,
            reason: error.to_string(),
        })
    }

    pub(crate) fn stream_bounds(&self, descriptors: Descriptors) -> StreamBounds {
        let age = MaxAge::new(self.max_stream_seconds, self.heartbeat_seconds);
        let lag = LagLimits::new(self.max_behind_seconds, self.max_behind_events);
        StreamBounds::new(self.max_streams, descriptors, age, lag)
    }

    /// The proxies that name clients.
    ///
    /// # Errors
    /// A range is none.
    pub(crate) fn trusted_proxies(&self) -> Result<TrustedProxies, EdgeBuildError> {
        self.proxies.read().map_err(|error| EdgeBuildError::Value {
            key: "edge.proxies.trusted",
            reason: error.to_string(),
        })
    }

    pub(crate) fn has_demo_page(&self) -> bool {
        match self.demo_page {
            DemoPage::Loopback => self.listen.ip().is_loopback(),
            DemoPage::On => true,
            DemoPage::Off => false,
        }
    }

    pub(crate) fn has_channels(&self) -> bool {
        match self.channels {
            ChannelSwitch::Loopback => self.listen.ip().is_loopback(),
            ChannelSwitch::On => true,
            ChannelSwitch::Off => false,
        }
    }

    pub(crate) fn filter_defaults(&self) -> FilterDefaults {
        FilterDefaults {
            issues_include_pull_requests: self.issues_include_pull_requests,
        }
    }

    /// Threads that own the sockets of streams.
    pub(crate) fn stream_threads(&self) -> usize {
        match (self.take_over_sockets, self.stream_threads) {
            (false, _) => 0,
            (true, 0) => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            (true, threads) => threads,
        }
    }

    pub(crate) fn session_bounds(&self) -> SessionBounds {
        SessionBounds {
            idle: Duration::from_secs(self.session_idle_seconds),
            lifetime: Duration::from_secs(self.session_max_seconds),
            max_sessions: self.max_sessions,
            max_sessions_per_principal: self.max_sessions_per_principal,
        }
    }
}

#[cfg(test)]
mod tests;
