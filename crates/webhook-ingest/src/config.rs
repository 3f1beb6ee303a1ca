//! The `[ingest]` section of the configuration.

use std::{
    io::{self, Read},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use model::file_text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::{
    config::Secret,
    http::{DEFAULT_IDLE_SECONDS, HttpLimits, MAX_IDLE_SECONDS},
    ip_network::IpNetworkError,
    proxies::{ProxyConfig, TrustedProxies},
};

use crate::{error::IngestBuildError, limits, sources::Sources};

/// The ingest role: its listener and the secrets that it trusts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Config")]
pub struct IngestConfig {
    /// Address for GitHub's `POST /webhooks/github`; port 0 picks a free one, and the ready line on
    /// stdout names it.
    pub listen: SocketAddr,
    /// Secrets of the webhooks. The ingest role needs at least one, here or in
    /// `webhook_secret_files`; use several while one is being replaced. A delivery is valid if any
    /// of them signed it. Up to 16, including those in files.
    pub webhook_secrets: Vec<Secret>,
    /// Files with such secrets, one per line; read once at start.
    pub webhook_secret_files: Vec<PathBuf>,
    /// Largest body in bytes, 1 to 67108864; GitHub sends up to 25 MB.
    pub max_body_bytes: usize,
    /// Time limit for reading one body, in seconds, 1 to 60.
    pub body_timeout_seconds: u64,
    /// Seconds without a request after which a kept-alive connection closes, 1 to 700. It should be
    /// longer than the balancer's own time for connections to the ingest role: GitHub does not send
    /// a delivery again that meets a connection which is about to close. See docs/production.md,
    /// "Balancers".
    pub idle_seconds: u64,
    /// Proxies in front of this listener that name the addresses of its clients.
    pub proxies: ProxyConfig,
    /// Failures that one source may have in a minute: bad signatures, wrong content types and bodies that are too
    /// large. Beyond it, its requests get 429 with Retry-After before their body is read. 0 for no limit, up to
    /// 1000000. Deliveries with a good signature do not count, and an address from which one came in the last day is
    /// never refused, nor is one that is not public, as that of a proxy.
    pub failures_per_minute: u32,
    /// Addresses and ranges that are never refused for failures; up to 256. By default those of GitHub, as
    /// `https://api.github.com/meta` lists them.
    pub never_limited: Vec<String>,
    /// Longest time in milliseconds for which a delivery is held, so that one about the same resource that GitHub
    /// made before it is stored first, 0 to 1000; a quarter of it where nothing about the resource came in the last
    /// two seconds. 0 stores deliveries as they arrive.
    pub order_window_milliseconds: u64,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3001)),
            webhook_secrets: Vec::new(),
            webhook_secret_files: Vec::new(),
            max_body_bytes: limits::DEFAULT_MAX_BODY_BYTES,
            body_timeout_seconds: limits::DEFAULT_BODY_TIMEOUT_SECONDS,
            idle_seconds: DEFAULT_IDLE_SECONDS,
            proxies: ProxyConfig::default(),
            failures_per_minute: limits::DEFAULT_FAILURES_PER_MINUTE,
            never_limited: limits::GITHUB_ADDRESSES.map(str::to_owned).to_vec(),
            order_window_milliseconds: limits::DEFAULT_ORDER_WINDOW_MILLISECONDS,
        }
    }
}

impl IngestConfig {
    /// Refuses values out of range. Secrets are checked later.
    ///
    /// # Errors
    /// A value is out of range; the text names the key.
    pub fn check(&self) -> Result<(), IngestBuildError> {
        let range = |key, value: u64, highest: u64| {
            if (1..=highest).contains(&value) {
                Ok(())
            } else {
                Err(IngestBuildError::OutOfRange {
                    key,
                    value,
                    highest,
                })
            }
        };
        range(
            "ingest.max_body_bytes",
            self.max_body_bytes as u64,
            limits::HIGHEST_MAX_BODY_BYTES as u64,
        )?;
        range(
            "ingest.body_timeout_seconds",
            self.body_timeout_seconds,
            limits::HIGHEST_BODY_TIMEOUT_SECONDS,
        )?;
        range("ingest.idle_seconds", self.idle_seconds, MAX_IDLE_SECONDS)?;
        self.sources()?;
        self.trusted_proxies()?;
        let (window, highest) = (
            self.order_window_milliseconds,
            limits::HIGHEST_ORDER_WINDOW_MILLISECONDS,
        );
        let (failures, most) = (
            self.failures_per_minute,
            limits::HIGHEST_FAILURES_PER_MINUTE,
        );
        // Zero is a choice of both.
        range(
            "ingest.failures_per_minute",
            failures.max(1).into(),
            most.into(),
        )?;
        range("ingest.order_window_milliseconds", window.max(1), highest)
    }

    /// The sources, none of which has failed.
    ///
    /// # Errors
    /// A range is none, or there are too many.
    pub(crate) fn sources(&self) -> Result<Sources, IngestBuildError> {
        let refused = |reason| IngestBuildError::Value {
            key: "ingest.never_limited",
            reason,
        };
        let count = self.never_limited.len();
        if count > limits::MAX_NEVER_LIMITED {
            let most = limits::MAX_NEVER_LIMITED;
            return Err(refused(format!("{count} ranges: use at most {most}")));
        }
        let ranges = self.never_limited.iter().map(|text| text.parse());
        let ranges: Result<Vec<_>, IpNetworkError> = ranges.collect();
        let ranges = ranges.map_err(|error| refused(error.to_string()))?;
        Ok(Sources::new(self.failures_per_minute, ranges))
    }

    /// The proxies that name clients.
    ///
    /// # Errors
    /// A range is none.
    pub(crate) fn trusted_proxies(&self) -> Result<TrustedProxies, IngestBuildError> {
        self.proxies
            .read()
            .map_err(|error| IngestBuildError::Value {
                key: "ingest.proxies.trusted",
                reason: error.to_string(),
            })
    }

    /// Bounds of the listener.
    #[must_use]
    pub fn http_limits(&self) -> HttpLimits {
        HttpLimits {
            idle_timeout: Duration::from_secs(self.idle_seconds),
            ..HttpLimits::default()
        }
    }

    /// All webhook secrets, including those in files. Fails closed: having no secret is an error.
    ///
    /// # Errors
    /// There is none, or one cannot be read.
    pub fn secrets(&self) -> Result<Vec<Secret>, IngestBuildError> {
        let mut secrets = self.webhook_secrets.clone();
        if let Some(index) = secrets.iter().position(|s| s.expose().trim().is_empty()) {
            return Err(IngestBuildError::EmptySecret { index });
        }
        for file in &self.webhook_secret_files {
            secrets.extend(read_secrets(file)?);
        }
        match secrets.len() {
            0 => Err(IngestBuildError::NoSecret),
            n if n > limits::MAX_SECRETS => Err(IngestBuildError::TooManySecrets { count: n }),
            _ => Ok(secrets),
        }
    }
}

/// One secret per line, trimmed; blank lines are skipped.
fn read_secrets(path: &Path) -> Result<Vec<Secret>, IngestBuildError> {
    let unreadable = |source| IngestBuildError::SecretFile {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(limits::MAX_SECRET_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > limits::MAX_SECRET_FILE_BYTES {
        return Err(IngestBuildError::SecretFileTooLarge {
            path: path.to_owned(),
        });
    }
    let text = file_text(&bytes)
        .map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    let secrets: Vec<Secret> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(Secret::from)
        .collect();
    if secrets.is_empty() {
        return Err(IngestBuildError::SecretFileEmpty {
            path: path.to_owned(),
        });
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn config(json: serde_json::Value) -> IngestConfig {
        serde_json::from_value(json).unwrap()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn no_secret_is_refused_naming_the_keys() {
        let error = IngestConfig::default().secrets().unwrap_err().to_string();
        assert!(error.contains("ingest.webhook_secrets"), "{error}");
        assert!(error.contains("ingest.webhook_secret_files"), "{error}");
    }

    #[test]
    fn an_empty_secret_is_refused_naming_its_place() {
        let config = config(serde_json::json!({"webhook_secrets": ["a", " "]}));
        let error = config.secrets().unwrap_err().to_string();
        assert!(error.contains("ingest.webhook_secrets[1]"), "{error}");
    }

    #[test]
    fn secrets_of_a_file_are_trimmed_and_come_after_those_of_the_key() {
        let file = file("\u{feff}  one \r\n\ntwo\n");
        let config = config(serde_json::json!({
            "webhook_secrets": ["zero"], "webhook_secret_files": [file.path()],
        }));
        let secrets = config.secrets().unwrap();
        let texts: Vec<&str> = secrets.iter().map(Secret::expose).collect();
        assert_eq!(texts, ["zero", "one", "two"]);
        assert!(!format!("{config:?}").contains("zero"));
    }

    #[test]
    fn a_file_without_a_secret_or_that_is_missing_is_refused_with_its_path() {
        let empty = file("\n  \n");
        let large = file(&"x".repeat(70_000));
        for path in [empty.path(), large.path(), Path::new("/nonexistent/secret")] {
            let config = config(serde_json::json!({"webhook_secret_files": [path]}));
            let error = config.secrets().unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused_naming_the_key() {
        for (key, value) in [
            ("max_body_bytes", 0),
            ("max_body_bytes", 1 << 30),
            ("body_timeout_seconds", 0),
            ("body_timeout_seconds", 61),
            ("idle_seconds", 0),
            ("idle_seconds", 701),
            ("order_window_milliseconds", 1001),
            ("failures_per_minute", 1_000_001),
        ] {
            let mut json = serde_json::json!({});
            json[key] = value.into();
            let error = config(json).check().unwrap_err().to_string();
            assert!(error.contains(&format!("ingest.{key}")), "{error}");
        }
        assert!(IngestConfig::default().check().is_ok());
    }

    #[test]
    fn what_is_no_range_of_addresses_is_refused_naming_the_key() {
        let many = vec!["10.0.0.0/8"; limits::MAX_NEVER_LIMITED + 1];
        for (key, json) in [
            (
                "never_limited",
                serde_json::json!({"never_limited": ["github.com"]}),
            ),
            (
                "never_limited",
                serde_json::json!({ "never_limited": many }),
            ),
            (
                "proxies.trusted",
                serde_json::json!({"proxies": {"trusted": ["10.0.0.0/40"]}}),
            ),
        ] {
            let error = config(json).check().unwrap_err().to_string();
            assert!(error.contains(&format!("ingest.{key}")), "{error}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<IngestConfig>(r#"{"secret": "x"}"#).is_err());
    }
}
