//! Requests as they come and answers as they go.

use std::time::Duration;

use bytes::Bytes;
use model::Timestamp;
use serde_json::Value;

use super::asked::refusal_body;
use crate::budgets::BudgetState;

/// A request as it came.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) host: String,
    pub(crate) authorization: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) if_modified_since: Option<String>,
    pub(crate) body: Bytes,
}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    pub(crate) late: Duration,
    pub(crate) is_cut: bool,
}

impl Outgoing {
    pub(crate) fn of(status: u16, body: &Value) -> Self {
        let json = "application/json; charset=utf-8".to_owned();
        Self {
            status,
            headers: vec![("content-type", json)],
            body: Bytes::from(body.to_string()),
            late: Duration::ZERO,
            is_cut: false,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn with_budget(self, state: BudgetState) -> Self {
        let reset = state.reset_at.unix_millis() / 1000;
        self.with("x-ratelimit-limit", state.limit.to_string())
            .with("x-ratelimit-remaining", state.remaining().to_string())
            .with("x-ratelimit-used", state.used.to_string())
            .with("x-ratelimit-reset", reset.to_string())
            .with("x-ratelimit-resource", state.budget.name())
    }
}

/// GitHub's words for a secondary limit.
pub(crate) fn secondary(status: u16, retry_after_seconds: Option<u64>) -> Outgoing {
    let text = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. For more \
                on scraping GitHub and how it may affect your rights, please review our Terms of Service.";
    let mut body = refusal_body(status, text);
    body["documentation_url"] =
        "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits".into();
    let mut outgoing = Outgoing::of(status, &body);
    let wait = retry_after_seconds.map(|it| ("retry-after", it.to_string()));
    outgoing.headers.extend(wait);
    outgoing
}

pub(crate) fn digest(version: &str, body: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    use std::fmt::Write as _;
    let mut hash = Sha256::new();
    hash.update(version.as_bytes());
    hash.update(body);
    let mut tag = "W/\"".to_owned();
    for byte in hash.finalize() {
        write!(tag, "{byte:02x}").expect("writing into a String cannot fail");
    }
    tag.push('"');
    tag
}

pub(crate) fn http_date(at: Timestamp) -> String {
    let seconds = u64::try_from(at.unix_millis() / 1000).unwrap_or(0);
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    httpdate::fmt_http_date(time)
}
