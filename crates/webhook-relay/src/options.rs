//! What is relayed, from where and to where.

use std::time::Duration;

use http::Uri;
use http_client::{BearerToken, server_url};
use model::GithubReference;

use crate::{cursor::CursorPlace, error::RelayError, pace::RelayPace, secrets::RelaySecrets};

/// A relay.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// Where deliveries come from.
    pub source: RelaySource,
    /// The pauses after failures.
    pub pace: RelayPace,
    pub(crate) ingest: Uri,
    pub(crate) secrets: RelaySecrets,
}

/// Where deliveries come from.
#[derive(Debug, Clone)]
pub enum RelaySource {
    /// GitHub's list of the deliveries of a webhook.
    Deliveries(DeliveryList),
    /// A channel of server-sent events.
    Channel(RelayChannel),
}

/// A channel of server-sent events.
#[derive(Debug, Clone)]
pub struct RelayChannel {
    pub(crate) url: Uri,
    /// Also pass on messages whose signature is missing or does not fit the body, signed by the relay: whoever knows
    /// the URL of the channel can then make events.
    pub accept_unverified: bool,
}

/// GitHub's list of the deliveries of a webhook.
#[derive(Debug, Clone)]
pub struct DeliveryList {
    pub(crate) api: Uri,
    pub(crate) repository: String,
    pub(crate) token: Option<BearerToken>,
    /// The webhook; `None` for the only one of the repository.
    pub hook: Option<u64>,
    /// Where the last relayed delivery is stored.
    pub cursor: CursorPlace,
    /// Pause between two looks at the list.
    pub interval: Duration,
    /// Without a cursor: relay all deliveries that GitHub still lists, not only those from now on.
    pub from_beginning: bool,
}

/// A URL with `http` or `https` and a host, without a slash at its end.
fn url(name: &'static str, text: &str) -> Result<Uri, RelayError> {
    server_url(text.trim_end_matches('/')).map_err(|error| RelayError::Option {
        name,
        reason: error.to_string(),
    })
}

impl RelayOptions {
    /// A relay to the ingest at this base URL, which knows these secrets. Signatures are made with the first, and
    /// those of a channel are checked with all.
    ///
    /// # Errors
    /// The URL is none, or there is no secret, or an empty one.
    pub fn new(source: RelaySource, ingest: &str, secrets: &[&str]) -> Result<Self, RelayError> {
        let secrets = RelaySecrets::new(secrets).ok_or_else(|| RelayError::Option {
            name: "ingest.webhook_secrets",
            reason: "the relay needs the secrets of the ingest: set them here too (WEBHOOK_SECRET)"
                .to_owned(),
        })?;
        Ok(Self {
            source,
            pace: RelayPace::default(),
            ingest: url("--to", ingest)?,
            secrets,
        })
    }
}

impl RelayChannel {
    /// The channel at this URL.
    ///
    /// # Errors
    /// The URL is none.
    pub fn new(text: &str) -> Result<Self, RelayError> {
        Ok(Self {
            url: url("--url", text)?,
            accept_unverified: false,
        })
    }
}

/// The form of a repository's name.
const REPOSITORY_FORM: &str = "owner/repo";

impl DeliveryList {
    /// The deliveries of a webhook of a repository (`owner/repo` or its URL), by the API at this URL.
    ///
    /// # Errors
    /// The URL, the repository or the token is none.
    pub fn new(
        api: &str,
        repository: &str,
        token: Option<&str>,
        cursor: CursorPlace,
        interval: Duration,
    ) -> Result<Self, RelayError> {
        let named = GithubReference::read_repository(repository);
        let (owner, repo) = named.map_err(|error| {
            let mut reason = error.to_string();
            // Some say it themselves.
            if !reason.contains(REPOSITORY_FORM) {
                reason = format!("{reason}; write it as {REPOSITORY_FORM}");
            }
            RelayError::Option {
                name: "--repository",
                reason,
            }
        })?;
        Ok(Self {
            api: url("github.api_url", api)?,
            repository: format!("{owner}/{repo}"),
            token: token.map(bearer).transpose()?,
            hook: None,
            cursor,
            interval,
            from_beginning: false,
        })
    }
}

fn bearer(token: &str) -> Result<BearerToken, RelayError> {
    BearerToken::new(token).map_err(|error| RelayError::Option {
        name: "GITHUB_TOKEN",
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(api: &str, repository: &str, token: &str) -> Result<DeliveryList, RelayError> {
        let interval = Duration::from_secs(1);
        let cursor = CursorPlace::File("cursor".into());
        DeliveryList::new(api, repository, Some(token), cursor, interval)
    }

    #[test]
    fn what_cannot_work_is_refused_by_its_name_and_no_secret_is_shown() {
        let api = "https://api.github.com";
        assert!(list("https://ghe.example.com/api/v3/", "octo/tool.js", "t").is_ok());
        for spelling in ["Octo/Tool", "https://github.com/octo/tool"] {
            assert_eq!(list(api, spelling, "t").unwrap().repository, "octo/tool");
        }
        for (made, name) in [
            (list("api.github.com", "o/r", "t"), "github.api_url"),
            (list(api, "octo", "t"), "--repository"),
            (list(api, "octo/..", "t"), "--repository"),
            (list(api, "octo/a/b", "t"), "--repository"),
            (list(api, "o/r", "a b"), "GITHUB_TOKEN"),
            (list(api, "o/r", ""), "GITHUB_TOKEN"),
        ] {
            let text = made.unwrap_err().to_string();
            assert!(text.starts_with(name), "{text}");
        }
        for wrong in ["octo", "octo/..", "octo/a/b", ""] {
            let text = list(api, wrong, "t").unwrap_err().to_string();
            assert_eq!(text.matches("owner/repo").count(), 1, "{text}");
        }
        let source = RelaySource::Channel(RelayChannel::new("https://smee.io/abc").unwrap());
        assert!(RelayOptions::new(source.clone(), "http://127.0.0.1:3001", &[" "]).is_err());
        let options = RelayOptions::new(source, "http://127.0.0.1:3001/", &["hidden"]).unwrap();
        let list = list(api, "o/r", "hidden").unwrap();
        assert!(!format!("{options:?}{list:?}").contains("hidden"));
        assert!(RelayChannel::new("https://user:pass@smee.io/abc").is_err());
    }
}
