//! The exporter against a real receiver, on both protocols, and against collectors with faults.

#![allow(clippy::unwrap_used, reason = "a test panics where something is wrong")]

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use instruments::{
    SpanName, TraceSpan, latency::LatencyHistogram, recording::SamplingPolicy,
    registry::MetricsRegistry,
};
use model::RandomIds;
use otlp_export::{OtlpExporter, OtlpProtocol, OtlpSettings};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use testkit::otlp::{BrokenCollector, CollectorFault, OtlpCollector};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{Layer, filter::LevelFilter, fmt, layer::SubscriberExt};

const PROTOCOLS: [OtlpProtocol; 2] = [OtlpProtocol::Grpc, OtlpProtocol::Http];
/// Longer than any test: an export that ends did not wait for it.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3600);
/// Longest wait of a test.
const DEADLINE: Duration = Duration::from_secs(20);

fn settings(endpoint: &str, protocol: OtlpProtocol) -> OtlpSettings {
    OtlpSettings {
        endpoint: endpoint.to_owned(),
        protocol,
        headers: vec![("authorization".to_owned(), "Bearer t0ken".to_owned())],
        resource: vec![
            ("service.name".to_owned(), "forgewire".to_owned()),
            ("forgewire.roles".to_owned(), "edge".to_owned()),
        ],
        policy: SamplingPolicy {
            ratio: 1.0,
            follows_clients: false,
        },
        queue_spans: 100,
        timeout: EXPORT_TIMEOUT,
        metrics_interval: None,
    }
}

/// A process that records: its subscriber, metrics and exporter.
struct RecordingProcess {
    registry: Arc<MetricsRegistry>,
    exporter: Option<OtlpExporter>,
    closed: CancellationToken,
    _recording: DefaultGuard,
}

impl RecordingProcess {
    fn open(settings: OtlpSettings, register: impl FnOnce(&mut MetricsRegistry)) -> Self {
        let (layers, exporter) = otlp_export::open(settings).unwrap();
        let subscriber = tracing_subscriber::registry().with(layers);
        let mut registry = MetricsRegistry::default();
        exporter.register(&mut registry);
        register(&mut registry);
        Self {
            registry: Arc::new(registry),
            exporter: Some(exporter),
            closed: CancellationToken::new(),
            _recording: tracing::subscriber::set_default(subscriber),
        }
    }

    fn start(&mut self) -> JoinHandle<()> {
        let exporter = self.exporter.take().unwrap();
        let exporting = exporter.start(Arc::clone(&self.registry), self.closed.clone());
        tokio::spawn(exporting.unwrap())
    }

    /// Spans by their outcome, of the process's own metrics.
    fn outcomes(&self) -> BTreeMap<String, u64> {
        let text = self.registry.open_metrics().unwrap();
        for outcome in ["exported", "failed"] {
            let series = format!("forgewire_otlp_metric_exports_total{{outcome=\"{outcome}\"}} ");
            assert!(text.contains(&series), "it is there from the start: {text}");
        }
        let lines = text.lines();
        let samples =
            lines.filter_map(|line| line.strip_prefix("forgewire_otlp_spans_total{outcome=\""));
        samples
            .map(|sample| {
                let (outcome, count) = sample.split_once("\"} ").unwrap();
                (outcome.to_owned(), count.parse().unwrap())
            })
            .collect()
    }
}

fn record(spans: usize) {
    for _ in 0..spans {
        drop(TraceSpan::of_request(
            SpanName::HttpRequest,
            None,
            &RandomIds,
        ));
    }
}

#[tokio::test]
async fn spans_arrive_with_their_process_and_the_headers_of_the_settings() {
    for protocol in PROTOCOLS {
        let collector = OtlpCollector::start().await.unwrap();
        let endpoint = endpoint(&collector, protocol);
        let mut process = RecordingProcess::open(settings(endpoint, protocol), |_| {});
        let exporting = process.start();
        let (request, context) = TraceSpan::of_request(SpanName::HttpRequest, None, &RandomIds);
        request.rename(|| "POST /webhooks/github".to_owned());
        let append = TraceSpan::child(SpanName::Append, Some(context));
        append.set("forgewire.events", 3);
        append.fail_as("transient");
        drop((append, request));
        assert!(collector.until(|found| found.spans().len() == 2).await);
        let spans = collector.spans();
        assert_eq!(spans[0].name, "append");
        assert_eq!(spans[0].parent_id, spans[1].span_id);
        assert_eq!(spans[0].attributes["forgewire.events"], "3");
        assert!(spans[0].is_error && !spans[1].is_error);
        assert_eq!(spans[1].name, "POST /webhooks/github");
        assert_eq!(spans[1].kind, "server");
        assert_eq!(spans[1].trace_id, context.trace.to_string());
        assert_eq!(spans[1].resource["service.name"], "forgewire");
        assert_eq!(spans[1].roles(), "edge");
        assert_eq!(collector.header("authorization"), ["Bearer t0ken"]);
        // The end brings what is still in the queue.
        record(3);
        process.closed.cancel();
        timeout(DEADLINE, exporting).await.unwrap().unwrap();
        assert_eq!(collector.spans().len(), 5);
        assert_eq!(process.outcomes()["exported"], 5);
    }
}

#[tokio::test]
async fn all_metrics_arrive_at_their_interval_and_at_the_end() {
    for protocol in PROTOCOLS {
        let collector = OtlpCollector::start().await.unwrap();
        let settings = OtlpSettings {
            metrics_interval: Some(Duration::from_millis(50)),
            ..settings(endpoint(&collector, protocol), protocol)
        };
        let latency = LatencyHistogram::default();
        let (counter, gauge) = (Counter::<u64>::default(), Gauge::<i64>::default());
        let mut process = RecordingProcess::open(settings, |registry| {
            registry.register("forgewire_test_seconds", "Latency", latency.clone());
            registry.register("forgewire_test_things", "Things", counter.clone());
            registry.register("forgewire_test_bytes", "Bytes", gauge.clone());
        });
        counter.inc_by(7);
        gauge.set(-3);
        let (span, context) = TraceSpan::of_request(SpanName::HttpRequest, None, &RandomIds);
        latency.observe(Duration::from_millis(3), &span);
        latency.observe(Duration::from_secs(60), &TraceSpan::none());
        let exporting = process.start();
        let value = |collector: &OtlpCollector, name: &str| {
            let metrics = collector.metrics();
            let found = metrics.into_iter().find(|metric| metric.name == name);
            found.and_then(|metric| Some((metric.points.first()?.1, metric.unit)))
        };
        let things = |found: &OtlpCollector| value(found, "forgewire_test_things");
        assert!(collector.until(|found| things(found).is_some()).await);
        assert_eq!(things(&collector), Some((7.0, String::new())));
        let bytes = value(&collector, "forgewire_test_bytes");
        assert_eq!(bytes, Some((-3.0, "By".to_owned())));
        let seconds = value(&collector, "forgewire_test_seconds");
        assert_eq!(seconds, Some((2.0, "s".to_owned())));
        let metrics = collector.metrics();
        let exemplars = metrics.iter().flat_map(|metric| &metric.exemplars);
        let exemplars: Vec<_> = exemplars.collect();
        assert_eq!(exemplars, [&context.trace.to_string()]);
        process.closed.cancel();
        counter.inc();
        timeout(DEADLINE, exporting).await.unwrap().unwrap();
        assert_eq!(things(&collector), Some((8.0, String::new())));
    }
}

#[tokio::test]
async fn a_tick_of_metrics_loses_no_span() {
    let collector = OtlpCollector::start().await.unwrap();
    let settings = OtlpSettings {
        // Far below the time for which a batch waits: every batch is interrupted.
        metrics_interval: Some(Duration::from_millis(20)),
        ..settings(collector.grpc(), OtlpProtocol::Grpc)
    };
    let mut process = RecordingProcess::open(settings, |_| {});
    let exporting = process.start();
    for _ in 0..30 {
        record(3);
        tokio::task::yield_now().await;
    }
    assert!(collector.until(|found| found.spans().len() == 90).await);
    process.closed.cancel();
    timeout(DEADLINE, exporting).await.unwrap().unwrap();
    assert_eq!(process.outcomes()["exported"], 90);
}

/// What is logged, as text.
#[derive(Debug, Clone, Default)]
struct LoggedLines(Arc<Mutex<Vec<u8>>>);

impl LoggedLines {
    /// The number of lines with a text.
    fn count(&self, text: &str) -> usize {
        let bytes = self.0.lock().unwrap();
        let lines = String::from_utf8_lossy(&bytes);
        lines.lines().filter(|line| line.contains(text)).count()
    }
}

impl Write for LoggedLines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_collector_that_takes_only_traces_is_one_line_of_the_log() {
    for protocol in PROTOCOLS {
        let collector = OtlpCollector::start().await.unwrap();
        collector.refuse_metrics();
        let settings = OtlpSettings {
            metrics_interval: Some(Duration::from_millis(20)),
            ..settings(endpoint(&collector, protocol), protocol)
        };
        let (layers, exporter) = otlp_export::open(settings).unwrap();
        let lines = LoggedLines::default();
        let writer = lines.clone();
        let logged = fmt::layer().with_writer(move || writer.clone());
        let logged = logged.with_filter(LevelFilter::INFO);
        let subscriber = tracing_subscriber::registry().with(layers).with(logged);
        let _recording = tracing::subscriber::set_default(subscriber);
        let closed = CancellationToken::new();
        let exporting = exporter.start(Arc::default(), closed.clone()).unwrap();
        let exporting = tokio::spawn(exporting);
        for sent in 1..=3 {
            record(1);
            assert!(collector.until(|found| found.spans().len() == sent).await);
            let refused = collector.refused_metrics();
            let again = |found: &OtlpCollector| found.refused_metrics() > refused;
            assert!(collector.until(again).await);
        }
        closed.cancel();
        timeout(DEADLINE, exporting).await.unwrap().unwrap();
        assert_eq!(
            lines.count("does not take what it is sent"),
            1,
            "{protocol:?}"
        );
        assert_eq!(lines.count("answers again"), 0, "{protocol:?}");
    }
}

#[tokio::test]
async fn a_full_queue_drops_spans_and_counts_them() {
    let collector = OtlpCollector::start().await.unwrap();
    let settings = settings(collector.grpc(), OtlpProtocol::Grpc);
    let mut process = RecordingProcess::open(settings, |_| {});
    // Nothing takes spans yet.
    record(150);
    assert_eq!(process.outcomes()["queue_full"], 50);
    let exporting = process.start();
    assert!(collector.until(|found| found.spans().len() == 100).await);
    process.closed.cancel();
    timeout(DEADLINE, exporting).await.unwrap().unwrap();
    assert_eq!(process.outcomes()["exported"], 100);
}

#[tokio::test]
async fn a_collector_with_a_fault_costs_spans_that_are_counted_and_no_end_waits_for_it() {
    for protocol in PROTOCOLS {
        for fault in CollectorFault::ALL {
            let collector = BrokenCollector::start(fault).await.unwrap();
            let endpoint = collector.endpoint().to_owned();
            ends_in_time(&endpoint, protocol, || collector.connections() > 0).await;
        }
    }
}

#[tokio::test]
async fn a_dead_collector_costs_spans_that_are_counted_and_no_end_waits_for_it() {
    let collector = BrokenCollector::start(CollectorFault::Closing)
        .await
        .unwrap();
    let endpoint = collector.endpoint().to_owned();
    drop(collector);
    for protocol in PROTOCOLS {
        ends_in_time(&endpoint, protocol, || true).await;
    }
}

/// Records more than the queue holds, then ends the process in the middle of an export.
async fn ends_in_time(endpoint: &str, protocol: OtlpProtocol, has_begun: impl Fn() -> bool) {
    let settings = OtlpSettings {
        metrics_interval: Some(Duration::from_millis(20)),
        ..settings(endpoint, protocol)
    };
    let mut process = RecordingProcess::open(settings, |_| {});
    record(130);
    let exporting = process.start();
    let begun = async {
        while !has_begun() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, begun).await.unwrap();
    record(20);
    process.closed.cancel();
    timeout(DEADLINE, exporting).await.unwrap().unwrap();
    let outcomes = process.outcomes();
    assert_eq!(
        outcomes["exported"], 0,
        "{endpoint} {protocol:?}: {outcomes:?}"
    );
    assert!(outcomes["queue_full"] >= 30, "{outcomes:?}");
    assert_eq!(outcomes.values().sum::<u64>(), 150, "{outcomes:?}");
}

#[test]
fn settings_that_cannot_be_used_are_refused_without_their_secrets() {
    let good = || settings("http://collector:4317", OtlpProtocol::Grpc);
    assert!(good().check().is_ok());
    for endpoint in ["", "collector", "ftp://collector", "http://", "http://a b"] {
        let settings = OtlpSettings {
            endpoint: endpoint.to_owned(),
            ..good()
        };
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains("telemetry.endpoint"), "{error}");
    }
    let with_password = OtlpSettings {
        endpoint: "http://name:hidden@collector".to_owned(),
        ..good()
    };
    let error = with_password.check().unwrap_err().to_string();
    assert!(error.contains("telemetry.header_files"), "{error}");
    let wrong_header = OtlpSettings {
        headers: vec![("x-token".to_owned(), "hidden\n".to_owned())],
        ..good()
    };
    let text = format!("{} {wrong_header:?}", wrong_header.check().unwrap_err());
    assert!(
        text.contains("x-token") && !text.contains("hidden"),
        "{text}"
    );
    assert!(!format!("{:?}", good()).contains("t0ken"));
}

fn endpoint(collector: &OtlpCollector, protocol: OtlpProtocol) -> &str {
    match protocol {
        OtlpProtocol::Grpc => collector.grpc(),
        OtlpProtocol::Http => collector.http(),
    }
}
