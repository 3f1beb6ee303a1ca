//! `GET /health` on the listeners that clients and GitHub reach.
//!
//! The documents of earlier systems name it there, with statistics. How many events there are, and when, is nothing
//! for strangers: without the right to know it, the answer is the status alone, which a balancer needs. The
//! operator's page is that of the admin listener.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::{Map, Value};

use crate::lifecycle::Lifecycle;

/// Headers with which a proxy passes a request on: its sender is elsewhere.
const FORWARDED: [HeaderName; 5] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-real-ip"),
];

/// Whether no proxy says that it passed the request on.
#[must_use]
pub fn is_direct(headers: &HeaderMap) -> bool {
    !FORWARDED.iter().any(|name| headers.contains_key(name))
}

/// The answer: `healthy` with 200, or `unhealthy` with 503 while the process is not ready; and the detail, if
/// there is any.
#[must_use]
pub fn answer(lifecycle: &Lifecycle, detail: Map<String, Value>) -> Response {
    let (code, status) = match lifecycle.readiness().ready {
        true => (StatusCode::OK, "healthy"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
    };
    let mut body = Map::new();
    body.insert("status".to_owned(), status.into());
    body.extend(detail);
    let uncached = [(header::CACHE_CONTROL, "no-store")];
    (code, uncached, Json(Value::Object(body))).into_response()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[tokio::test]
    async fn what_is_not_ready_is_unhealthy_and_has_the_same_detail() {
        let lifecycle = Lifecycle::new(std::time::Duration::from_secs(1));
        let latch = lifecycle.latch("store");
        let detail = || Map::from_iter([("uptimeSeconds".to_owned(), 7.into())]);
        for (ready, code, status) in [
            (false, StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
            (true, StatusCode::OK, "healthy"),
        ] {
            if ready {
                latch.ready();
            }
            let answer = answer(&lifecycle, detail());
            assert_eq!(answer.status(), code);
            let body = axum::body::to_bytes(answer.into_body(), 1000)
                .await
                .unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                body,
                serde_json::json!({ "status": status, "uptimeSeconds": 7 })
            );
        }
    }

    #[test]
    fn a_request_that_a_proxy_passed_on_is_not_direct() {
        assert!(is_direct(&HeaderMap::new()));
        for name in FORWARDED {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("x"))]);
            assert!(!is_direct(&headers), "{headers:?}");
        }
    }
}
