//! The bridge's endpoint and credentials.

use std::fmt;

use http::{HeaderValue, Uri, uri::Scheme};

use crate::{error::BridgeError, limits::MAX_TOKEN_BYTES};

/// The bridge's endpoint and credentials.
#[derive(Clone, Debug)]
pub struct BridgeOptions {
    pub(crate) url: Uri,
    pub(crate) authorization: Option<Authorization>,
}

/// The value of `Authorization`; never shown.
#[derive(Clone)]
pub(crate) struct Authorization(pub(crate) HeaderValue);

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl BridgeOptions {
    /// Takes the URL of the MCP endpoint (`http://` or `https://`, with its path) and the bearer
    /// token, if there is one; white space around the token is ignored.
    ///
    /// # Errors
    /// The URL has another scheme, no host, or contains a user or password; or the token cannot be
    /// sent in a header.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, BridgeError> {
        let refuse = |reason| Err(BridgeError::Url { reason });
        let Ok(url) = url.parse::<Uri>() else {
            return refuse("it is not a URL; use one such as http://127.0.0.1:3000/mcp");
        };
        match (url.scheme(), url.authority()) {
            (_, Some(authority)) if authority.as_str().contains('@') => {
                return refuse("it has a user or password in it; use --token-file");
            }
            (Some(scheme), Some(_)) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => {}
            _ => return refuse("it has to begin with http:// or https:// and a host"),
        }
        let authorization = token.map(bearer).transpose()?;
        Ok(Self { url, authorization })
    }

    /// Whether a token would be sent over the network unencrypted.
    #[must_use]
    pub fn shows_token_in_clear(&self) -> bool {
        let host = self.url.host().unwrap_or_default();
        let host = host.trim_matches(['[', ']']);
        let is_loopback = host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        self.authorization.is_some() && self.url.scheme() == Some(&Scheme::HTTP) && !is_loopback
    }
}

fn bearer(token: &str) -> Result<Authorization, BridgeError> {
    let token = token.trim();
    let fits = (1..=MAX_TOKEN_BYTES).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        return Err(BridgeError::Token);
    }
    let mut value =
        HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| BridgeError::Token)?;
    value.set_sensitive(true);
    Ok(Authorization(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_before_anything_runs() {
        for url in [
            "",
            "/mcp",
            "ftp://host/mcp",
            "http://u:p@host/mcp",
            "host:3000/mcp",
        ] {
            let refused = BridgeOptions::new(url, None).map(drop);
            assert!(matches!(refused, Err(BridgeError::Url { .. })), "{url}");
        }
        let long = "x".repeat(MAX_TOKEN_BYTES + 1);
        for token in ["", " \n", "a b", "ä", &long] {
            let refused = BridgeOptions::new("http://host/mcp", Some(token)).map(drop);
            assert!(matches!(refused, Err(BridgeError::Token)), "{token:.9}");
        }
    }

    #[test]
    fn the_token_is_not_shown_and_its_way_in_the_clear_is_known() {
        for (url, clear) in [
            ("http://127.0.0.1:3000/mcp", false),
            ("http://[::1]:3000/mcp", false),
            ("http://localhost/mcp", false),
            ("https://edge.example/mcp", false),
            ("http://edge.example/mcp", true),
        ] {
            let options = BridgeOptions::new(url, Some("fw_secret\n")).unwrap();
            assert!(!format!("{options:?}").contains("fw_secret"));
            assert_eq!(options.shows_token_in_clear(), clear, "{url}");
        }
    }
}
