//! Compresses JSON answers for clients that accept gzip. See ADR 007.
//!
//! An answer whose bytes are all known is compressed whole, in turns of its principal and within a bound on how many
//! are at once; beyond it, it is sent as it is. Streams never pass here: only answers that `answers::json` marks.

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use super::answer_body;
use crate::{
    answer_budget::AnswerBytes,
    compression::{AnswerCompression, compressed},
    limits::MIN_COMPRESSED_BYTES,
};

const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const VARY_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// The mark of a JSON answer, in its response's extensions.
#[derive(Debug, Clone)]
pub(super) struct CompressibleAnswer(pub(super) AnswerBytes);

/// Whether a client accepts gzip.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = values.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    codings.any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_refused = parts.any(|parameter| {
            let weight = parameter.to_ascii_lowercase();
            weight
                .strip_prefix("q=")
                .is_some_and(|weight| weight.trim().parse().is_ok_and(|weight: f32| weight <= 0.0))
        });
        (name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip")) && !is_refused
    })
}

/// The layer around all routes with JSON answers.
pub(super) async fn compress(
    State(compression): State<AnswerCompression>,
    request: Request,
    next: Next,
) -> Response {
    let is_head = request.method() == Method::HEAD;
    let accepts = accepts_gzip(request.headers());
    let mut response = next.run(request).await;
    let marked = response.extensions_mut().remove::<CompressibleAnswer>();
    let Some(CompressibleAnswer(answer)) = marked else {
        return response;
    };
    if is_head || !compression.is_on() || answer.len() < MIN_COMPRESSED_BYTES {
        return response;
    }
    response.headers_mut().append(header::VARY, VARY_ENCODING);
    if accepts && let Some(compressed) = compression.compress(answer.bytes()).await {
        *response.body_mut() = answer_body::body(answer.map(|_| compressed));
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_ENCODING, GZIP);
    }
    response
}

/// A JSON document that never changes, in both forms.
#[derive(Debug, Clone)]
pub(super) struct FixedDocument {
    plain: Bytes,
    gzip: Bytes,
}

impl FixedDocument {
    pub(super) fn new(plain: Bytes) -> Self {
        let gzip = compressed(&plain);
        Self { plain, gzip }
    }

    pub(super) fn answer(&self, headers: &HeaderMap) -> Response {
        let json = HeaderValue::from_static("application/json");
        let head = [(header::CONTENT_TYPE, json), (header::VARY, VARY_ENCODING)];
        match accepts_gzip(headers) {
            true => {
                let body = Body::from(self.gzip.clone());
                (head, [(header::CONTENT_ENCODING, GZIP)], body).into_response()
            }
            false => (head, Body::from(self.plain.clone())).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
        }
        accepts_gzip(&headers)
    }

    #[test]
    fn a_client_accepts_gzip_by_its_name_unless_it_says_that_it_does_not() {
        for good in [
            &["gzip"][..],
            &["br, GZIP;q=0.5"],
            &["deflate", "x-gzip"],
            &["gzip; q=1.000, identity"],
        ] {
            assert!(accepts(good), "{good:?}");
        }
        for bad in [
            &[][..],
            &["identity"],
            &["br"],
            &["gzip;q=0"],
            &["gzip; Q=0.000"],
            &["gzipx"],
        ] {
            assert!(!accepts(bad), "{bad:?}");
        }
    }
}
