//! The only place where this crate creates HTTP clients.

use std::time::Duration;

/// Time allowed for a TCP connect: all servers run on this machine or near it.
const CONNECT_SECONDS: u64 = 2;

/// A client without proxies: proxy settings in the environment must not affect loopback calls.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(CONNECT_SECONDS))
        .build()
        .expect("a client without TLS, proxies and default headers has nothing that can fail")
}
