//! Admits a request: all checks before the signature.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request};
use service_kit::{
    bodies::{BodyBounds, BodyBudget, BodyRefusal, BodySender, BodyShare, HeldBody},
    body_encoding::is_encoded,
};

use crate::{config::IngestConfig, error::DeliveryRefusal, form::BodyForm, limits};

/// A request whose body has arrived; nothing about it has been verified.
#[derive(Debug)]
pub(crate) struct AdmittedRequest {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The memory that the body holds, released on drop.
    pub(crate) share: Arc<BodyShare>,
}

/// The bounds of bodies.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    bounds: BodyBounds,
    budget: Arc<BodyBudget>,
}

impl Admission {
    pub(crate) fn new(config: &IngestConfig, budget: Arc<BodyBudget>) -> Self {
        Self {
            bounds: BodyBounds {
                max_bytes: config.max_body_bytes,
                min_bytes: limits::MIN_DELIVERY_BYTES,
                timeout: Duration::from_secs(config.body_timeout_seconds),
            },
            budget,
        }
    }

    /// Reads the body of a request of this sender, after checking its headers.
    pub(crate) async fn admit(
        &self,
        request: Request<Body>,
        sender: BodySender,
    ) -> Result<AdmittedRequest, DeliveryRefusal> {
        let (parts, body) = request.into_parts();
        check_content_type(&parts.headers)?;
        if is_encoded(&parts.headers) {
            return Err(DeliveryRefusal::BodyEncoded);
        }
        let read = self.budget.read(&parts.headers, body, sender, &self.bounds);
        let HeldBody { bytes, share } = read.await?;
        Ok(AdmittedRequest {
            headers: parts.headers,
            body: bytes,
            share,
        })
    }
}

impl From<BodyRefusal> for DeliveryRefusal {
    fn from(refusal: BodyRefusal) -> Self {
        match refusal {
            BodyRefusal::TooLarge { max_bytes } => Self::BodyTooLarge { max_bytes },
            BodyRefusal::Incomplete => Self::BodyIncomplete,
            BodyRefusal::TimedOut { seconds } => Self::BodyTimeout { seconds },
            slow @ (BodyRefusal::TooSlow | BodyRefusal::Stalled) => Self::BodyStalled(slow),
            full @ (BodyRefusal::Share | BodyRefusal::Full) => Self::Overloaded(full),
        }
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), DeliveryRefusal> {
    let form = BodyForm::of(headers);
    form.map(drop)
        .ok_or(DeliveryRefusal::UnsupportedContentType)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use proptest::prelude::*;
    use service_kit::{bodies::BudgetSizes, metrics::MetricsRegistry};

    fn admission(max_bytes: usize, whole: usize) -> Admission {
        let sizes = BudgetSizes {
            whole,
            small_part: 0,
            small_body: usize::MAX,
        };
        let config = IngestConfig {
            max_body_bytes: max_bytes,
            ..IngestConfig::default()
        };
        let budget = BodyBudget::with_sizes(sizes, &mut MetricsRegistry::default());
        Admission::new(&config, budget)
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
        let admit = |body| async {
            admission
                .admit(request(body), BodySender::Unknown)
                .await
                .map(|it| it.body.len())
        };
        assert_eq!(admit(chunks(&[4, 6])).await, Ok(10));
        assert_eq!(admit(chunks(&[4, 7, 1000])).await, refused);
        let mut announced = request(Body::empty());
        let length = http::HeaderValue::from_static("11");
        announced.headers_mut().insert("content-length", length);
        let answer = admission
            .admit(announced, BodySender::Unknown)
            .await
            .map(|it| it.body.len());
        assert_eq!(answer, refused);
    }

    #[tokio::test]
    async fn bodies_share_a_budget_and_give_it_back() {
        let admission = admission(1 << 20, 100_000);
        let held = admission
            .admit(request(chunks(&[90_000])), BodySender::Unknown)
            .await
            .unwrap();
        let refused = admission
            .admit(request(chunks(&[1])), BodySender::Unknown)
            .await
            .unwrap_err();
        assert_eq!(refused, DeliveryRefusal::Overloaded(BodyRefusal::Full));
        drop(held);
        assert_eq!(admission.budget.held_bytes(), 0);
        assert!(
            admission
                .admit(request(chunks(&[90_000])), BodySender::Unknown)
                .await
                .is_ok()
        );
        let refused = admission
            .admit(request(chunks(&[90_000, 20_000])), BodySender::Unknown)
            .await;
        let full = DeliveryRefusal::Overloaded(BodyRefusal::Full);
        assert_eq!(refused.unwrap_err(), full);
        assert_eq!(admission.budget.held_bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_given_up() {
        let stalled = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let refused = admission(10, 1 << 20)
            .admit(request(stalled), BodySender::Unknown)
            .await;
        assert_eq!(
            refused.unwrap_err(),
            DeliveryRefusal::BodyTimeout { seconds: 10 }
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_incomplete() {
        let broken = stream::iter([Ok("{"), Err(std::io::Error::other("reset"))]);
        let refused = admission(10, 1 << 20)
            .admit(request(Body::from_stream(broken)), BodySender::Unknown)
            .await;
        assert_eq!(refused.unwrap_err(), DeliveryRefusal::BodyIncomplete);
    }

    proptest! {
        #[test]
        fn only_json_and_forms_are_taken(
            start in prop::sample::select(vec!["", "application/json", " Application/X-WWW-form-urlencoded"]),
            rest in "[ -~]{0,60}",
        ) {
            let mut headers = HeaderMap::new();
            let text = format!("{start}{rest}");
            headers.insert("content-type", text.parse().unwrap());
            let media_type = text.split(';').next().unwrap_or_default().trim().to_lowercase();
            let is_known =
                ["application/json", "application/x-www-form-urlencoded"].contains(&&*media_type);
            prop_assert_eq!(check_content_type(&headers).is_ok(), is_known);
        }
    }
}
