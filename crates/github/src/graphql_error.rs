//! The errors in the answer to a query.

use http_client::quoted;
use serde::Deserialize;
use serde_json::Value;

/// An error of a query, which may concern a part of it only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphqlFault {
    /// GitHub's word for it, for instance `NOT_FOUND` or `FORBIDDEN`; empty if there is none.
    pub kind: String,
    /// The place in the data, which is `null` there, as `repository.issue`.
    pub path: String,
    /// GitHub's words, cut and on one line.
    pub message: String,
}

/// As GitHub writes it.
#[derive(Debug, Deserialize)]
pub(crate) struct WrittenFault {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    path: Vec<Value>,
    #[serde(default)]
    message: String,
}

impl WrittenFault {
    /// Whether the budget of the query is used up, which comes with the status 200.
    pub(crate) fn is_limit(&self) -> bool {
        let kind = self.kind.as_deref().unwrap_or_default();
        // GitHub writes either, depending on which limit it was.
        matches!(kind, "RATE_LIMITED" | "RATE_LIMIT")
    }

    /// Whether it is about the whole query, which would fail in the same way again.
    pub(crate) fn is_secondary_limit(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        message.contains("secondary rate limit") || message.contains("abuse detection")
    }
}

impl From<WrittenFault> for GraphqlFault {
    fn from(written: WrittenFault) -> Self {
        let step = |step: &Value| match step {
            Value::String(name) => quoted(name),
            other => other.to_string(),
        };
        let path: Vec<_> = written.path.iter().take(20).map(step).collect();
        Self {
            kind: quoted(written.kind.as_deref().unwrap_or_default()),
            path: path.join("."),
            message: quoted(&written.message),
        }
    }
}
