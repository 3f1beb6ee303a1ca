//! Hosts and origins, as operators write them.

use super::EdgeConfig;
use crate::{limits, origins::Origins};

impl EdgeConfig {
    /// The web pages that may use the edge.
    pub(crate) fn origins(&self) -> Origins {
        let is_loopback = self.listen.ip().is_loopback();
        Origins::new(&self.allowed_origins, &self.allowed_hosts, is_loopback)
    }
}

/// Refuses what no `Origin` header can be: a page's origin has a scheme and a host, and no path. `*` would let every
/// web page use the edge.
pub(super) fn check_origins(origins: &[String]) -> Result<(), String> {
    let is_origin = |origin: &str| {
        let origin = origin.trim_end_matches('/');
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let is_plain = |b: u8| b.is_ascii_graphic() && !b"/?#@*,\"".contains(&b);
        !scheme.is_empty()
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !authority.is_empty()
            && authority.bytes().all(is_plain)
    };
    if origins.len() > limits::MAX_ALLOWED_HOSTS {
        return Err(format!(
            "{} origins: use at most {}",
            origins.len(),
            limits::MAX_ALLOWED_HOSTS
        ));
    }
    match origins.iter().find(|origin| !is_origin(origin)) {
        Some(origin) => Err(format!(
            "{origin:?} is no origin: write scheme, host and port of the page, for instance https://app.example.com"
        )),
        None => Ok(()),
    }
}

/// Refuses what no `Host` header can match once its port is cut off.
pub(super) fn check_hosts(hosts: &[String]) -> Result<(), String> {
    if hosts.len() > limits::MAX_ALLOWED_HOSTS {
        let (count, most) = (hosts.len(), limits::MAX_ALLOWED_HOSTS);
        return Err(format!("has {count} hosts; use up to {most}"));
    }
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    for host in hosts {
        let address = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let is_address = address.is_some_and(|it| it.parse::<std::net::Ipv6Addr>().is_ok());
        let is_name = (1..=service_kit::hosts::MAX_HOST_BYTES).contains(&host.len())
            && host.bytes().all(is_plain);
        if !is_address && !is_name {
            return Err(format!(
                "`{host}` is not a host; write it without scheme, port and path, for instance \
                 edge.example.com"
            ));
        }
    }
    Ok(())
}
