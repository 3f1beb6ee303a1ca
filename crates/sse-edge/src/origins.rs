//! The web pages that may use the edge (MCP, Streamable HTTP, "Security warning": DNS rebinding).
//!
//! A page loaded from a name that now resolves to this machine sends that name as `Host`, and with
//! some requests no `Origin`. So on loopback, `Host` has to be this machine, the host of an allowed
//! origin, or one of `edge.allowed_hosts`. Elsewhere the balancer decides on hosts, unless that list
//! names some.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderValue, Uri, header};
use parking_lot::Mutex;

use crate::limits::{LOGGED_HOSTS, MAX_HOST_BYTES};

/// The rule: configured origins and hosts, and this machine if the edge listens on loopback. Clones share
/// the memory of what was logged.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    allowed: Vec<String>,
    hosts: Vec<String>,
    loopback: bool,
    logged: Arc<Mutex<BTreeSet<String>>>,
}

impl Origins {
    /// The origins and hosts that are allowed, and whether the edge listens on loopback.
    pub(crate) fn new(origins: &[String], hosts: &[String], loopback: bool) -> Self {
        let allowed = origins
            .iter()
            .map(|o| o.trim_end_matches('/').to_ascii_lowercase());
        let hosts = hosts.iter().map(|name| host(name).to_ascii_lowercase());
        Self {
            allowed: allowed.collect(),
            hosts: hosts.collect(),
            loopback,
            logged: Arc::default(),
        }
    }

    pub(crate) fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.allowed.contains(&origin) || (self.loopback && is_local(&origin))
    }

    /// Whether the host is allowed. A request without any host does not come from a browser. A refused
    /// host is logged once, as long as there are few of them.
    pub(crate) fn allows_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        if !self.loopback && self.hosts.is_empty() {
            return true;
        }
        let in_uri = uri
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        let named = headers.get_all(header::HOST).iter();
        let mut named = named.map(HeaderValue::as_bytes).chain(in_uri);
        let foreign = named.find(|host| !self.is_ours(host));
        if let Some(authority) = foreign {
            self.log_refusal(authority);
        }
        foreign.is_none()
    }

    /// Says once per host why its requests are refused: the proxy that passes the name on shows its users
    /// nothing but a 403.
    fn log_refusal(&self, authority: &[u8]) {
        let text = String::from_utf8_lossy(authority);
        let name: String = host(&text).chars().take(MAX_HOST_BYTES).collect();
        let mut logged = self.logged.lock();
        if logged.len() < LOGGED_HOSTS && logged.insert(name.to_ascii_lowercase()) {
            tracing::warn!(
                host = ?name,
                "requests for this host are refused with 403, because it is neither this machine nor in \
                 edge.allowed_hosts; if a proxy passes it on, add it there"
            );
        }
    }

    fn is_ours(&self, authority: &[u8]) -> bool {
        let Ok(authority) = std::str::from_utf8(authority) else {
            return false;
        };
        let host = host(authority).to_ascii_lowercase();
        let is_of = |origin: &String| {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some_and(|authority| self::host(authority) == host)
        };
        is_this_machine(&host) || self.hosts.contains(&host) || self.allowed.iter().any(is_of)
    }
}

/// An authority without its port and without the dot of a fully qualified name (`localhost.`).
fn host(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

fn is_this_machine(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let address: Option<IpAddr> = address.unwrap_or(host).parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

fn is_local(origin: &str) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some_and(|authority| is_this_machine(host(authority)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_pages_and_this_machine_may() {
        let origins = Origins::new(&["https://App.example.com/".into()], &[], true);
        for good in [
            "https://app.example.com",
            "http://localhost:5173",
            "http://127.0.0.1",
            "http://[::1]:3000",
            "http://localhost.:5173",
        ] {
            assert!(origins.allows(good), "{good}");
        }
        for bad in [
            "https://evil.example",
            "http://localhost.evil.example",
            "http://evil.example:80",
            "null",
            "http://127.0.0.1.evil.example",
        ] {
            assert!(!origins.allows(bad), "{bad}");
        }
        assert!(!Origins::new(&[], &[], false).allows("http://localhost"));
    }

    fn allows(origins: &Origins, hosts: &[&[u8]]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_bytes(host).unwrap());
        }
        origins.allows_host(&Uri::from_static("/mcp"), &headers)
    }

    #[test]
    fn named_hosts_are_allowed_and_all_others_refused_wherever_the_edge_listens() {
        for loopback in [true, false] {
            let names = [
                "Edge.example.com".into(),
                "[2001:db8::7]".into(),
                "10.0.0.7".into(),
            ];
            let origins = Origins::new(&["https://app.example.com".into()], &names, loopback);
            for good in [
                "edge.example.com",
                "EDGE.example.com:8443",
                "edge.example.com.",
                "[2001:db8::7]:443",
                "10.0.0.7",
                "app.example.com",
                "localhost:3000",
            ] {
                assert!(allows(&origins, &[good.as_bytes()]), "{good}");
            }
            for bad in [
                "example.com",
                "edge.example.com.evil.example",
                "edge.example.com:x",
                "10.0.0.70",
            ] {
                assert!(!allows(&origins, &[bad.as_bytes()]), "{bad}");
            }
        }
    }

    #[test]
    fn a_refused_host_is_logged_once_and_strangers_cannot_fill_the_log() {
        let origins = Origins::new(&[], &[], true);
        for n in 0..10 * LOGGED_HOSTS {
            let host = format!("host-{n}.example:{}", 3000 + n % 2);
            for _ in 0..2 {
                assert!(!allows(&origins.clone(), &[host.as_bytes()]));
            }
        }
        let logged = origins.logged.lock();
        assert_eq!(logged.len(), LOGGED_HOSTS);
        assert!(logged.contains("host-0.example") && logged.contains("host-63.example"));
    }

    #[test]
    fn on_loopback_a_host_is_this_machine_or_that_of_a_named_page() {
        let origins = Origins::new(&["https://App.example.com:8443/".into()], &[], true);
        for good in [
            "localhost",
            "LocalHost:3000",
            "127.0.0.1:3000",
            "127.8.8.8",
            "[::1]:3000",
            "app.example.com",
            "app.example.com.",
            "localhost.:3000",
            "APP.example.com:3000",
        ] {
            assert!(allows(&origins, &[good.as_bytes()]), "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:3000",
            "localhost:3000@evil.example",
            "127.0.0.1.evil.example",
            "evil.example.",
            "localhost..",
            ".",
            "10.0.0.1",
            "0.0.0.0",
            "example.com",
            "",
            "local\u{e9}",
        ] {
            assert!(!allows(&origins, &[bad.as_bytes()]), "{bad}");
        }
        assert!(!allows(&origins, &[b"\xff"]));
        assert!(!allows(&origins, &[b"localhost", b"evil.example"]));
        assert!(allows(&origins, &[]));
        let absolute = Uri::from_static("http://evil.example/mcp");
        assert!(!origins.allows_host(&absolute, &HeaderMap::new()));
        assert!(allows(&Origins::new(&[], &[], false), &[b"evil.example"]));
    }
}
