//! The URL of a server, as a user writes it.

use std::net::IpAddr;

use http::{Uri, uri::Scheme};
use model::{Classified, ErrorClass};

/// The reason why a text is no URL of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// No URL at all.
    #[error("it is not a URL; use one such as https://host/path")]
    NoUrl,
    /// Another scheme, or no host.
    #[error("it has to begin with http:// or https:// and a host")]
    NoHost,
    /// A user or password before the host, which would end up in logs.
    #[error("it has a user or password in it; leave them out")]
    User,
}

impl Classified for ServerUrlError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// Reads a URL with `http` or `https` and a host.
///
/// # Errors
/// The text is none, or has a user or password in it.
pub fn server_url(text: &str) -> Result<Uri, ServerUrlError> {
    let url: Uri = text.parse().map_err(|_| ServerUrlError::NoUrl)?;
    match (url.scheme(), url.authority()) {
        (_, Some(authority)) if authority.as_str().contains('@') => Err(ServerUrlError::User),
        (Some(scheme), Some(_)) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => Ok(url),
        _ => Err(ServerUrlError::NoHost),
    }
}

/// Whether a token for this URL would cross a network unencrypted.
#[must_use]
pub fn shows_token(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    let is_loopback = host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    url.scheme() == Some(&Scheme::HTTP) && !is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_url_of_a_server_is_refused() {
        for (text, refused) in [
            ("", ServerUrlError::NoUrl),
            ("/mcp", ServerUrlError::NoHost),
            ("ftp://host/mcp", ServerUrlError::NoHost),
            ("http://u:p@host/mcp", ServerUrlError::User),
            ("host:3000/mcp", ServerUrlError::NoUrl),
            ("host:3000", ServerUrlError::NoHost),
        ] {
            assert_eq!(server_url(text), Err(refused), "{text}");
        }
        assert!(server_url("https://host/mcp").is_ok());
    }

    #[test]
    fn the_way_of_a_token_in_the_clear_is_known() {
        for (url, clear) in [
            ("http://127.0.0.1:3000/mcp", false),
            ("http://[::1]:3000/mcp", false),
            ("http://localhost/mcp", false),
            ("https://edge.example/mcp", false),
            ("http://edge.example/mcp", true),
        ] {
            assert_eq!(shows_token(&server_url(url).unwrap()), clear, "{url}");
        }
    }
}
