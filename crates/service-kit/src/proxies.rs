//! The proxies whose word about a client's address counts.
//!
//! Anybody can send `X-Forwarded-For`. So the header is read only where the connection comes from a proxy that
//! the operator named, and from its end: each proxy appends the address from which it got the request, so the last
//! address that is no proxy of ours is that of the client. Which of the two headers is read has to be said too: a
//! proxy that writes one of them passes the other one on as the client sent it.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use http::{HeaderMap, HeaderName, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    http::{RemoteAddr, RequestSender},
    ip_network::{IpNetwork, IpNetworkError, of_one_sender},
    limits::MAX_PROXY_RANGES,
};

/// Proxies in front of a listener that tell the addresses of its clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyConfig {
    /// Addresses and ranges of these proxies, for instance `10.0.0.7` or `10.0.0.0/8`; up to 256. Only what they
    /// say about a client's address is believed. Without any, proxy headers are not read, and the clients behind a
    /// proxy count as one.
    pub trusted: Vec<String>,
    /// The header in which they say it.
    pub header: ProxyHeader,
}

/// The header in which a proxy names its clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Proxies that cannot be trusted, because the configuration does not say who they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyConfigError {
    /// Not an address.
    #[error(transparent)]
    Range(#[from] IpNetworkError),
    /// Too many.
    #[error("{count} ranges: use at most {MAX_PROXY_RANGES}")]
    TooMany {
        /// The number of ranges.
        count: usize,
    },
}

impl ProxyConfig {
    /// Reads the ranges.
    ///
    /// # Errors
    /// A range is none, or there are too many.
    pub fn read(&self) -> Result<TrustedProxies, ProxyConfigError> {
        if self.trusted.len() > MAX_PROXY_RANGES {
            let count = self.trusted.len();
            return Err(ProxyConfigError::TooMany { count });
        }
        let ranges = self.trusted.iter().map(|text| text.parse());
        Ok(TrustedProxies {
            ranges: ranges.collect::<Result<_, IpNetworkError>>()?,
            header: self.header,
        })
    }
}

/// The proxies whose header is read.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    ranges: Vec<IpNetwork>,
    header: ProxyHeader,
}

impl TrustedProxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(address))
    }

    /// The address of the client that sent a request over a connection from `remote`.
    #[must_use]
    pub fn client(&self, remote: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = remote;
        if !self.trusts(client) {
            return client;
        }
        for hop in self.hops(headers).into_iter().rev() {
            match hop {
                Some(address) => client = address,
                // What a proxy of ours could not name is where its word ends.
                None => break,
            }
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    /// The addresses in the header, in its order; `None` for what is no address.
    fn hops(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
        let name = match self.header {
            ProxyHeader::XForwardedFor => X_FORWARDED_FOR,
            ProxyHeader::Forwarded => header::FORWARDED,
        };
        let values = headers.get_all(name).iter();
        let elements = values.flat_map(|value| value.to_str().unwrap_or_default().split(','));
        let address = |element: &str| match self.header {
            ProxyHeader::XForwardedFor => address(element),
            ProxyHeader::Forwarded => address(forwarded_for(element)?),
        };
        elements.map(address).collect()
    }
}

/// The value of `for` in an element of `Forwarded`. A quoted value with a comma in it is no address in any case.
fn forwarded_for(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    let value = value.trim();
    let unquoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    Some(unquoted.unwrap_or(value))
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let address: Option<IpAddr> = bare.unwrap_or(text).parse().ok();
    address
        .or_else(with_port)
        .map(|address| address.to_canonical())
}

/// Makes routes see the [`RemoteAddr`] of the client where a trusted proxy names it. The port stays that of the
/// connection, so that connections remain distinct.
pub fn layer(routes: Router, proxies: &TrustedProxies) -> Router {
    match proxies.ranges.is_empty() {
        true => routes,
        false => routes.layer(middleware::from_fn_with_state(proxies.clone(), name_client)),
    }
}

async fn name_client(
    State(proxies): State<TrustedProxies>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(RemoteAddr(remote)) = request.extensions().get::<RemoteAddr>().copied() {
        let client = proxies.client(remote.ip().to_canonical(), request.headers());
        let named = RemoteAddr(SocketAddr::new(client, remote.port()));
        if let Some(sender) = request.extensions().get::<RequestSender>() {
            sender.name(&of_one_sender(client));
        }
        request.extensions_mut().insert(named);
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn proxies(header: ProxyHeader) -> TrustedProxies {
        let trusted = ["10.0.0.0/8", "2001:db8:1::/48"]
            .map(str::to_owned)
            .to_vec();
        ProxyConfig { trusted, header }.read().unwrap()
    }

    fn client(header: ProxyHeader, remote: &str, values: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let client = proxies(header).client(remote.parse().unwrap(), &headers);
        client.to_string()
    }

    #[test]
    fn only_the_word_of_a_named_proxy_counts_and_only_in_its_own_header() {
        let xff = |remote: &str, values: &[&str]| {
            let values: Vec<_> = values.iter().map(|v| ("x-forwarded-for", *v)).collect();
            client(ProxyHeader::XForwardedFor, remote, &values)
        };
        assert_eq!(xff("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(xff("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(xff("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        // A client's own words stand before those of the proxy.
        assert_eq!(xff("10.0.0.1", &["6.6.6.6, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            xff("10.0.0.1", &["6.6.6.6", "198.51.100.1"]),
            "198.51.100.1"
        );
        // Through two proxies of ours.
        assert_eq!(
            xff("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.2"]),
            "198.51.100.1"
        );
        assert_eq!(xff("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(xff("10.0.0.1", &["198.51.100.1, unknown"]), "10.0.0.1");
        assert_eq!(xff("10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(xff("10.0.0.1", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(xff("2001:db8:1::1", &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(xff("10.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
        let other = [("forwarded", "for=6.6.6.6")];
        assert_eq!(
            client(ProxyHeader::XForwardedFor, "10.0.0.1", &other),
            "10.0.0.1"
        );
    }

    #[test]
    fn the_elements_of_forwarded_are_read_as_rfc_7239_writes_them() {
        let forwarded =
            |value: &str| client(ProxyHeader::Forwarded, "10.0.0.1", &[("forwarded", value)]);
        for (value, expected) in [
            ("for=198.51.100.1", "198.51.100.1"),
            (
                "proto=https; For=\"198.51.100.1:99\";by=10.0.0.1",
                "198.51.100.1",
            ),
            ("for=6.6.6.6, for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("for=198.51.100.1, for=10.0.0.2", "198.51.100.1"),
            ("for=_hidden", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
        ] {
            assert_eq!(forwarded(value), expected, "{value}");
        }
        let other = [("x-forwarded-for", "6.6.6.6")];
        assert_eq!(
            client(ProxyHeader::Forwarded, "10.0.0.1", &other),
            "10.0.0.1"
        );
    }

    #[test]
    fn ranges_are_bounded() {
        let of = |count: usize| ProxyConfig {
            trusted: vec!["10.0.0.0/8".to_owned(); count],
            ..ProxyConfig::default()
        };
        assert!(of(MAX_PROXY_RANGES).read().is_ok());
        assert!(of(MAX_PROXY_RANGES + 1).read().is_err());
    }

    proptest! {
        #[test]
        fn what_a_client_writes_before_the_proxys_word_changes_nothing(said in "[ -~]{0,60}") {
            let honest = client(ProxyHeader::XForwardedFor, "10.0.0.1", &[("x-forwarded-for", "198.51.100.1")]);
            let spoofed = format!("{said},198.51.100.1");
            let seen = client(ProxyHeader::XForwardedFor, "10.0.0.1", &[("x-forwarded-for", &spoofed)]);
            prop_assert_eq!(honest, seen);
        }
    }
}
