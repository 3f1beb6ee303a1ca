//! `[github]`: how GitHub's API is reached.

use std::path::PathBuf;

use anyhow::bail;
use github::{GithubApiVersion, GithubConfig, GithubConfigError, GithubIdentity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::config::Secret;

const API_URL: &str = "https://api.github.com";
const GRAPHQL_URL: &str = "https://api.github.com/graphql";

/// GitHub's API. With credentials, the sync role finds lost webhooks in GitHub's lists of deliveries
/// (`sync.repositories`, `sync.organizations`, `sync.app_webhook`).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Github")]
pub(crate) struct GithubSection {
    /// Base URL of the REST API.
    pub(crate) api_url: String,
    /// URL of the GraphQL API. As long as it is the default, and `api_url` is not, it is that of the server of `api_url`:
    /// `https://HOST/api/graphql` for `https://HOST/api/v3`.
    pub(crate) graphql_url: String,
    /// File with an API token.
    pub(crate) token_file: Option<PathBuf>,
    /// An API token itself; `token_file` and the App's key take precedence over it.
    pub(crate) token: Option<Secret>,
    /// Id of the GitHub App.
    pub(crate) app_id: Option<u64>,
    /// File with the App's private key.
    pub(crate) private_key_file: Option<PathBuf>,
    /// Version of the REST API. An Enterprise Server may know only the older one.
    pub(crate) api_version: GithubVersion,
    /// Proxy on the way to GitHub, as `http://host:port`, but for the hosts of the environment's `NO_PROXY`. Without
    /// it, that of `HTTPS_PROXY`.
    pub(crate) proxy: Option<Secret>,
}

/// A version of GitHub's REST API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum GithubVersion {
    /// Known to every GitHub.
    #[default]
    #[serde(rename = "2022-11-28")]
    V2022_11_28,
    /// Without fields that were deprecated.
    #[serde(rename = "2026-03-10")]
    V2026_03_10,
}

impl Default for GithubSection {
    fn default() -> Self {
        Self {
            api_url: API_URL.to_owned(),
            graphql_url: GRAPHQL_URL.to_owned(),
            token_file: None,
            token: None,
            app_id: None,
            private_key_file: None,
            api_version: GithubVersion::default(),
            proxy: None,
        }
    }
}

impl GithubSection {
    /// Refuses values that can never mean anything.
    ///
    /// # Errors
    /// A URL is none, or the credentials contradict each other; the text names the key and the fix.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.client()?;
        let app = (self.app_id.is_some(), self.private_key_file.is_some());
        match (app, self.token_file.is_some()) {
            ((true, false), _) => bail!("github.app_id needs github.private_key_file; set it too"),
            ((false, true), _) => bail!("github.private_key_file needs github.app_id; set it too"),
            ((true, true), true) => bail!(
                "github.token_file and github.app_id are two identities; leave one of them out"
            ),
            _ => Ok(()),
        }
    }

    /// The URL of the GraphQL API: credentials of another server never go to github.com.
    fn graphql_url(&self) -> String {
        let rest = self.api_url.trim_end_matches('/');
        if self.graphql_url != GRAPHQL_URL || rest == API_URL {
            return self.graphql_url.clone();
        }
        let base = rest.strip_suffix("/v3").unwrap_or(rest);
        format!("{base}/graphql")
    }

    /// Whether there are credentials.
    pub(crate) fn has_credentials(&self) -> bool {
        self.token_file.is_some() || self.token.is_some() || self.app_id.is_some()
    }

    /// The settings of the client. The files are not read.
    ///
    /// # Errors
    /// A URL is none; the text names the key and the fix.
    pub(crate) fn client(&self) -> Result<GithubConfig, GithubConfigError> {
        let identity = match (&self.token_file, self.app_id, &self.private_key_file) {
            (Some(path), ..) => GithubIdentity::TokenFile(path.clone()),
            (None, Some(id), Some(key_file)) => GithubIdentity::App {
                id,
                key_file: key_file.clone(),
            },
            _ => self
                .token
                .as_ref()
                .map_or(GithubIdentity::Anonymous, |token| {
                    GithubIdentity::Token(token.expose().to_owned())
                }),
        };
        let mut client = GithubConfig::new(&self.api_url, &self.graphql_url(), identity)?;
        client.version = match self.api_version {
            GithubVersion::V2022_11_28 => GithubApiVersion::V2022_11_28,
            GithubVersion::V2026_03_10 => GithubApiVersion::V2026_03_10,
        };
        match &self.proxy {
            Some(proxy) => client.through(proxy.expose()),
            None => Ok(client),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphql_is_asked_of_the_server_of_the_rest_api() {
        for (api_url, graphql_url, expected) in [
            (API_URL, GRAPHQL_URL, GRAPHQL_URL),
            ("https://api.github.com/", GRAPHQL_URL, GRAPHQL_URL),
            (
                "https://ghe.test/api/v3/",
                GRAPHQL_URL,
                "https://ghe.test/api/graphql",
            ),
            (
                "https://api.octo.ghe.com",
                GRAPHQL_URL,
                "https://api.octo.ghe.com/graphql",
            ),
            (
                "https://ghe.test/api/v3",
                "https://other.test/graphql",
                "https://other.test/graphql",
            ),
        ] {
            let section = GithubSection {
                api_url: api_url.to_owned(),
                graphql_url: graphql_url.to_owned(),
                ..GithubSection::default()
            };
            assert_eq!(section.graphql_url(), expected, "{api_url}");
        }
    }
}
