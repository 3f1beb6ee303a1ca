//! An edge: the production follower and hub, without HTTP.

use std::sync::Arc;

use access::Principal;
use anyhow::Result;
use bytes::Bytes;
use event_flow::follow::{FollowOptions, follow};
use fanout::{
    bounds::{MaxAge, StreamBound, StreamBounds},
    feed::{Feed, OpeningFrames},
    format::StreamFormat,
    hub::{Hub, HubParts, StreamRequest, StreamStart},
    interest::StreamInterest,
    lag::LagLimits,
    metrics::{FanoutMetrics, StreamKind},
    news::NewsSelection,
};
use model::{Cursor, CursorScope, FilterSet, PrincipalId, RandomIds, SystemClock};
use ports::{Bus, EventLog};
use service_kit::metrics::MetricsRegistry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const BOUNDS: fn() -> StreamBounds = || StreamBounds {
    max_streams: 100,
    bound: StreamBound::Configured,
    age: MaxAge::new(0, 15),
    lag: LagLimits::default(),
};

/// A running edge. Dropping it kills it.
pub(crate) struct SimulatedEdge {
    hub: Arc<Hub>,
    follower: JoinHandle<()>,
}

impl Drop for SimulatedEdge {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl SimulatedEdge {
    pub(crate) fn start(log: Arc<dyn EventLog>, bus: Arc<dyn Bus>) -> Self {
        let hub = Arc::new(Hub::new(HubParts {
            log: Arc::clone(&log),
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            metrics: FanoutMetrics::new(&mut MetricsRegistry::default()),
            bounds: BOUNDS(),
            draining: CancellationToken::new(),
        }));
        let sink = {
            let hub = Arc::clone(&hub);
            move |followed| hub.apply(followed)
        };
        let options = FollowOptions::default();
        let following = follow(log, bus, None, options, CancellationToken::new(), sink);
        Self {
            hub,
            follower: tokio::spawn(following),
        }
    }

    /// Opens `GET /events/stream` after `last_id`, as the edge's API does.
    pub(crate) async fn open(&self, filters: FilterSet, last_id: Option<&str>) -> Result<Feed> {
        let scope = CursorScope::events(&PrincipalId::anonymous());
        let begin = match last_id {
            Some(id) => StreamStart::After(Cursor::parse(id, scope)?),
            None => StreamStart::Head,
        };
        let open = StreamRequest {
            kind: StreamKind::Events,
            format: StreamFormat::Events,
            scope,
            session: None,
            principal: Arc::new(Principal::anonymous()),
            interest: StreamInterest::events(&filters),
            begin,
            wants: NewsSelection::default(),
            ages: true,
        };
        let head = |reader, position| {
            let cursor = self.hub.cursor(reader, position);
            let frames = format!("id: {cursor}\nevent: connected\ndata: {{}}\n\n");
            OpeningFrames {
                frames: Bytes::from(frames),
                has_event_id: true,
            }
        };
        Ok(self.hub.open(open, head).await?)
    }
}
