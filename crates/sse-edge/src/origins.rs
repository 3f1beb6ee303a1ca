//! The web pages that may use the edge (MCP, Streamable HTTP, "Security warning": DNS rebinding).
//!
//! A page loaded from a name that now resolves to this machine sends that name as `Host`, and with
//! some requests no `Origin`. So on loopback, `Host` has to be this machine, the host of an allowed
//! origin, or one of `edge.allowed_hosts`. Elsewhere the balancer decides on hosts, unless that list
//! names some.

use http::{HeaderMap, Uri};
use service_kit::hosts::{AllowedHosts, host_of, is_this_machine};

/// The rule: configured origins and hosts, and this machine if the edge listens on loopback.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    allowed: Vec<String>,
    /// `None` if every host is accepted.
    hosts: Option<AllowedHosts>,
    loopback: bool,
}

impl Origins {
    /// The origins and hosts that are allowed, and whether the edge listens on loopback.
    pub(crate) fn new(origins: &[String], hosts: &[String], loopback: bool) -> Self {
        let allowed = origins
            .iter()
            .map(|o| o.trim_end_matches('/').to_ascii_lowercase());
        let allowed: Vec<_> = allowed.collect();
        let of_origins = allowed.iter().filter_map(|origin| authority(origin));
        let names = hosts.iter().map(String::as_str).chain(of_origins);
        let has_rule = loopback || !hosts.is_empty();
        let hosts = has_rule.then(|| AllowedHosts::new(names));
        Self {
            allowed,
            hosts,
            loopback,
        }
    }

    pub(crate) fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.allowed.contains(&origin) || (self.loopback && is_local(&origin))
    }

    /// Whether the host is allowed.
    pub(crate) fn allows_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let hosts = self.hosts.as_ref();
        hosts.is_none_or(|hosts| hosts.allows(uri, headers))
    }
}

/// The host and port of an origin.
fn authority(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, authority)| authority)
}

fn is_local(origin: &str) -> bool {
    authority(origin).is_some_and(|authority| is_this_machine(host_of(authority)))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

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

    fn allows(origins: &Origins, host: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, HeaderValue::from_static(host));
        origins.allows_host(&Uri::from_static("/mcp"), &headers)
    }

    #[test]
    fn named_hosts_are_allowed_and_all_others_refused_wherever_the_edge_listens() {
        let page = ["https://App.example.com:8443/".into()];
        for loopback in [true, false] {
            let origins = Origins::new(&page, &["Edge.example.com".into()], loopback);
            for good in ["edge.example.com", "app.example.com", "localhost:3000"] {
                assert!(allows(&origins, good), "{good}");
            }
            assert!(!allows(&origins, "example.com"));
        }
        assert!(!allows(&Origins::new(&page, &[], true), "edge.example.com"));
        assert!(allows(&Origins::new(&page, &[], false), "evil.example"));
    }
}
