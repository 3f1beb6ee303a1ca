//! The HTTP side: the only place that uses axum.
//!
//! The checks, in this order: method and route, content type, announced size, body (size, time,
//! memory), signature, GitHub's headers, JSON. Nothing is parsed or looked up before the signature
//! is verified, so a stranger learns nothing about known deliveries.

mod admit;
mod answer;

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use http::Request;
use model::IdSource;
use service_kit::trace::{self, Trace};

pub(crate) use admit::{Admission, AdmittedRequest};
pub(crate) use answer::DeliveryAnswer;

use crate::{
    delivery::{Deliveries, DeliveryContext},
    error::DeliveryRefusal,
    examine::DeliveryDescription,
};

/// The path for GitHub's webhooks.
pub const WEBHOOK_PATH: &str = "/webhooks/github";

/// State shared by the handlers.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) admission: Admission,
    pub(crate) deliveries: Arc<Deliveries>,
}

pub(crate) fn router(api: Api, ids: Arc<dyn IdSource>) -> Router {
    let metrics = api.deliveries.metrics.http.clone();
    Router::new()
        .route(
            WEBHOOK_PATH,
            post(receive).fallback(async || DeliveryRefusal::MethodNotAllowed),
        )
        .fallback(async || DeliveryRefusal::NoSuchRoute)
        .layer(trace::layer(ids, metrics))
        .with_state(api)
}

async fn receive(State(api): State<Api>, Trace(trace): Trace, request: Request<Body>) -> Response {
    let context = DeliveryContext {
        description: DeliveryDescription::of(request.headers()),
        trace,
        started: Instant::now(),
    };
    let answer = match api.admission.admit(request).await {
        Ok(admitted) => api.deliveries.process(admitted, context).await,
        Err(refusal) => {
            let answer = DeliveryAnswer::Refused(refusal);
            api.deliveries.report(&answer, &context);
            answer
        }
    };
    answer.into_response()
}
