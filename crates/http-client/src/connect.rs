//! Connections over HTTP/1.1, with TLS by the certificates of the system.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Uri, header, uri::Scheme};
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::proxies::{HttpProxies, ProxiedConnector};

/// A client of any server.
pub type HttpClient = Client<HttpsConnector<ProxiedConnector>, Full<Bytes>>;

/// How connections are made and kept.
#[derive(Debug, Clone, Copy)]
pub struct ConnectSettings {
    /// Time limit of a connect.
    pub connect_timeout: Duration,
    /// Silence after which the kernel probes a connection; `None` for never.
    pub keepalive: Option<Duration>,
    /// Lifetime of an idle connection: shorter than load balancers allow.
    pub idle_timeout: Duration,
}

/// A client for servers at these URLs. The certificates of the system are read only if one of them needs them.
///
/// # Errors
/// The certificates of the system cannot be read.
///
/// # Panics
/// Never: the provider of cryptography has both versions of TLS.
pub fn http_client<'u>(
    urls: impl IntoIterator<Item = &'u Uri>,
    settings: ConnectSettings,
) -> io::Result<HttpClient> {
    http_client_through(urls, settings, &HttpProxies::none())
}

/// As [`http_client`], through proxies.
///
/// # Errors
/// As [`http_client`].
///
/// # Panics
/// Never: the provider of cryptography has both versions of TLS.
pub fn http_client_through<'u>(
    urls: impl IntoIterator<Item = &'u Uri>,
    settings: ConnectSettings,
    proxies: &HttpProxies,
) -> io::Result<HttpClient> {
    let mut urls = urls.into_iter();
    let needs_tls = urls.any(|url| url.scheme() == Some(&Scheme::HTTPS));
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(settings.connect_timeout));
    connector.set_keepalive(settings.keepalive);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(needs_tls)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(ProxiedConnector::new(connector, proxies));
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(settings.idle_timeout)
        .build(connector))
}

fn tls(is_needed: bool) -> io::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.2 and 1.3");
    let builder = match is_needed {
        true => builder.with_native_roots()?,
        false => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}

/// The pause that a server asks for in whole seconds, up to `longest`.
#[must_use]
pub fn retry_after(headers: &HeaderMap, longest: Duration) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds = seconds.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(longest))
}
