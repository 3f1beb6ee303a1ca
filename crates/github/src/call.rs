//! A call of the REST API, as a caller describes it, and its answer.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};

use crate::{credentials::GithubAccess, route::RestRoute};

/// The tags by which GitHub knows what a caller has already.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Validators {
    /// `ETag`, as it was written.
    pub etag: Option<String>,
    /// `Last-Modified`, as it was written.
    pub last_modified: Option<String>,
}

impl Validators {
    /// Those of an answer.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self {
            etag: text(header::ETAG),
            last_modified: text(header::LAST_MODIFIED),
        }
    }

    /// Whether there is none, so that a call with them is not conditional.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// Puts them into a request. The tag is the more exact of the two, and enough.
    pub(crate) fn ask(&self, headers: &mut HeaderMap) {
        let value = |text: &Option<String>| {
            text.as_deref()
                .and_then(|text| HeaderValue::from_str(text).ok())
        };
        match (value(&self.etag), value(&self.last_modified)) {
            (Some(etag), _) => headers.insert(header::IF_NONE_MATCH, etag),
            (None, Some(time)) => headers.insert(header::IF_MODIFIED_SINCE, time),
            (None, None) => None,
        };
    }
}

/// A call of a route.
#[derive(Debug, Clone)]
pub struct RestCall {
    pub(crate) route: RestRoute,
    pub(crate) access: GithubAccess,
    pub(crate) path_and_query: String,
    pub(crate) known: Validators,
    pub(crate) patience: Duration,
}

impl RestCall {
    /// How long a call waits for a rate limit and between attempts, unless it says otherwise. An attempt that has begun
    /// may last as long as a request may.
    pub const PATIENCE: Duration = Duration::from_secs(60);

    /// A call with these values for the names in the route's template, in their order.
    ///
    /// # Panics
    /// There are more or fewer values than names: an error of the caller's code.
    #[must_use]
    pub fn new(route: RestRoute, access: GithubAccess, values: &[&str]) -> Self {
        Self {
            route,
            access,
            path_and_query: route.path(values),
            known: Validators::default(),
            patience: Self::PATIENCE,
        }
    }

    /// Adds a parameter to the query.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.path_and_query
            .push(match self.path_and_query.contains('?') {
                true => '&',
                false => '?',
            });
        let mut pair = form(name);
        pair.push('=');
        pair.push_str(&form(value));
        self.path_and_query.push_str(&pair);
        self
    }

    /// Asks for an answer only if it differs from the one with these tags.
    #[must_use]
    pub fn unless(mut self, known: Validators) -> Self {
        self.known = known;
        self
    }

    /// What it asks for, for errors.
    pub(crate) fn what(&self) -> String {
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        http_client::quoted(path.trim_start_matches('/'))
    }

    /// Waits for up to this long.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// A text for a query: everything but letters, digits and `-._~` is escaped.
fn form(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => escaped.push(char::from(byte)),
            false => {
                let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble)]);
                escaped.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    escaped
}

/// The answer to a conditional call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestAnswer<T> {
    /// It is as the caller knows it.
    NotModified,
    /// The present state.
    Modified {
        /// What was asked for.
        value: T,
        /// The tags for the next call.
        tags: Validators,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_escaped() {
        let access = GithubAccess::Owner("o".to_owned());
        let call = RestCall::new(RestRoute::ISSUES, access, &["o", "r"]);
        let call = call
            .with("state", "all")
            .with("since", "2026-11-30T10:00:00+01:00&x");
        assert_eq!(
            call.path_and_query,
            "/repos/o/r/issues?state=all&since=2026-11-30T10%3A00%3A00%2B01%3A00%26x"
        );
    }

    #[test]
    fn the_tag_is_asked_for_and_else_the_time() {
        let asked = |etag: Option<&str>, time: Option<&str>| {
            let mut headers = HeaderMap::new();
            let own = |text: Option<&str>| text.map(str::to_owned);
            Validators {
                etag: own(etag),
                last_modified: own(time),
            }
            .ask(&mut headers);
            headers
        };
        let both = asked(Some("W/\"a\""), Some("Mon, 21 Sep 2026 14:13:20 GMT"));
        assert_eq!(
            (both.len(), &both[header::IF_NONE_MATCH]),
            (1, &HeaderValue::from_static("W/\"a\""))
        );
        let time = asked(None, Some("Mon, 21 Sep 2026 14:13:20 GMT"));
        assert!(time.contains_key(header::IF_MODIFIED_SINCE));
        assert!(asked(Some("a\nb"), None).is_empty() && asked(None, None).is_empty());
    }
}
