//! The names under which a listener may be reached.
//!
//! A web page loaded from a name that now resolves to this machine sends that name as `Host` (DNS rebinding).
//! So a listener on loopback answers only requests for this machine, and for names that the operator chose.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderValue, Uri, header};
use parking_lot::Mutex;

use crate::limits::LOGGED_HOSTS;
pub use crate::limits::MAX_HOST_BYTES;

/// This machine, and the names that the operator chose. Clones share the memory of what was logged.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    names: Vec<String>,
    logged: Arc<Mutex<BTreeSet<String>>>,
}

impl AllowedHosts {
    /// This machine and these names; a port in a name is ignored.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = names.into_iter();
        let names = names.map(|name| host_of(name).to_ascii_lowercase());
        Self {
            names: names.collect(),
            logged: Arc::default(),
        }
    }

    /// Whether a request may be answered. A refused host is logged once, as long as there are few of them.
    #[must_use]
    pub fn allows(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let foreign = self.foreign(uri, headers);
        if let Some(authority) = foreign {
            self.log_refusal(authority);
        }
        foreign.is_none()
    }

    /// The first host that a request names which is none of ours. One without any host does not come from a
    /// browser.
    #[must_use]
    pub fn foreign<'a>(&self, uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        let in_uri = uri
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        let named = headers.get_all(header::HOST).iter();
        let mut named = named.map(HeaderValue::as_bytes).chain(in_uri);
        named.find(|host| !self.is_ours(host))
    }

    /// Says once per host why its requests are refused: the proxy that passes the name on shows its users
    /// nothing but a 403.
    fn log_refusal(&self, authority: &[u8]) {
        let text = String::from_utf8_lossy(authority);
        let name: String = host_of(&text).chars().take(MAX_HOST_BYTES).collect();
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
        let host = host_of(authority).to_ascii_lowercase();
        is_this_machine(&host) || self.names.contains(&host)
    }
}

/// An authority without its port and without the dot of a fully qualified name (`localhost.`).
#[must_use]
pub fn host_of(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// Whether a host in lower case, without port, is `localhost` or an address of the loopback interface.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let address: Option<IpAddr> = address.unwrap_or(host).parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(hosts: &AllowedHosts, named: &[&[u8]]) -> bool {
        let mut headers = HeaderMap::new();
        for host in named {
            headers.append(header::HOST, HeaderValue::from_bytes(host).unwrap());
        }
        hosts.allows(&Uri::from_static("/mcp"), &headers)
    }

    #[test]
    fn a_host_is_this_machine_or_one_of_the_names() {
        let names = [
            "App.example.com:8443",
            "[2001:db8::7]",
            "10.0.0.7",
            "edge.example.com",
        ];
        let hosts = AllowedHosts::new(names);
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
            "EDGE.example.com:8443",
            "[2001:db8::7]:443",
            "10.0.0.7",
        ] {
            assert!(allows(&hosts, &[good.as_bytes()]), "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:3000",
            "localhost:3000@evil.example",
            "127.0.0.1.evil.example",
            "edge.example.com.evil.example",
            "edge.example.com:x",
            "evil.example.",
            "localhost..",
            ".",
            "10.0.0.1",
            "10.0.0.70",
            "0.0.0.0",
            "example.com",
            "",
            "local\u{e9}",
        ] {
            assert!(!allows(&hosts, &[bad.as_bytes()]), "{bad}");
        }
        assert!(!allows(&hosts, &[b"\xff"]));
        assert!(!allows(&hosts, &[b"localhost", b"evil.example"]));
        assert!(allows(&hosts, &[]));
        let absolute = Uri::from_static("http://evil.example/mcp");
        assert!(!hosts.allows(&absolute, &HeaderMap::new()));
    }

    #[test]
    fn a_refused_host_is_logged_once_and_strangers_cannot_fill_the_log() {
        let hosts = AllowedHosts::new([]);
        for n in 0..10 * LOGGED_HOSTS {
            let host = format!("host-{n}.example:{}", 3000 + n % 2);
            for _ in 0..2 {
                assert!(!allows(&hosts.clone(), &[host.as_bytes()]));
            }
        }
        let logged = hosts.logged.lock();
        assert_eq!(logged.len(), LOGGED_HOSTS);
        assert!(logged.contains("host-0.example") && logged.contains("host-63.example"));
    }
}
