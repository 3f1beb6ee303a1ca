//! What GitHub's API says of a request that it refuses.

use serde::Deserialize;

use crate::quoted::quoted;

/// GitHub's description of an error; empty where an answer has none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct GithubMessage {
    message: String,
    documentation_url: String,
}

impl GithubMessage {
    /// Reads the body of an answer, whatever it is.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// Whether this is a rate limit: the secondary ones may come with 403, and without any header that says so (REST API,
    /// "Rate limits for the REST API").
    #[must_use]
    pub fn is_rate_limit(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        let url = self.documentation_url.to_ascii_lowercase();
        let words = ["rate limit", "abuse detection"];
        let links = ["rate-limit", "abuse-limit"];
        words.iter().any(|words| message.contains(words))
            || links.iter().any(|words| url.contains(words))
    }

    /// GitHub's words as a part of a sentence, cut and on one line.
    #[must_use]
    pub fn said(&self) -> String {
        match self.message.is_empty() {
            true => "without a reason".to_owned(),
            false => format!("\"{}\"", quoted(&self.message)),
        }
    }
}
