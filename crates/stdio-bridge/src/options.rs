//! The bridge's endpoint and credentials.

use http::Uri;
use http_client::{BearerToken, server_url, shows_token};

use crate::error::BridgeError;

/// The bridge's endpoint and credentials.
#[derive(Clone, Debug)]
pub struct BridgeOptions {
    pub(crate) url: Uri,
    pub(crate) authorization: Option<BearerToken>,
}

impl BridgeOptions {
    /// Takes the URL of the MCP endpoint (`http://` or `https://`) and the bearer token, if there is one; white space
    /// around both is ignored. A URL without a path is that of an edge, whose endpoint is `/mcp`; so is one with the
    /// path of an edge's stream of events, which users have from `forgewire watch`.
    ///
    /// # Errors
    /// The URL has another scheme, no host, or contains a user or password; or the token cannot be
    /// sent in a header.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, BridgeError> {
        let refused = |reason| BridgeError::Url { reason };
        let url = url.trim();
        let given = server_url(url).map_err(refused)?;
        let is_of_edge =
            given.query().is_none() && matches!(given.path(), "" | "/" | "/events/stream");
        let url = match is_of_edge {
            true => {
                let edge = url.trim_end_matches('/');
                let edge = edge.strip_suffix("/events/stream").unwrap_or(edge);
                server_url(&format!("{edge}/mcp")).map_err(refused)?
            }
            false => given,
        };
        let authorization = token.map(BearerToken::new).transpose()?;
        Ok(Self { url, authorization })
    }

    /// Whether a token would be sent over the network unencrypted.
    #[must_use]
    pub fn shows_token_in_clear(&self) -> bool {
        self.authorization.is_some() && shows_token(&self.url)
    }
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
        let long = "x".repeat(4097);
        for token in ["", " \n", "a b", "ä", &long] {
            let refused = BridgeOptions::new("http://host/mcp", Some(token)).map(drop);
            assert!(matches!(refused, Err(BridgeError::Token(_))), "{token:.9}");
        }
    }

    #[test]
    fn the_endpoint_of_an_edge_is_found_from_every_address_that_users_have() {
        for (given, url) in [
            ("http://host:3000", "http://host:3000/mcp"),
            (" http://host:3000/\n", "http://host:3000/mcp"),
            ("http://host:3000/events/stream", "http://host:3000/mcp"),
            ("https://host/mcp", "https://host/mcp"),
            ("https://host/forgewire", "https://host/forgewire"),
            ("https://host/forgewire/mcp/", "https://host/forgewire/mcp/"),
            ("https://host?key=1", "https://host/?key=1"),
        ] {
            let options = BridgeOptions::new(given, None).unwrap();
            assert_eq!(options.url, url, "{given}");
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
