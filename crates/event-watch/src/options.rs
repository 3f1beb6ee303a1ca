//! What is watched, and what is done with the events.

use std::{fmt::Write as _, path::PathBuf};

use http::Uri;
use http_client::{BearerToken, server_url, shows_token};
use sha2::{Digest, Sha256};

use crate::{
    command::EventCommand, error::WatchError, filter::WatchFilter, limits::MAX_NAME_BYTES,
    since::WatchStart,
};

/// A watch.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    pub(crate) stream: Uri,
    pub(crate) token: Option<BearerToken>,
    pub(crate) subscription: Option<String>,
    pub(crate) name: String,
    /// The folder with the positions, one file for each name.
    pub state_folder: PathBuf,
    /// Where to begin; after that, the kept position counts, until this is given anew.
    pub since: Option<WatchStart>,
    /// What is done with an event.
    pub output: WatchOutput,
    /// End after the first event.
    pub once: bool,
}

/// What is done with an event.
#[derive(Debug, Clone)]
pub enum WatchOutput {
    /// A short line; where events come faster than this many in a minute, a line that counts them.
    Lines(Option<u32>),
    /// All of it, as JSON on one line.
    Json,
    /// A command runs with it.
    Command(EventCommand),
}

fn option(name: &'static str, reason: impl Into<String>) -> WatchError {
    WatchError::Option {
        name,
        reason: reason.into(),
    }
}

impl WatchOptions {
    /// A watch of the events that match, on the edge at this URL. A path of the edge at the end of the URL
    /// (`/mcp`, `/events/stream`) is left out.
    ///
    /// # Errors
    /// The URL or the token cannot be one.
    pub fn new(
        url: &str,
        token: Option<&str>,
        filter: &WatchFilter,
        state_folder: PathBuf,
    ) -> Result<Self, WatchError> {
        let refused = |error: http_client::ServerUrlError| option("--url", error.to_string());
        let base = base(url.trim());
        server_url(base).map_err(refused)?;
        if base.contains(['?', '#']) {
            return Err(option("--url", "it has a query; use --filter"));
        }
        let stream = |fields: &[(&'static str, String)]| {
            let query = query(fields);
            let mark = if query.is_empty() { "" } else { "?" };
            server_url(&format!("{base}/events/stream{mark}{query}")).map_err(refused)
        };
        let name = derived_name(&stream(&filter.canonical())?);
        let stream = stream(filter.fields())?;
        let token = token.map(BearerToken::new).transpose();
        let token = token.map_err(|error| option("--token-file", error.to_string()))?;
        Ok(Self {
            name,
            stream,
            token,
            subscription: None,
            state_folder,
            since: None,
            output: WatchOutput::Lines(None),
            once: false,
        })
    }

    /// Watches the events of a subscription, which has filters of its own.
    ///
    /// # Errors
    /// There are filters beside it, or the id cannot be one.
    pub fn with_subscription(mut self, id: &str) -> Result<Self, WatchError> {
        if self.stream.query().is_some() {
            let reason = "has filters of its own; leave --filter out";
            return Err(option("--subscription", reason));
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if id.is_empty() || !id.bytes().all(fits) {
            return Err(option("--subscription", "it is no id of a subscription"));
        }
        let stream = format!("{}?subscription={id}", self.stream);
        self.stream = stream
            .parse()
            .map_err(|_| option("--subscription", "it is no id of a subscription"))?;
        self.name = derived_name(&self.stream);
        self.subscription = Some(id.to_owned());
        Ok(self)
    }

    /// Keeps the position under this name, in place of one that follows from the URL and the filter.
    ///
    /// # Errors
    /// The name is empty, too long, or no plain file name.
    pub fn with_name(mut self, name: &str) -> Result<Self, WatchError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fits = (1..=MAX_NAME_BYTES).contains(&name.len())
            && name.bytes().all(plain)
            && !name.starts_with('.');
        if !fits {
            return Err(option(
                "--name",
                format!(
                    "use 1 to {MAX_NAME_BYTES} letters, digits, -, _ or ., not beginning with a dot"
                ),
            ));
        }
        name.clone_into(&mut self.name);
        Ok(self)
    }

    /// The name under which the position is kept.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the stream is, without what is asked for: a query gets into no log.
    pub(crate) fn address(&self) -> String {
        let address = self.stream.to_string();
        let path = address.split('?').next();
        path.unwrap_or_default().to_owned()
    }

    /// Whether the token would cross a network unencrypted.
    #[must_use]
    pub fn shows_token_in_clear(&self) -> bool {
        self.token.is_some() && shows_token(&self.stream)
    }
}

/// The URL without the paths of an edge, which users have from other clients.
fn base(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    let paths = ["/events/stream", "/mcp"];
    let stripped = paths.iter().find_map(|path| url.strip_suffix(path));
    stripped.unwrap_or(url).trim_end_matches('/')
}

fn query(fields: &[(&'static str, String)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(fields);
    query.finish()
}

/// A name that follows from what is watched: a server has its name in any case.
fn derived_name(stream: &Uri) -> String {
    let authority = stream
        .authority()
        .map_or("", |authority| authority.as_str());
    let lower = authority.to_ascii_lowercase();
    let digest = Sha256::digest(stream.to_string().replacen(authority, &lower, 1));
    let mut name = "watch-".to_owned();
    for byte in &digest[..8] {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(url: &str, filter: &str) -> Result<WatchOptions, WatchError> {
        let filter = WatchFilter::parse(filter).unwrap();
        WatchOptions::new(url, Some("fw_hidden"), &filter, "state".into())
    }

    #[test]
    fn the_stream_of_an_edge_is_found_from_every_address_that_users_have() {
        for url in [
            "http://127.0.0.1:3000",
            "http://127.0.0.1:3000/",
            "http://127.0.0.1:3000/mcp",
            " http://127.0.0.1:3000/events/stream",
        ] {
            let stream = watch(url, r#"repo=a/b tags="x y""#).unwrap().stream;
            let expected = "http://127.0.0.1:3000/events/stream?repo=a%2Fb&tags=%22x+y%22";
            assert_eq!(stream.to_string(), expected);
        }
        let behind = watch("https://host/forgewire/mcp/", "").unwrap();
        assert_eq!(behind.stream, "https://host/forgewire/events/stream");
        assert!(!format!("{behind:?}").contains("hidden"));
        for (url, words) in [
            ("127.0.0.1:3000", "--url: it"),
            ("http://u:p@host", "user or password"),
            ("http://host?repo=a", "use --filter"),
        ] {
            let refused = watch(url, "").unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }

    #[test]
    fn a_name_follows_from_what_is_watched_and_not_from_how_it_is_written() {
        let name = |url, filter| watch(url, filter).unwrap().name;
        let one = name("http://h", "repo=a/b actor=c");
        assert_eq!(one, name("http://h/mcp", "ACTOR=c  repo=a/b"));
        for same in ["repo=A/B actor=@C", "repo=https://github.com/a/b actor=C"] {
            assert_eq!(one, name("HTTP://H/", same), "{same}");
        }
        // Node ids differ in their case.
        let ids = ["resourceId=I_kwA", "resourceId=I_kwa"];
        assert_ne!(name("http://h", ids[0]), name("http://h", ids[1]));
        assert_ne!(one, name("http://h", "repo=a/b"));
        assert_ne!(one, name("http://other", "repo=a/b actor=c"));
        let subscribed = watch("http://h", "")
            .unwrap()
            .with_subscription("s-1")
            .unwrap();
        assert_eq!(subscribed.stream, "http://h/events/stream?subscription=s-1");
        assert_ne!(subscribed.name, name("http://h", ""));
    }

    #[test]
    fn what_cannot_work_is_refused_by_its_flag() {
        let plain = || watch("http://h", "").unwrap();
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        for name in ["", ".hidden", "a/b", "a b", &long] {
            let refused = plain().with_name(name).unwrap_err().to_string();
            assert!(refused.starts_with("--name: "), "{refused}");
        }
        assert_eq!(
            plain().with_name("team-1.issues").unwrap().name(),
            "team-1.issues"
        );
        for id in ["", "a b", "a&b"] {
            assert!(plain().with_subscription(id).is_err(), "{id}");
        }
        let filtered = watch("http://h", "repo=a/b").unwrap();
        let refused = filtered.with_subscription("s").unwrap_err().to_string();
        assert!(refused.contains("leave --filter out"), "{refused}");
        let empty = WatchOptions::new("http://h", Some(" "), &WatchFilter::default(), "s".into());
        assert!(empty.unwrap_err().to_string().starts_with("--token-file: "));
    }
}
