//! The traces of events that a stream delivers.

use instruments::testing;
use model::TraceContext;
use ports::EventLog;
use service_kit::metrics::MetricsRegistry;

use super::{super::super::ring::Ring, client::over_both, *};
use crate::metrics::FanoutMetrics;

over_both! {
    the_exemplar_of_a_latency_names_the_trace_of_the_event_that_was_measured,
}

/// As [`happen`], for an event of a delivery in this trace.
fn happen_in(log: &GatedLog, hub: &Hub, sequence: u64, is_recorded: bool) -> String {
    let mut event = fixture::event(sequence, "a", 0);
    let flags = u8::from(is_recorded);
    let header = format!("00-{sequence:032x}-{sequence:016x}-{flags:02x}");
    event.item.trace = TraceContext::parse(&header);
    log.push(event.clone());
    hub.apply(event_flow::follow::Followed::Events(vec![event]));
    format!("{sequence:032x}")
}

/// A hub at position 5 of its log, and its metrics.
fn measured_hub(log: &Arc<GatedLog>) -> (Arc<Hub>, MetricsRegistry) {
    let mut registry = MetricsRegistry::default();
    let metrics = FanoutMetrics::new(&mut registry);
    let of_hub: Arc<dyn EventLog> = Arc::<GatedLog>::clone(log);
    let parts = fixture::parts(of_hub, metrics, fixture::bounds(2));
    let hub = Arc::new(Hub::with_ring(Ring::new(100, 1 << 20), parts));
    hub.apply(fixture::started(fixture::EPOCH, 5));
    (hub, registry)
}

fn only_a() -> StreamInterest {
    fixture::interest(0, &[("a", 0)], &[])
}

async fn the_exemplar_of_a_latency_names_the_trace_of_the_event_that_was_measured(over: Over) {
    let (recorder, spans) = testing::recorder(testing::ALL_REQUESTS);
    let _recording = tracing::subscriber::set_default(recorder);
    let log = GatedLog::open();
    let (hub, registry) = measured_hub(&log);
    let mut client = FeedClient::open(over, &hub, only_a(), StreamStart::Head).await;
    client.drain().await;
    let exemplars = || {
        let text = registry.open_metrics().unwrap();
        let lines = text.lines();
        let of_latency = lines.filter(|line| line.starts_with("forgewire_edge_delivery_latency"));
        let traces = of_latency.filter_map(|line| line.split_once("trace_id=\""));
        let traces = traces.map(|(_, rest)| rest.split('"').next().unwrap().to_owned());
        traces.collect::<Vec<_>>()
    };
    // The newest event of what is sent at once is measured, and is not recorded.
    happen_in(&log, &hub, 6, true);
    happen_in(&log, &hub, 7, false);
    client.drain().await;
    assert!(exemplars().is_empty(), "{:?}", exemplars());
    happen_in(&log, &hub, 8, true);
    let newest = happen_in(&log, &hub, 9, true);
    client.drain().await;
    assert_eq!(exemplars(), [newest]);
    assert_eq!(client.sequences(), [6, 7, 8, 9]);
    assert_eq!(spans.names(), ["sse write"; 3]);
}

#[tokio::test(start_paused = true)]
async fn the_span_of_a_write_ends_when_the_socket_has_taken_the_event() {
    let (recorder, spans) = testing::recorder(testing::ALL_REQUESTS);
    let _recording = tracing::subscriber::set_default(recorder);
    let log = GatedLog::open();
    let (hub, _registry) = measured_hub(&log);
    let over = Over::Socket { room: 0 };
    let mut client = FeedClient::open(over, &hub, only_a(), StreamStart::Head).await;
    for sequence in 6..=8 {
        happen_in(&log, &hub, sequence, true);
    }
    client.drain().await;
    assert!(spans.names().is_empty(), "nothing is sent yet");
    // Each of them fills the socket; the rest is offered again.
    for _ in 0..1000 {
        client.make_room(64);
        client.drain().await;
    }
    assert_eq!(client.sequences(), [6, 7, 8]);
    assert_eq!(spans.names(), ["sse write"; 3]);
}
