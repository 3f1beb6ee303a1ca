//! Admits a request: all checks before the signature.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use service_kit::body_encoding::is_encoded;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{config::IngestConfig, error::DeliveryRefusal, limits};

/// A request whose body has arrived; nothing about it has been verified.
#[derive(Debug)]
pub(crate) struct AdmittedRequest {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Its share of the memory budget for bodies, released on drop.
    pub(crate) share: OwnedSemaphorePermit,
}

/// The bounds of bodies.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    max_bytes: usize,
    time: Duration,
    /// One permit per byte.
    budget: Arc<Semaphore>,
}

impl Admission {
    pub(crate) fn new(config: &IngestConfig) -> Self {
        Self {
            max_bytes: config.max_body_bytes,
            time: Duration::from_secs(config.body_timeout_seconds),
            budget: Arc::new(Semaphore::new(limits::BODY_BUDGET_BYTES)),
        }
    }

    /// Reads the body of a request after checking its headers.
    pub(crate) async fn admit(
        &self,
        request: Request<Body>,
    ) -> Result<AdmittedRequest, DeliveryRefusal> {
        let (parts, body) = request.into_parts();
        check_content_type(&parts.headers)?;
        if is_encoded(&parts.headers) {
            return Err(DeliveryRefusal::BodyEncoded);
        }
        if announced_bytes(&parts.headers).is_some_and(|bytes| bytes > self.max_bytes as u64) {
            return Err(self.too_large());
        }
        let (body, share) = timeout(self.time, self.read(body)).await.map_err(|_| {
            DeliveryRefusal::BodyTimeout {
                seconds: self.time.as_secs(),
            }
        })??;
        Ok(AdmittedRequest {
            headers: parts.headers,
            body,
            share,
        })
    }

    fn too_large(&self) -> DeliveryRefusal {
        DeliveryRefusal::BodyTooLarge {
            max_bytes: self.max_bytes,
        }
    }

    async fn read(&self, mut body: Body) -> Result<(Bytes, OwnedSemaphorePermit), DeliveryRefusal> {
        let mut share = self.reserve(limits::MIN_DELIVERY_BYTES)?;
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| DeliveryRefusal::BodyIncomplete)?;
            let Ok(data) = frame.into_data() else {
                continue; // Trailers are ignored.
            };
            let total = bytes.len().saturating_add(data.len());
            if total > self.max_bytes {
                return Err(self.too_large());
            }
            if total > share.num_permits() {
                share.merge(self.reserve(total - share.num_permits())?);
            }
            bytes.extend_from_slice(&data);
        }
        Ok((bytes.freeze(), share))
    }

    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, DeliveryRefusal> {
        let bytes = u32::try_from(bytes).map_err(|_| DeliveryRefusal::Overloaded)?;
        Arc::clone(&self.budget)
            .try_acquire_many_owned(bytes)
            .map_err(|_| DeliveryRefusal::Overloaded)
    }
}

fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn check_content_type(headers: &HeaderMap) -> Result<(), DeliveryRefusal> {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = text.split(';').next().unwrap_or("").trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Err(DeliveryRefusal::FormContentType)
    } else {
        Err(DeliveryRefusal::UnsupportedContentType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use proptest::prelude::*;

    fn admission(max_bytes: usize, budget: usize) -> Admission {
        Admission {
            max_bytes,
            time: Duration::from_secs(10),
            budget: Arc::new(Semaphore::new(budget)),
        }
    }

    fn request(body: Body) -> Request<Body> {
        Request::post("/")
            .header("content-type", "application/json; charset=utf-8")
            .body(body)
            .unwrap()
    }

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<Result<Bytes, std::io::Error>> = sizes
            .iter()
            .map(|n| Ok(Bytes::from(vec![b'x'; *n])))
            .collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_is_cut_off_where_it_grows_too_large() {
        let admission = admission(10, 1 << 20);
        let refused = Err(DeliveryRefusal::BodyTooLarge { max_bytes: 10 });
        let admit = |body| async { admission.admit(request(body)).await.map(|it| it.body.len()) };
        assert_eq!(admit(chunks(&[4, 6])).await, Ok(10));
        assert_eq!(admit(chunks(&[4, 7, 1000])).await, refused);
        let mut announced = request(Body::empty());
        let length = http::HeaderValue::from_static("11");
        announced.headers_mut().insert("content-length", length);
        let answer = admission.admit(announced).await.map(|it| it.body.len());
        assert_eq!(answer, refused);
    }

    #[tokio::test]
    async fn bodies_share_a_budget_and_give_it_back() {
        let admission = admission(1 << 20, 100_000);
        let held = admission.admit(request(chunks(&[90_000]))).await.unwrap();
        let refused = admission.admit(request(chunks(&[1]))).await.unwrap_err();
        assert_eq!(refused, DeliveryRefusal::Overloaded);
        drop(held);
        assert_eq!(admission.budget.available_permits(), 100_000);
        assert!(admission.admit(request(chunks(&[90_000]))).await.is_ok());
        let refused = admission.admit(request(chunks(&[90_000, 20_000]))).await;
        assert_eq!(refused.unwrap_err(), DeliveryRefusal::Overloaded);
        assert_eq!(admission.budget.available_permits(), 100_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_given_up() {
        let stalled = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let refused = admission(10, 1 << 20).admit(request(stalled)).await;
        assert_eq!(
            refused.unwrap_err(),
            DeliveryRefusal::BodyTimeout { seconds: 10 }
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_incomplete() {
        let broken = stream::iter([Ok("{"), Err(std::io::Error::other("reset"))]);
        let refused = admission(10, 1 << 20)
            .admit(request(Body::from_stream(broken)))
            .await;
        assert_eq!(refused.unwrap_err(), DeliveryRefusal::BodyIncomplete);
    }

    proptest! {
        #[test]
        fn only_json_is_taken_and_forms_are_named(text in "[ -~]{0,60}") {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", text.parse().unwrap());
            let json = text.trim_start().to_lowercase().starts_with("application/json");
            prop_assert!(check_content_type(&headers).is_err() || json);
        }
    }
}
