//! The `[edge]` section.

use std::{
    io::Read,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use mcp::mrtr::{StateKey, StateKeys};
use model::IdSource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::{config::Secret, descriptors::Descriptors};
use sha2::{Digest, Sha256};

use fanout::{
    bounds::{MaxAge, StreamBounds},
    limits::MIN_STREAM_HEARTBEATS,
    patience::Patience,
};
use mcp_server::RateLimits;

use crate::{error::BuildError, limits, session::SessionBounds};

const STATE_KEY_FILES: &str = "edge.state_key_files";
/// Shorter text is a password, not a key.
const MIN_KEY_CHARACTERS: usize = 32;
/// A file that is larger holds something else.
const MAX_KEY_FILE_BYTES: u64 = 4096;

/// The edge: MCP over HTTP and SSE, REST and SSE for browsers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Origins of web pages that may use this edge, for instance `https://app.example.com`. Pages from
    /// this machine (localhost) may when the edge listens on loopback. Requests without `Origin` (agents,
    /// curl) are not concerned.
    pub allowed_origins: Vec<String>,
    /// Path that everything is under, for a proxy that passes it on, for instance `/forgewire`: then MCP
    /// is at `/forgewire/mcp`. Empty for none.
    pub base_path: String,
    /// Seconds between heartbeat comments on an idle stream; at least 1.
    pub heartbeat_seconds: u64,
    /// Most streams that are open at once; more get 503 with Retry-After. 0 refuses every stream. The
    /// process's limit of file descriptors bounds them too, less a reserve of 64 to 1,024: the log and
    /// the metric `forgewire_edge_max_streams` say which bound holds.
    pub max_streams: usize,
    /// Whether streams on plain HTTP/1.1 leave the HTTP server with their socket and are served by threads
    /// of their own: a stream then costs about 1 KiB instead of 11, and less CPU. Streams over HTTP/1.0
    /// stay where they are.
    pub take_over_sockets: bool,
    /// Threads that serve such streams; 0 for one a core.
    pub stream_threads: usize,
    /// Seconds after which a stream is cut whose client reads more slowly than events come, and has not
    /// caught up since. Nothing is lost: it comes back with its cursor. 0 for never; then what such a
    /// client has not got is read from the log, however late.
    pub max_behind_seconds: u64,
    /// Events that a client which does not read may be behind before its stream is cut, not counting those
    /// that it had missed when it came; 0 for any number.
    pub max_behind_events: u64,
    /// Seconds after which a stream ends and its client comes back, to any edge, and goes on where it was:
    /// without that, edges which are started because the others are full would get none of their streams.
    /// Each ends at a random point between three quarters of this and all of it. At least 8 times
    /// `heartbeat_seconds`; 0 for never. Streams of `/sse` stay, because their session would end with
    /// them.
    pub max_stream_seconds: u32,
    /// Seconds over which streams are ended when the process drains.
    pub drain_seconds: u64,
    /// Seconds after which a session that nobody used is gone. A request that is refused, and an open
    /// stream of another session, are no use of it; its own open stream is.
    pub session_idle_seconds: u64,
    /// Seconds after which a session is gone, however much it is used; at least
    /// `session_idle_seconds`. Its client begins another.
    pub session_max_seconds: u64,
    /// Most sessions that live at once, on all edges together; more get 503 with Retry-After. Edges that
    /// share a session store should have the same. 0 refuses every session.
    pub max_sessions: u64,
    /// Most sessions of one principal that live at once; more get 503 with Retry-After. Without
    /// authentication everybody is the same one, and only `max_sessions` counts.
    pub max_sessions_per_principal: u32,
    /// Largest body of a POST, in bytes.
    pub max_body_bytes: usize,
    /// Keys that seal `requestState`, of at least 32 characters each, such as `openssl rand -base64 32`
    /// prints. All edges need the same ones. The first seals, all open: to rotate, add the new key last
    /// everywhere, then move it to the front, and drop the old one an hour later. Without any, here or
    /// in `state_key_files`, each process makes a key of its own, and a client that has to answer
    /// something must come back to the same edge.
    pub state_keys: Vec<Secret>,
    /// Files with such keys, one key each; they come after those of `state_keys`.
    pub state_key_files: Vec<PathBuf>,
    /// How much one principal may call.
    pub rates: RateLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            allowed_origins: Vec::new(),
            base_path: String::new(),
            heartbeat_seconds: limits::HEARTBEAT_SECONDS,
            max_streams: limits::MAX_STREAMS,
            take_over_sockets: true,
            stream_threads: 0,
            max_behind_seconds: limits::MAX_BEHIND_SECONDS,
            max_behind_events: 0,
            max_stream_seconds: limits::MAX_STREAM_SECONDS,
            drain_seconds: limits::DRAIN_SECONDS,
            session_idle_seconds: limits::SESSION_IDLE_SECONDS,
            session_max_seconds: limits::SESSION_MAX_SECONDS,
            max_sessions: limits::MAX_SESSIONS,
            max_sessions_per_principal: limits::MAX_SESSIONS_PER_PRINCIPAL,
            max_body_bytes: limits::MAX_BODY_BYTES,
            state_keys: Vec::new(),
            state_key_files: Vec::new(),
            rates: RateLimits::default(),
        }
    }
}

impl Config {
    /// Refuses values that make no sense.
    ///
    /// # Errors
    /// A value out of bounds; the text names the key.
    pub fn check(&self) -> Result<(), BuildError> {
        let positive = |key, value: u64| match value {
            0 => Err(BuildError::Value {
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
            return Err(BuildError::Value {
                key: "edge.base_path",
                reason:
                    "has to be empty, or like /path: no slash at the end, letters, digits and -_.~"
                        .to_owned(),
            });
        }
        positive("edge.heartbeat_seconds", self.heartbeat_seconds)?;
        if self.stream_threads > limits::MAX_STREAM_THREADS {
            return Err(BuildError::Value {
                key: "edge.stream_threads",
                reason: format!(
                    "must be at most {}, or 0 for one a core",
                    limits::MAX_STREAM_THREADS
                ),
            });
        }
        let least = self.heartbeat_seconds.saturating_mul(MIN_STREAM_HEARTBEATS);
        if self.max_stream_seconds > 0 && u64::from(self.max_stream_seconds) < least {
            return Err(BuildError::Value {
                key: "edge.max_stream_seconds",
                reason: format!(
                    "must be at least {least}, which is {MIN_STREAM_HEARTBEATS} times edge.heartbeat_seconds, or 0 for never"
                ),
            });
        }
        positive("edge.session_idle_seconds", self.session_idle_seconds)?;
        positive("edge.max_body_bytes", self.max_body_bytes as u64)?;
        if self.session_max_seconds < self.session_idle_seconds {
            return Err(BuildError::Value {
                key: "edge.session_max_seconds",
                reason: format!(
                    "must be at least edge.session_idle_seconds, which is {}",
                    self.session_idle_seconds
                ),
            });
        }
        self.rates.check().map_err(|error| BuildError::Value {
            key: error.key,
            reason: error.to_string(),
        })
    }

    pub(crate) fn stream_bounds(&self, descriptors: Descriptors) -> StreamBounds {
        let age = MaxAge::new(self.max_stream_seconds, self.heartbeat_seconds);
        let patience = Patience::new(self.max_behind_seconds, self.max_behind_events);
        StreamBounds::new(self.max_streams, descriptors, age, patience)
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

    /// The keys for `requestState`.
    ///
    /// # Errors
    /// A file that cannot be read, holds no key, or holds one that another file holds too.
    pub(crate) fn state_keys(&self, ids: &dyn IdSource) -> Result<StateKeys, BuildError> {
        let mut keys = Vec::new();
        for key in &self.state_keys {
            let key = check_key(key.expose()).map_err(|reason| BuildError::Value {
                key: "edge.state_keys",
                reason,
            })?;
            keys.push(key);
        }
        for path in &self.state_key_files {
            let key = read_key(path).map_err(|reason| BuildError::Value {
                key: STATE_KEY_FILES,
                reason,
            })?;
            keys.push(key);
        }
        if keys.is_empty() {
            let random: String = (0..4)
                .map(|_| format!("{:016x}", ids.random_u64()))
                .collect();
            keys.push(state_key(&random));
        }
        StateKeys::new(keys).map_err(|error| BuildError::Value {
            key: STATE_KEY_FILES,
            reason: error.to_string(),
        })
    }
}

/// Reads one key; says what is wrong in words that name the file and not what is in it.
fn read_key(path: &Path) -> Result<StateKey, String> {
    let shown = path.display();
    let file =
        std::fs::File::open(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let mut text = String::new();
    file.take(MAX_KEY_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot read {shown}: {error}"))?;
    check_key(&text).map_err(|reason| format!("{shown}: {reason}"))
}

fn check_key(text: &str) -> Result<StateKey, String> {
    let text = text.trim();
    if text.len() < MIN_KEY_CHARACTERS {
        return Err(format!(
            "a key has at least {MIN_KEY_CHARACTERS} characters; make one with `openssl rand -base64 32`"
        ));
    }
    Ok(state_key(text))
}

/// The key's id follows from its text, so that nobody has to number keys.
fn state_key(text: &str) -> StateKey {
    let secret: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let name = Sha256::digest(secret);
    let id = u32::from_be_bytes([name[0], name[1], name[2], name[3]]);
    StateKey { id, secret }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::RandomIds;
    use std::io::Write;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn keys(files: &[&tempfile::NamedTempFile]) -> Result<StateKeys, String> {
        let config = Config {
            state_key_files: files.iter().map(|file| file.path().to_owned()).collect(),
            ..Config::default()
        };
        let keys = config.state_keys(&RandomIds);
        keys.map_err(|error| error.to_string())
    }

    #[test]
    fn a_rate_limit_out_of_bounds_is_named() {
        for (set, key) in [
            (
                (|rates| rates.memory_calls_per_second = 0) as fn(&mut RateLimits),
                "memory_calls",
            ),
            (
                |rates| rates.store_calls_per_second = 1_000_001,
                "store_calls",
            ),
            (|rates| rates.waiting_calls = 0, "waiting_calls"),
        ] {
            let mut config = Config::default();
            config.check().unwrap();
            set(&mut config.rates);
            let wrong = config.check().unwrap_err().to_string();
            assert!(wrong.contains(&format!("edge.rates.{key}")), "{wrong}");
        }
    }

    #[test]
    fn a_stream_lives_for_some_heartbeats_or_for_ever() {
        let config = |heartbeat_seconds, max_stream_seconds| Config {
            heartbeat_seconds,
            max_stream_seconds,
            ..Config::default()
        };
        assert!(config(15, 120).check().is_ok());
        assert!(config(15, 0).check().is_ok());
        assert!(config(u64::MAX, 0).check().is_ok());
        for wrong in [config(15, 119), config(15, 1), config(u64::MAX, 3600)] {
            let refused = wrong.check().unwrap_err().to_string();
            assert!(refused.contains("edge.max_stream_seconds"), "{refused}");
        }
    }

    #[test]
    fn a_session_cannot_be_idle_for_longer_than_it_may_live() {
        let config = |session_idle_seconds, session_max_seconds| Config {
            session_idle_seconds,
            session_max_seconds,
            ..Config::default()
        };
        assert!(config(60, 60).check().is_ok());
        let refused = config(60, 59).check().unwrap_err().to_string();
        assert!(refused.contains("edge.session_max_seconds"), "{refused}");
    }

    #[test]
    fn keys_come_from_files_and_what_is_no_key_is_refused_without_showing_it() {
        let (one, two) = (
            file(&"a".repeat(44)),
            file(&format!("{}\n", "b".repeat(44))),
        );
        assert!(keys(&[]).is_ok());
        assert!(keys(&[&one, &two]).is_ok());
        let twice = keys(&[&one, &one]).unwrap_err();
        assert!(twice.contains("edge.state_key_files"), "{twice}");
        let short = keys(&[&file("hunter2")]).unwrap_err();
        assert!(
            short.contains("32 characters") && !short.contains("hunter2"),
            "{short}"
        );
        let config = Config {
            state_key_files: vec!["/nowhere/key".into()],
            ..Config::default()
        };
        let missing = config.state_keys(&RandomIds).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/key"), "{missing}");
    }
}
