//! Errors at start ([`IngestBuildError`]) and of one delivery ([`DeliveryRefusal`]).

use std::path::PathBuf;

use axum::response::{IntoResponse, Response};
use event_flow::record::AppendError;
use http::{HeaderValue, StatusCode, header};
use model::{Classified, ErrorClass, JsonFault};
use service_kit::{bodies::BodyRefusal, body_encoding::ACCEPTED_ENCODING, problem::Problem};

use crate::{
    limits,
    signature::SignatureError,
    sources::{SourceConduct, TooManyFailures},
};

/// The reason why the ingest role does not start. The text names the key and never shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum IngestBuildError {
    /// Without a secret anyone could send events.
    #[error(
        "no webhook secret: set ingest.webhook_secrets or ingest.webhook_secret_files to the \
         secret that the webhook has on GitHub"
    )]
    NoSecret,
    /// Anyone could sign with an empty secret.
    #[error("ingest.webhook_secrets[{index}] is empty: remove it or give it a value")]
    EmptySecret {
        /// Index in the list, from 0.
        index: usize,
    },
    /// Too many secrets: each costs every delivery an HMAC.
    #[error(
        "{count} webhook secrets in ingest.webhook_secrets and ingest.webhook_secret_files: use at \
         most {max}",
        max = limits::MAX_SECRETS
    )]
    TooManySecrets {
        /// The number of secrets.
        count: usize,
    },
    /// A file of secrets cannot be read.
    #[error("ingest.webhook_secret_files: cannot read {}", path.display())]
    SecretFile {
        /// Path of the file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// A file of secrets contains none.
    #[error("ingest.webhook_secret_files: {} holds no secret", path.display())]
    SecretFileEmpty {
        /// Path of the file.
        path: PathBuf,
    },
    /// A file is too large to be a file of secrets.
    #[error(
        "ingest.webhook_secret_files: {} is larger than {max} bytes: not a file of secrets",
        path.display(), max = limits::MAX_SECRET_FILE_BYTES
    )]
    SecretFileTooLarge {
        /// Path of the file.
        path: PathBuf,
    },
    /// A value that has no meaning.
    #[error("{key}: {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// The problem, and the fix.
        reason: String,
    },
    /// A value out of range.
    #[error("{key} = {value} is out of range: use 1 to {highest}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// The configured value.
        value: u64,
        /// The largest allowed value.
        highest: u64,
    },
}

impl Classified for IngestBuildError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// The reason why a request is refused: every error answer of the ingest role, each with a stable
/// code.
///
/// The sender reads this text (GitHub shows it in the list of deliveries), so it names the fix and
/// reveals nothing internal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryRefusal {
    /// 404 `no_such_route`: only `/webhooks/github` exists.
    #[error("this listener has one route: POST /webhooks/github")]
    NoSuchRoute,
    /// 405 `method_not_allowed`: deliveries use POST.
    #[error("send deliveries with POST")]
    MethodNotAllowed,
    /// 429 `rate_limited`: too many deliveries from this source have failed their checks. The body is not read.
    #[error(
        "too many deliveries from this address have failed their checks: wait {seconds} s, and give the webhook \
         the secret that this server knows"
    )]
    RateLimited {
        /// Time until the next one is read, in whole seconds.
        seconds: u32,
    },
    /// 415 `unsupported_content_type`: neither JSON nor a form.
    #[error(
        "send the delivery with Content-Type: application/json, or application/x-www-form-urlencoded \
         with the field payload"
    )]
    UnsupportedContentType,
    /// 415 `body_encoded`: the body is compressed.
    #[error(
        "the body has a Content-Encoding: send it as GitHub does, uncompressed and without that header"
    )]
    BodyEncoded,
    /// 413 `body_too_large`: above `ingest.max_body_bytes`.
    #[error("the body is larger than {max_bytes} bytes (ingest.max_body_bytes)")]
    BodyTooLarge {
        /// The bound in bytes.
        max_bytes: usize,
    },
    /// 408 `body_timeout`: the body did not arrive within `ingest.body_timeout_seconds`.
    #[error("the body did not arrive within {seconds} s (ingest.body_timeout_seconds)")]
    BodyTimeout {
        /// The bound in seconds.
        seconds: u64,
    },
    /// 400 `body_incomplete`: the connection broke, or the body's framing is wrong.
    #[error("the body ended early")]
    BodyIncomplete,
    /// 408 `body_stalled`: the body arrived too slowly, or made no progress while another one needed its memory.
    #[error(transparent)]
    BodyStalled(BodyRefusal),
    /// 503 `overloaded`: the bodies in progress use up the memory for bodies.
    #[error(transparent)]
    Overloaded(BodyRefusal),
    /// 401 `signature_missing`: the webhook has no secret.
    #[error("X-Hub-Signature-256 is missing: give the webhook a secret on GitHub")]
    SignatureMissing,
    /// 401 `signature_malformed`: the header is not `sha256=` and 64 hexadecimal digits.
    #[error("X-Hub-Signature-256 is not sha256= and 64 hexadecimal digits")]
    SignatureMalformed,
    /// 401 `signature_invalid`: none of the configured secrets signed this body.
    #[error(
        "the signature does not match the body: this server does not know the webhook's secret"
    )]
    SignatureInvalid,
    /// 400 `header_missing`: names the header.
    #[error("{name} is missing")]
    HeaderMissing {
        /// Name of the header.
        name: &'static str,
    },
    /// 400 `header_invalid`: names the header.
    #[error("{name} is not what GitHub sends: use {expected}")]
    HeaderInvalid {
        /// Name of the header.
        name: &'static str,
        /// The expected value, in words.
        expected: &'static str,
    },
    /// 400 `invalid_form`: the signed body is not a form as GitHub sends it.
    #[error("the body is not a form with one field payload")]
    InvalidForm,
    /// 400 `invalid_json`: the signed payload is not JSON.
    #[error("the payload is not JSON (line {line}, column {column})")]
    InvalidJson {
        /// Line of the syntax error, from 1.
        line: usize,
        /// Column of the syntax error, from 1.
        column: usize,
    },
    /// 400 `unreadable_json`: the signed payload exceeds a limit of what is read as JSON, or its text is broken.
    #[error("the payload {fault}")]
    UnreadableJson {
        /// The limit.
        fault: JsonFault,
    },
    /// 503 `event_log_unavailable`: the event may not be stored. Sending the delivery again is
    /// safe: its id makes it one event.
    #[error("the event could not be stored: send the delivery again, it will not be stored twice")]
    LogUnavailable,
    /// 500 `internal`: a fault in the server.
    #[error("the delivery could not be processed because of a fault in the server")]
    Internal,
}

impl DeliveryRefusal {
    /// The codes of all of them.
    pub(crate) const CODES: [&'static str; 20] = [
        "no_such_route",
        "method_not_allowed",
        "rate_limited",
        "unsupported_content_type",
        "body_encoded",
        "body_too_large",
        "body_timeout",
        "body_incomplete",
        "body_stalled",
        "overloaded",
        "signature_missing",
        "signature_malformed",
        "signature_invalid",
        "header_missing",
        "header_invalid",
        "invalid_form",
        "invalid_json",
        "unreadable_json",
        "event_log_unavailable",
        "internal",
    ];

    /// The stable code, also the metric label: one of [`Self::CODES`].
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchRoute => "no_such_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RateLimited { .. } => "rate_limited",
            Self::UnsupportedContentType => "unsupported_content_type",
            Self::BodyEncoded => "body_encoded",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyTimeout { .. } => "body_timeout",
            Self::BodyIncomplete => "body_incomplete",
            Self::BodyStalled(_) => "body_stalled",
            Self::Overloaded(_) => "overloaded",
            Self::SignatureMissing => "signature_missing",
            Self::SignatureMalformed => "signature_malformed",
            Self::SignatureInvalid => "signature_invalid",
            Self::HeaderMissing { .. } => "header_missing",
            Self::HeaderInvalid { .. } => "header_invalid",
            Self::InvalidForm => "invalid_form",
            Self::InvalidJson { .. } => "invalid_json",
            Self::UnreadableJson { .. } => "unreadable_json",
            Self::LogUnavailable => "event_log_unavailable",
            Self::Internal => "internal",
        }
    }

    /// One of each, in the order of their declaration.
    pub(crate) fn each() -> [Self; Self::CODES.len()] {
        [
            Self::NoSuchRoute,
            Self::MethodNotAllowed,
            Self::RateLimited { seconds: 1 },
            Self::UnsupportedContentType,
            Self::BodyEncoded,
            Self::BodyTooLarge { max_bytes: 1 },
            Self::BodyTimeout { seconds: 1 },
            Self::BodyIncomplete,
            Self::BodyStalled(BodyRefusal::Stalled),
            Self::Overloaded(BodyRefusal::Full),
            Self::SignatureMissing,
            Self::SignatureMalformed,
            Self::SignatureInvalid,
            Self::HeaderMissing { name: "x" },
            Self::HeaderInvalid {
                name: "x",
                expected: "y",
            },
            Self::InvalidForm,
            Self::InvalidJson { line: 1, column: 1 },
            Self::UnreadableJson {
                fault: JsonFault::TooDeep,
            },
            Self::LogUnavailable,
            Self::Internal,
        ]
    }

    /// What it says about its sender.
    pub(crate) const fn conduct(&self) -> SourceConduct {
        match self {
            Self::SignatureMissing
            | Self::SignatureMalformed
            | Self::SignatureInvalid
            | Self::UnsupportedContentType
            | Self::BodyEncoded
            | Self::BodyTooLarge { .. }
            | Self::BodyIncomplete
            | Self::BodyTimeout { .. }
            | Self::BodyStalled(_) => SourceConduct::Failed,
            // These come after the signature.
            Self::HeaderMissing { .. }
            | Self::HeaderInvalid { .. }
            | Self::InvalidForm
            | Self::InvalidJson { .. }
            | Self::UnreadableJson { .. }
            | Self::LogUnavailable => SourceConduct::Signed,
            _ => SourceConduct::Unknown,
        }
    }

    /// The kinds of refusals in the audit log.
    pub(crate) const AUDIT_KINDS: &'static [&'static str] =
        &["signature", "type", "size", "rate", "body"];

    /// Its kind in the audit log, if it belongs there.
    pub(crate) const fn audit_kind(&self) -> Option<&'static str> {
        match self {
            Self::SignatureMissing | Self::SignatureMalformed | Self::SignatureInvalid => {
                Some("signature")
            }
            Self::UnsupportedContentType | Self::BodyEncoded => Some("type"),
            Self::BodyTooLarge { .. } => Some("size"),
            Self::RateLimited { .. } => Some("rate"),
            // Of a body without its end no signature can be checked.
            Self::BodyIncomplete
            | Self::BodyTimeout { .. }
            | Self::BodyStalled(_)
            | Self::Overloaded(_) => Some("body"),
            _ => None,
        }
    }

    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::UnsupportedContentType | Self::BodyEncoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout { .. } | Self::BodyStalled(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Overloaded(_) | Self::LogUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::SignatureMissing | Self::SignatureMalformed | Self::SignatureInvalid => {
                StatusCode::UNAUTHORIZED
            }
            Self::BodyIncomplete
            | Self::HeaderMissing { .. }
            | Self::HeaderInvalid { .. }
            | Self::InvalidForm
            | Self::InvalidJson { .. }
            | Self::UnreadableJson { .. } => StatusCode::BAD_REQUEST,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn title(&self) -> &'static str {
        match self {
            Self::NoSuchRoute => "No such route",
            Self::MethodNotAllowed => "Method not allowed",
            Self::RateLimited { .. } => "Too many failures",
            Self::UnsupportedContentType => "Unsupported content type",
            Self::BodyEncoded => "Compressed body",
            Self::BodyTooLarge { .. } => "Body too large",
            Self::BodyTimeout { .. } | Self::BodyStalled(_) => "Body took too long",
            Self::BodyIncomplete => "Incomplete body",
            Self::Overloaded(_) => "Overloaded",
            Self::SignatureMissing | Self::SignatureMalformed | Self::SignatureInvalid => {
                "Signature not accepted"
            }
            Self::HeaderMissing { .. } => "Missing header",
            Self::HeaderInvalid { .. } => "Invalid header",
            Self::InvalidForm => "Invalid form",
            Self::InvalidJson { .. } => "Invalid JSON",
            Self::UnreadableJson { .. } => "Unreadable JSON",
            Self::LogUnavailable => "Event log unavailable",
            Self::Internal => "Internal error",
        }
    }
}

impl Classified for DeliveryRefusal {
    fn class(&self) -> ErrorClass {
        match self {
            Self::NoSuchRoute => ErrorClass::Missing,
            Self::SignatureMissing | Self::SignatureMalformed | Self::SignatureInvalid => {
                ErrorClass::Unauthorized
            }
            Self::Overloaded(_) | Self::RateLimited { .. } => ErrorClass::Overloaded,
            Self::LogUnavailable => ErrorClass::Transient,
            Self::Internal => ErrorClass::Permanent,
            _ => ErrorClass::Caller,
        }
    }
}

impl From<TooManyFailures> for DeliveryRefusal {
    fn from(failures: TooManyFailures) -> Self {
        // Rounded up, so that the next attempt is not too early.
        let seconds = failures.wait.as_millis().div_ceil(1000).max(1);
        Self::RateLimited {
            seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
        }
    }
}

impl From<serde_json::Error> for DeliveryRefusal {
    /// The refusal of a payload that was not read as JSON.
    fn from(error: serde_json::Error) -> Self {
        match JsonFault::of(&error) {
            Some(fault) if !fault.is_of_grammar() => Self::UnreadableJson { fault },
            _ => Self::InvalidJson {
                line: error.line(),
                column: error.column(),
            },
        }
    }
}

impl From<SignatureError> for DeliveryRefusal {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::Malformed => Self::SignatureMalformed,
            SignatureError::Wrong => Self::SignatureInvalid,
        }
    }
}

impl From<&AppendError> for DeliveryRefusal {
    /// The refusal that the sender receives for a failed append.
    fn from(error: &AppendError) -> Self {
        match error {
            AppendError::Log(_) | AppendError::Timeout(_) | AppendError::Failing { .. } => {
                Self::LogUnavailable
            }
            AppendError::ContractBroken { .. } => Self::Internal,
        }
    }
}

impl IntoResponse for DeliveryRefusal {
    fn into_response(self) -> Response {
        let mut problem = Problem::new(self.class(), self.code(), self.title())
            .status(self.status())
            .detail(self.to_string());
        if self.class().is_retryable() {
            let seconds = match self {
                Self::RateLimited { seconds } => seconds,
                _ => limits::RETRY_AFTER_SECONDS,
            };
            problem = problem.retry_after_seconds(seconds);
        }
        let mut response = problem.into_response();
        let headers = response.headers_mut();
        match self {
            Self::MethodNotAllowed => {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            Self::BodyEncoded => {
                headers.insert(header::ACCEPT_ENCODING, ACCEPTED_ENCODING);
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_counter_from_the_start() {
        let codes = DeliveryRefusal::each().map(|refusal| refusal.code());
        assert_eq!(codes, DeliveryRefusal::CODES);
        let mut registry = service_kit::metrics::MetricsRegistry::default();
        let _metrics = crate::metrics::IngestMetrics::new(&mut registry, &[]);
        let text = service_kit::metrics::encode(&registry).unwrap();
        for code in DeliveryRefusal::CODES
            .into_iter()
            .chain(["accepted", "deduplicated"])
        {
            let line = format!("forgewire_ingest_deliveries_total{{outcome=\"{code}\"}} 0");
            assert!(text.contains(&line), "{line}: {text}");
        }
        assert!(text.contains("forgewire_ingest_events_total{resource_type=\"issue\"} 0"));
    }
}
