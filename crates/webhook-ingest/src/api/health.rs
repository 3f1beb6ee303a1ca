//! `GET /health`: the status of the role for everybody, and statistics for this machine alone.
//!
//! The listener has no authentication, because GitHub's deliveries are signed, and it usually stands behind a proxy
//! that the internet reaches. So the detail is only for requests to a listener on loopback, for a name of this
//! machine, that no proxy passed on.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{Request, State},
    response::Response,
};
use event_flow::statistics::LogStatisticsReader;
use serde_json::{Map, Value, json};
use service_kit::{hosts::AllowedHosts, lifecycle::Lifecycle, public_health};

use crate::delivery::Deliveries;

/// The path.
pub(crate) const HEALTH_PATH: &str = "/health";

/// What the page shows.
#[derive(Debug)]
pub(crate) struct IngestHealthPage {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) log: LogStatisticsReader,
    pub(crate) started: Instant,
    /// The configured port; 0 if the system picked one.
    pub(crate) port: u16,
    pub(crate) is_loopback: bool,
}

impl IngestHealthPage {
    fn is_for(&self, request: &Request) -> bool {
        let this_machine = AllowedHosts::new([]);
        let (uri, headers) = (request.uri(), request.headers());
        self.is_loopback
            && this_machine.foreign(uri, headers).is_none()
            && public_health::is_direct(headers)
    }

    async fn detail(&self) -> Map<String, Value> {
        let log = self.log.read().await;
        let port = Some(self.port).filter(|port| *port != 0);
        let in_progress = self.deliveries.in_progress.len();
        let detail = json!({
            "uptimeSeconds": self.started.elapsed().as_secs(),
            "server": { "running": true, "port": port, "connections": in_progress },
            "events": log.map(|log| log.to_json(0)),
        });
        match detail {
            Value::Object(detail) => detail,
            _ => Map::new(),
        }
    }
}

pub(super) async fn page(State(page): State<Arc<IngestHealthPage>>, request: Request) -> Response {
    let detail = match page.is_for(&request) {
        true => page.detail().await,
        false => Map::new(),
    };
    public_health::answer(&page.lifecycle, detail)
}
