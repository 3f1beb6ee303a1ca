//! What a client is made of, checked before anything is sent.

use std::{fmt, path::PathBuf};

use http_client::{BearerToken, HttpProxies, ProxyError, ServerUrlError};
use model::{Classified, ErrorClass};

use crate::{
    api_url::ApiUrls,
    api_version::GithubApiVersion,
    app_key::AppKey,
    pace::GithubPace,
    secret_file::{SecretFault, SecretFile},
};

/// A key of `[github]` that cannot work. No text shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum GithubConfigError {
    /// A URL is none.
    #[error("github.{key}: {source}")]
    Url {
        /// The key.
        key: &'static str,
        /// The problem, and the fix.
        #[source]
        source: ServerUrlError,
    },
    /// The proxy is none.
    #[error("github.proxy: {0}")]
    Proxy(ProxyError),
    /// The token is none.
    #[error("github.token: a token has 1 to 4,096 visible characters of ASCII")]
    Token,
    /// The file of a secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretFault),
    /// The certificates of the system cannot be read.
    #[error("the certificates of this system cannot be read")]
    Certificates(#[source] std::io::Error),
}

impl Classified for GithubConfigError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// Who the client is to GitHub.
#[derive(Clone)]
pub enum GithubIdentity {
    /// Nobody: 60 requests per hour, and what is public.
    Anonymous,
    /// A token as text.
    Token(String),
    /// A token in a file, which is read again when it changes.
    TokenFile(PathBuf),
    /// A GitHub App.
    App {
        /// Its id.
        id: u64,
        /// The file of its private key, which is read again when it changes.
        key_file: PathBuf,
    },
}

/// Omits the token.
impl fmt::Debug for GithubIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Token(_) => f.write_str("Token(…)"),
            Self::TokenFile(path) => f.debug_tuple("TokenFile").field(path).finish(),
            Self::App { id, key_file } => f
                .debug_struct("App")
                .field("id", id)
                .field("key_file", key_file)
                .finish(),
        }
    }
}

/// The settings of a client.
#[derive(Debug, Clone)]
pub struct GithubConfig {
    pub(crate) urls: ApiUrls,
    /// Who the client is.
    pub identity: GithubIdentity,
    /// The version of the REST API.
    pub version: GithubApiVersion,
    /// The proxies on the way.
    pub proxies: HttpProxies,
    /// The pauses.
    pub pace: GithubPace,
}

impl GithubConfig {
    /// A client of the APIs at these URLs, through the proxies of the environment.
    ///
    /// # Errors
    /// A URL is none; the text names the key of the configuration.
    pub fn new(
        api_url: &str,
        graphql_url: &str,
        identity: GithubIdentity,
    ) -> Result<Self, GithubConfigError> {
        let urls = ApiUrls::new(api_url, graphql_url)
            .map_err(|(key, source)| GithubConfigError::Url { key, source })?;
        Ok(Self {
            urls,
            identity,
            version: GithubApiVersion::default(),
            proxies: HttpProxies::from_environment(),
            pace: GithubPace::default(),
        })
    }

    /// Another proxy than those of the environment.
    ///
    /// # Errors
    /// The URL is none.
    pub fn through(mut self, proxy: &str) -> Result<Self, GithubConfigError> {
        let no_proxy = std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy"));
        self.proxies = HttpProxies::of(proxy, &no_proxy.unwrap_or_default())
            .map_err(GithubConfigError::Proxy)?;
        Ok(self)
    }
}

/// The secret of an identity, read.
#[derive(Debug)]
pub(crate) enum OpenIdentity {
    Anonymous,
    Token(BearerToken),
    TokenFile(SecretFile<BearerToken>),
    App { id: u64, key: SecretFile<AppKey> },
}

impl OpenIdentity {
    /// Reads the secret. Blocks.
    pub(crate) fn open(identity: &GithubIdentity) -> Result<Self, GithubConfigError> {
        Ok(match identity {
            GithubIdentity::Anonymous => Self::Anonymous,
            GithubIdentity::Token(text) => {
                Self::Token(BearerToken::new(text).map_err(|_| GithubConfigError::Token)?)
            }
            GithubIdentity::TokenFile(path) => {
                let parse = |text: &str| {
                    BearerToken::new(text).map_err(|error| format!("holds no token: {error}"))
                };
                Self::TokenFile(SecretFile::open("github.token_file", path, parse)?)
            }
            GithubIdentity::App { id, key_file } => Self::App {
                id: *id,
                key: SecretFile::open("github.private_key_file", key_file, AppKey::from_pem)?,
            },
        })
    }
}
