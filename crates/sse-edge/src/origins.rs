//! The web pages that may use the edge (MCP, Streamable HTTP, "Security warning": DNS rebinding).
//!
//! A page loaded from a name that now resolves to this machine sends that name as `Host`, and with
//! some requests no `Origin`. So on loopback, `Host` has to be this machine or the host of an
//! allowed origin. Elsewhere the balancer decides on hosts.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Uri, header};

/// The rule: configured origins, and pages from this machine if the edge listens on loopback.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    allowed: Vec<String>,
    loopback: bool,
}

impl Origins {
    pub(crate) fn new(allowed: &[String], loopback: bool) -> Self {
        let allowed = allowed
            .iter()
            .map(|o| o.trim_end_matches('/').to_ascii_lowercase());
        Self {
            allowed: allowed.collect(),
            loopback,
        }
    }

    pub(crate) fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.allowed.contains(&origin) || (self.loopback && is_local(&origin))
    }

    /// Whether the host is allowed. A request without any host does not come from a browser.
    pub(crate) fn allows_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let in_uri = uri
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        let named = headers.get_all(header::HOST).iter();
        let mut named = named.map(HeaderValue::as_bytes).chain(in_uri);
        !self.loopback || named.all(|host| self.is_ours(host))
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
        is_this_machine(&host) || self.allowed.iter().any(is_of)
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
        let origins = Origins::new(&["https://App.example.com/".into()], true);
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
        assert!(!Origins::new(&[], false).allows("http://localhost"));
    }

    #[test]
    fn on_loopback_a_host_is_this_machine_or_that_of_a_named_page() {
        let origins = Origins::new(&["https://App.example.com:8443/".into()], true);
        let allows = |origins: &Origins, hosts: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_bytes(host).unwrap());
            }
            origins.allows_host(&Uri::from_static("/mcp"), &headers)
        };
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
        assert!(allows(&Origins::new(&[], false), &[b"evil.example"]));
    }
}
