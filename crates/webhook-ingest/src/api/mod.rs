//! The HTTP side: the only place that uses axum.
//!
//! The checks, in this order: method and route, failures of the source, content type, announced size, body (size, time,
//! memory), signature, GitHub's headers, form, JSON. Nothing is parsed or looked up before the signature
//! is verified, so a stranger learns nothing about known deliveries.

mod admit;
mod answer;
mod described;
mod health;

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{Request, header};
use model::{Classified, IdSource};
use serde_json::Value;
use service_kit::{
    bodies::BodySender,
    openapi::{self, DescribeRoute, OPENAPI_PATH},
    problem::Problem,
    proxies::{self, TrustedProxies},
    trace::{self, Trace},
};

pub(crate) use admit::{Admission, AdmittedRequest};
pub(crate) use answer::DeliveryAnswer;
pub(crate) use health::{HEALTH_PATH, IngestHealthPage};

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

/// The routes, with their descriptions.
const ROUTES: [(&str, DescribeRoute); 3] = [
    (WEBHOOK_PATH, described::receive),
    (HEALTH_PATH, described::health),
    (OPENAPI_PATH, openapi::describe_document),
];

/// Their paths.
pub(crate) const PATHS: [&str; ROUTES.len()] = [ROUTES[0].0, ROUTES[1].0, ROUTES[2].0];

/// The OpenAPI document of the listener.
#[must_use]
pub fn openapi_document() -> Value {
    openapi::document(&described::HEAD, &ROUTES)
}

pub(crate) fn router(
    api: Api,
    health: Arc<IngestHealthPage>,
    ids: Arc<dyn IdSource>,
    proxies: &TrustedProxies,
) -> Router {
    let metrics = api.deliveries.metrics.http.clone();
    let document = Bytes::from(openapi_document().to_string());
    let json = [(header::CONTENT_TYPE, "application/json")];
    let document = get(move || std::future::ready((json, document.clone())));
    let routes = Router::new()
        .route(
            WEBHOOK_PATH,
            post(receive).fallback(async || DeliveryRefusal::MethodNotAllowed),
        )
        .route(HEALTH_PATH, get(health::page).with_state(health))
        .route(OPENAPI_PATH, document)
        .method_not_allowed_fallback(other_method)
        .fallback(async || DeliveryRefusal::NoSuchRoute)
        .layer(trace::layer(ids, metrics))
        .with_state(api);
    proxies::layer(routes, proxies)
}

/// 405 of the routes that are read; the header `Allow` lists their methods.
async fn other_method() -> Problem {
    let refusal = DeliveryRefusal::MethodNotAllowed;
    Problem::new(refusal.class(), refusal.code(), "Method not allowed")
        .status(refusal.status())
        .detail("use one of the methods in the header Allow")
}

async fn receive(State(api): State<Api>, Trace(trace): Trace, request: Request<Body>) -> Response {
    // GitHub has many addresses, and no name before its signature is verified.
    let sender = BodySender::of_address(request.extensions());
    let context = DeliveryContext {
        description: DeliveryDescription::of(request.headers()),
        sender: sender.clone(),
        trace,
        started: Instant::now(),
    };
    let admitted = match api.deliveries.sources.check(&sender) {
        Ok(()) => api.admission.admit(request, sender).await,
        Err(failures) => Err(failures.into()),
    };
    let answer = match admitted {
        Ok(admitted) => api.deliveries.process(admitted, context).await,
        Err(refusal) => {
            let answer = DeliveryAnswer::Refused(refusal);
            api.deliveries.report(&answer, &context);
            answer
        }
    };
    answer.into_response()
}
