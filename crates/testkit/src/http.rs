//! The one way in which this crate makes HTTP clients.

use std::time::Duration;

/// How long a TCP connect may take: everything runs on this machine or near it.
const CONNECT_SECONDS: u64 = 2;

/// A client without proxies: what the environment says about proxies must not catch loopback calls.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(CONNECT_SECONDS))
        .build()
        .expect("a client without TLS, proxies and default headers has nothing that can fail")
}
