//! Errors outside MCP: RFC 9457 problem+json, and the one mapping of error classes to HTTP.
//!
//! The caller and the log get different texts: [`Problem::from_error`] logs the error with all its
//! sources and gives the caller only information that helps the caller.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use model::{Classified, ErrorClass, error_chain};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

/// Default wait before a retry where waiting helps, in seconds.
pub const DEFAULT_RETRY_AFTER_SECONDS: u32 = 1;

/// The media type of a problem (RFC 9457 §3).
pub const CONTENT_TYPE: &str = "application/problem+json";

/// The members that RFC 9457 and Forgewire define; [`Problem::with`] cannot replace them.
const RESERVED: [&str; 5] = ["type", "title", "status", "detail", "code"];

/// The HTTP status of an error class: the only place that defines it.
#[must_use]
pub const fn status_of(class: ErrorClass) -> StatusCode {
    match class {
        ErrorClass::Caller => StatusCode::BAD_REQUEST,
        ErrorClass::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorClass::Missing => StatusCode::NOT_FOUND,
        ErrorClass::Conflict => StatusCode::CONFLICT,
        ErrorClass::Overloaded | ErrorClass::Transient => StatusCode::SERVICE_UNAVAILABLE,
        ErrorClass::Permanent => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A problem as the caller reads it. `code` is stable; everything else is for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    class: ErrorClass,
    code: &'static str,
    title: &'static str,
    status: StatusCode,
    detail: Option<String>,
    retry_after_seconds: Option<u32>,
    more: Map<String, Value>,
}

impl Problem {
    /// A problem with the status of its class, and `Retry-After` where waiting helps.
    /// `code` is a contract with scripts: `snake_case`, never renamed.
    #[must_use]
    pub fn new(class: ErrorClass, code: &'static str, title: &'static str) -> Self {
        let retry_after_seconds = class.is_retryable().then_some(DEFAULT_RETRY_AFTER_SECONDS);
        let status = status_of(class);
        Self {
            class,
            code,
            title,
            status,
            detail: None,
            retry_after_seconds,
            more: Map::new(),
        }
    }

    /// Converts an error to the problem that the caller reads; the error with its sources is logged.
    ///
    /// The error's own text becomes the detail only where the caller can act on it (caller, missing,
    /// conflict). Otherwise it may reveal internals, and the caller gets code and title only.
    #[must_use]
    pub fn from_error(
        error: &(impl Classified + ?Sized),
        code: &'static str,
        title: &'static str,
    ) -> Self {
        let class = error.class();
        log(error, class, code);
        let problem = Self::new(class, code, title);
        match class {
            ErrorClass::Caller | ErrorClass::Missing | ErrorClass::Conflict => {
                problem.detail(error.to_string())
            }
            _ => problem,
        }
    }

    /// Sets a status other than that of the class, for instance 413 or 415.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Sets the detail: what is wrong with this particular request, in words that the caller may read.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Sets the wait before a retry, in seconds.
    #[must_use]
    pub fn retry_after_seconds(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Adds an extension member (RFC 9457 §3.2). Names that the standard or Forgewire defines are ignored.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: Value) -> Self {
        if !RESERVED.contains(&key) {
            self.more.insert(key.to_owned(), value);
        }
        self
    }

    /// The class, for the metric label.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        self.class
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The document that goes over the wire.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json = self.more.clone();
        json.insert(
            "type".to_owned(),
            format!("urn:forgewire:problem:{}", self.code).into(),
        );
        json.insert("title".to_owned(), self.title.into());
        json.insert("status".to_owned(), self.status.as_u16().into());
        json.insert("code".to_owned(), self.code.into());
        if let Some(detail) = &self.detail {
            json.insert("detail".to_owned(), detail.as_str().into());
        }
        Value::Object(json)
    }
}

/// As clients read it.
impl JsonSchema for Problem {
    fn schema_name() -> Cow<'static, str> {
        "Problem".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "A problem document (RFC 9457). `code` is stable; the rest is for people.",
            "required": ["type", "title", "status", "code"],
            "properties": {
                "type": { "type": "string", "description": "`urn:forgewire:problem:` and the code." },
                "title": { "type": "string" },
                "status": { "type": "integer", "minimum": 400, "maximum": 599 },
                "code": { "type": "string", "pattern": "^[a-z][a-z0-9_-]*$" },
                "detail": { "type": "string", "description": "What is wrong with this request, and the fix." },
            },
        })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.to_json().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Logs an error with its sources: an error that an operator must see has a higher level than a
/// caller's mistake.
pub(crate) fn log(error: &(impl Classified + ?Sized), class: ErrorClass, code: &'static str) {
    let causes = error.source().map(error_chain);
    match class {
        ErrorClass::Permanent => {
            tracing::error!(code, class = class.as_str(), %error, causes, "request failed");
        }
        ErrorClass::Transient | ErrorClass::Overloaded => {
            tracing::warn!(code, class = class.as_str(), %error, causes, "request failed");
        }
        _ => tracing::debug!(code, class = class.as_str(), %error, causes, "request refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[derive(Debug, thiserror::Error)]
    #[error("the store cannot append now")]
    struct Broken(#[source] std::io::Error);

    impl Classified for Broken {
        fn class(&self) -> ErrorClass {
            ErrorClass::Transient
        }
    }

    async fn json(response: Response) -> Value {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn a_problem_is_problem_json_with_a_stable_code() {
        let problem = Problem::new(ErrorClass::Caller, "unknown_filter", "Unknown filter")
            .status(StatusCode::UNPROCESSABLE_ENTITY)
            .detail("no type named isue")
            .with("known", serde_json::json!(["issue"]))
            .with("status", 200.into());
        let response = problem.into_response();
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers()["content-type"], CONTENT_TYPE);
        assert!(!response.headers().contains_key("retry-after"));
        let expected = serde_json::json!({
            "type": "urn:forgewire:problem:unknown_filter", "title": "Unknown filter",
            "status": 422, "code": "unknown_filter", "detail": "no type named isue",
            "known": ["issue"],
        });
        assert_eq!(json(response).await, expected);
    }

    #[test]
    fn where_waiting_helps_the_answer_says_how_long() {
        let statuses = [
            (ErrorClass::Caller, 400, false),
            (ErrorClass::Unauthorized, 401, false),
            (ErrorClass::Missing, 404, false),
            (ErrorClass::Conflict, 409, false),
            (ErrorClass::Overloaded, 503, true),
            (ErrorClass::Transient, 503, true),
            (ErrorClass::Permanent, 500, false),
        ];
        for (class, status, waits) in statuses {
            let response = Problem::new(class, "x", "X").into_response();
            assert_eq!(response.status(), status, "{class:?}");
            assert_eq!(
                response.headers().contains_key("retry-after"),
                waits,
                "{class:?}"
            );
        }
        let slow = Problem::new(ErrorClass::Overloaded, "x", "X").retry_after_seconds(30);
        assert_eq!(slow.into_response().headers()["retry-after"], "30");
    }

    #[tokio::test]
    async fn the_caller_does_not_read_our_insides() {
        let error = Broken(std::io::Error::other("10.0.0.7:6379 refused"));
        let text = json(Problem::from_error(&error, "store", "Try again").into_response()).await;
        assert!(text.get("detail").is_none(), "{text}");
        assert!(!text.to_string().contains("10.0.0.7"));
    }
}
