//! Proxies on the way to servers with TLS: a tunnel by CONNECT, so that they see no request.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Uri, uri::Scheme};
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::Matcher,
    },
    rt::TokioIo,
};
use model::{Classified, ErrorClass};
use tokio::net::TcpStream;
use tower::Service;

/// Which servers are reached through which proxy. Only connections with TLS go through one.
#[derive(Clone, Default)]
pub struct HttpProxies {
    matcher: Option<Arc<Matcher>>,
}

/// A text is no URL of a proxy. It is not repeated, because it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not the URL of a proxy; write it as http://host:port, with user:password@ before the host if it wants them"
)]
pub struct ProxyError;

impl Classified for ProxyError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// Omits the URLs, because they may hold passwords.
impl fmt::Debug for HttpProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.matcher {
            Some(_) => f.write_str("HttpProxies(…)"),
            None => f.write_str("HttpProxies(none)"),
        }
    }
}

impl HttpProxies {
    /// No proxy.
    #[must_use]
    pub const fn none() -> Self {
        Self { matcher: None }
    }

    /// Those of the environment: `HTTPS_PROXY` or `ALL_PROXY`, but for the hosts of `NO_PROXY`.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::matching(Matcher::from_env())
    }

    /// One proxy for all servers but these hosts, in the form of `NO_PROXY`.
    ///
    /// # Errors
    /// The URL is none, or of a proxy that itself wants TLS.
    pub fn of(proxy: &str, no_proxy: &str) -> Result<Self, ProxyError> {
        let url: Uri = proxy.parse().map_err(|_| ProxyError)?;
        if url.scheme() != Some(&Scheme::HTTP) || url.host().is_none_or(str::is_empty) {
            return Err(ProxyError);
        }
        let matcher = Matcher::builder().https(proxy).no(no_proxy).build();
        Ok(Self::matching(matcher))
    }

    fn matching(matcher: Matcher) -> Self {
        Self {
            matcher: Some(Arc::new(matcher)),
        }
    }
}

/// Connects directly, or through a tunnel.
#[derive(Debug, Clone)]
pub struct ProxiedConnector {
    direct: HttpConnector,
    proxies: HttpProxies,
}

impl ProxiedConnector {
    pub(crate) fn new(direct: HttpConnector, proxies: &HttpProxies) -> Self {
        let proxies = proxies.clone();
        Self { direct, proxies }
    }
}

type ConnectError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for ProxiedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let has_tls = server.scheme() == Some(&Scheme::HTTPS);
        let matcher = self.proxies.matcher.as_ref().filter(|_| has_tls);
        let Some(proxy) = matcher.and_then(|matcher| matcher.intercept(&server)) else {
            let connecting = self.direct.call(server);
            return Box::pin(async move { Ok(connecting.await?) });
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.direct.clone());
        if let Some(user) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(user.clone());
        }
        let connecting = tunnel.call(server);
        Box::pin(async move { Ok(connecting.await?) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::Request;
    use http_body_util::Full;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::{ConnectSettings, http_client_through};

    const SETTINGS: ConnectSettings = ConnectSettings {
        connect_timeout: Duration::from_secs(5),
        keepalive: None,
        idle_timeout: Duration::from_secs(5),
    };

    /// What a proxy reads of the first request to it; it refuses the tunnel.
    async fn asked(proxies: impl FnOnce(u16) -> HttpProxies, url: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxies = proxies(listener.local_addr().unwrap().port());
        let url: Uri = url.parse().unwrap();
        let client = http_client_through([&url], SETTINGS, &proxies).unwrap();
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = url;
        let answering = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 1024];
            let read = connection.read(&mut head).await.unwrap();
            connection
                .write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n")
                .await
                .unwrap();
            String::from_utf8_lossy(&head[..read]).into_owned()
        };
        let (answer, head) = tokio::join!(client.request(request), answering);
        assert!(answer.is_err());
        head
    }

    #[tokio::test]
    async fn a_server_with_tls_is_reached_through_the_proxy_with_its_password() {
        let proxies =
            |port| HttpProxies::of(&format!("http://user:secret@127.0.0.1:{port}"), "").unwrap();
        let head = asked(proxies, "https://api.github.test/user").await;
        assert!(head.starts_with("CONNECT api.github.test:443 "), "{head}");
        assert!(
            head.contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="),
            "{head}"
        );
    }

    #[tokio::test]
    async fn a_server_without_tls_and_one_of_no_proxy_are_reached_directly() {
        // Nothing listens there: a request through the proxy fails otherwise than a direct one.
        let proxies = HttpProxies::of("http://127.0.0.1:1", "localhost,.internal").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for url in [
            format!("http://127.0.0.1:{port}/"),
            format!("https://localhost:{port}/"),
        ] {
            let url: Uri = url.parse().unwrap();
            let client = http_client_through([&url], SETTINGS, &proxies).unwrap();
            let mut request = Request::new(Full::new(Bytes::new()));
            *request.uri_mut() = url;
            tokio::select! {
                biased;
                accepted = listener.accept() => drop(accepted.unwrap()),
                answer = client.request(request) => panic!("it went elsewhere: {answer:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_and_none_is_shown() {
        for text in [
            "",
            "proxy:3128",
            "https://proxy:3128",
            "socks5://proxy",
            "/x",
        ] {
            assert_eq!(
                HttpProxies::of(text, "").map(drop),
                Err(ProxyError),
                "{text}"
            );
        }
        let proxies = HttpProxies::of("http://u:secret@proxy:3128", "").unwrap();
        assert!(!format!("{proxies:?}").contains("secret"));
    }
}
