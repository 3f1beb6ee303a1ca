//! Logs: one line per event on stderr (stdout carries the ready line), as text or JSON.
//!
//! A thread of its own writes them ([`LineQueue`]): a stderr that nothing reads costs lines, which are
//! counted, and never stops the process.
//!
//! # What may be logged
//! - Ids, counts, durations, names of keys; `trace_id` through the span of [`crate::trace`].
//! - Never a secret: [`Secret`](crate::config::Secret) shows `***`, query strings are left out of
//!   paths.
//! - Bodies of requests and events at `trace` level only, and never authorization headers.

use std::{
    io::{self, IsTerminal},
    panic::{self, PanicHookInfo},
    time::Duration,
};

use instruments::recording::{BoxedLayer, is_trace_span};
use model::{Classified, ErrorClass};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::filter_fn, fmt, layer::SubscriberExt,
    util::SubscriberInitExt,
};

pub use crate::telemetry_config::{LogFormat, TelemetryConfig, TelemetryValueError, TraceProtocol};

use crate::{line_queue::LineQueue, metrics::MetricsRegistry};

/// Longest wait for the last lines when the process ends: a reader that has stopped must not delay it.
const EXIT_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait for the line of a panic, which may be the last one.
const PANIC_FLUSH_TIMEOUT: Duration = Duration::from_millis(200);

/// The driver of NATS writes a line for each of its events, which anybody who can publish on the server can
/// cause. The adapter counts them and logs them at its own pace.
const QUIET_DRIVERS: &str = "async_nats=warn";

/// Errors in the section `[telemetry]`.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("telemetry.filter: `{filter}` is not a filter such as `info,sse_edge=debug`")]
    Filter {
        /// The filter as it was given.
        filter: String,
        /// The parser's error.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The thread that writes log lines cannot be started.
    #[error("the thread that writes log lines cannot be started")]
    Thread(#[source] io::Error),
}

impl Classified for TelemetryError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Filter { .. } => ErrorClass::Caller,
            Self::Thread(_) => ErrorClass::Transient,
        }
    }
}

/// The log lines on their way to stderr. Keep it until the process ends, then call [`LogLines::flush`].
#[derive(Debug, Clone)]
#[must_use = "without a flush, the last lines of the process are lost"]
pub struct LogLines(LineQueue);

impl LogLines {
    /// Registers the counter of dropped lines.
    pub fn register(&self, registry: &mut MetricsRegistry) {
        registry.register(
            "forgewire_log_lines_dropped",
            "Log lines dropped because stderr was not read in time",
            self.0.dropped_lines(),
        );
    }

    /// Waits until all lines are written, for up to a second.
    pub fn flush(&self) {
        self.0.flush(EXIT_FLUSH_TIMEOUT);
    }
}

/// Starts logging for the whole process, panics included. The first call takes effect; a later one, for
/// instance by the next test in the same process, only checks its filter.
///
/// # Errors
/// The filter cannot be read, or the system has no further thread.
pub fn init(config: &TelemetryConfig) -> Result<LogLines, TelemetryError> {
    init_with(config, Vec::new())
}

/// As [`init`], with layers that record traces. Without any, log lines cost nothing more than before.
///
/// # Errors
/// As [`init`].
pub fn init_with(
    config: &TelemetryConfig,
    recording: Vec<BoxedLayer<Registry>>,
) -> Result<LogLines, TelemetryError> {
    let terminal = io::stderr().is_terminal();
    let report = missing_lines(config.format);
    let queue = LineQueue::start("log", io::stderr(), report).map_err(TelemetryError::Thread)?;
    let writer = queue.clone();
    let subscriber = subscriber(config, terminal, move || writer.clone(), recording)?;
    if subscriber.try_init().is_ok() {
        let panicked = queue.clone();
        panic::set_hook(Box::new(move |panic| {
            log_panic(panic);
            panicked.flush(PANIC_FLUSH_TIMEOUT);
        }));
    }
    Ok(LogLines(queue))
}

/// The line that says how many lines are missing at its place.
fn missing_lines(format: LogFormat) -> impl Fn(u64) -> String + Send + 'static {
    move |lines| match format {
        LogFormat::Text => format!(" WARN log: {lines} lines dropped: stderr was not read in time"),
        LogFormat::Json => serde_json::json!({
            "level": "WARN",
            "message": format!("{lines} lines dropped: stderr was not read in time"),
            "lines": lines,
            "target": "log",
        })
        .to_string(),
    }
}

/// A subscriber behind one type, whatever its format.
type AnySubscriber = Box<dyn Subscriber + Send + Sync>;

fn subscriber<W>(
    config: &TelemetryConfig,
    colour: bool,
    writer: W,
    recording: Vec<BoxedLayer<Registry>>,
) -> Result<AnySubscriber, TelemetryError>
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    // What the filter says of the same target, coming later, replaces it.
    let filter = format!("{QUIET_DRIVERS},{}", config.filter);
    let filter = EnvFilter::try_new(filter).map_err(|source| TelemetryError::Filter {
        filter: config.filter.clone(),
        source,
    })?;
    if !recording.is_empty() {
        return Ok(recording_subscriber(
            config.format,
            filter,
            colour,
            writer,
            recording,
        ));
    }
    let lines = fmt().with_env_filter(filter).with_writer(writer);
    Ok(match config.format {
        LogFormat::Text => Box::new(lines.with_ansi(colour).finish()),
        LogFormat::Json => Box::new(
            lines
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .finish(),
        ),
    })
}

/// Log lines under their filter, beside layers that have filters of their own. Spans of traces are not shown
/// in lines, which name their trace.
fn recording_subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    colour: bool,
    writer: W,
    recording: Vec<BoxedLayer<Registry>>,
) -> AnySubscriber
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    let lines: BoxedLayer<Registry> = match format {
        LogFormat::Text => lines.with_ansi(colour).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    };
    let in_lines = filter_fn(|callsite| !is_trace_span(callsite));
    let lines = lines.with_filter(in_lines).with_filter(filter).boxed();
    let layers: Vec<_> = std::iter::once(lines).chain(recording).collect();
    Box::new(tracing_subscriber::registry().with(layers))
}

/// Logs a panic like any other event, so that it is found among the log lines, with the trace in which
/// it occurred.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let what = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)");
    let place = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let backtrace = std::backtrace::Backtrace::capture();
    tracing::error!(place, %backtrace, "panic: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http_metrics::HttpMetrics, trace::Trace};
    use axum::{Router, body::Body, routing::get};
    use http::Request;
    use instruments::{
        SpanName, TraceSpan,
        recording::{self, SamplingPolicy, line_span},
    };
    use model::ManualClock;
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use parking_lot::Mutex;
    use std::{io::Write, sync::Arc};
    use tower::ServiceExt;
    use tracing::Instrument;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(config: &TelemetryConfig, work: impl FnOnce()) -> String {
        logged_while_recording(config, Vec::new(), work)
    }

    fn logged_while_recording(
        config: &TelemetryConfig,
        recording: Vec<BoxedLayer<Registry>>,
        work: impl FnOnce(),
    ) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(config, false, move || writer.clone(), recording).unwrap();
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(lines.0.lock().clone()).unwrap()
    }

    #[test]
    fn a_json_line_carries_its_fields_and_its_trace() {
        let config = TelemetryConfig {
            format: LogFormat::Json,
            ..TelemetryConfig::default()
        };
        let text = logged(&config, || {
            let _request = tracing::info_span!("request", trace_id = "4bf9").entered();
            tracing::info!(events = 3, "appended");
            tracing::debug!("not this one");
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["message"], &line["events"]),
            (&"appended".into(), &3.into())
        );
        assert_eq!(line["span"]["trace_id"], "4bf9");
    }

    /// The line that is logged by a task that the handler of a request starts, as ingest does.
    fn line_of_a_request(config: &TelemetryConfig, recording: Vec<BoxedLayer<Registry>>) -> String {
        let is_recording = !recording.is_empty();
        let handler = move |Trace(trace): Trace| async move {
            let span = TraceSpan::child(SpanName::Delivery, Some(trace));
            assert_eq!(span.is_recorded(), is_recording);
            let work = async {
                tracing::info!(events = 3, "appended");
                TraceSpan::current().in_scope(|| tracing::debug!("below the filter"));
            };
            let task = tokio::spawn(span.enclose(work).instrument(line_span()));
            task.await.unwrap();
        };
        let metrics = HttpMetrics::new(&mut MetricsRegistry::default(), "test", &["/x"], "");
        let router = Router::new()
            .route("/x", get(handler))
            .layer(crate::trace::layer(
                Arc::new(ManualClock::default()),
                metrics,
            ));
        let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let request = Request::get("/x").header("traceparent", caller);
        let request = request.body(Body::empty()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.unwrap();
        logged_while_recording(config, recording, move || {
            let answer = runtime.block_on(router.oneshot(request));
            assert_eq!(answer.unwrap().status(), 200);
        })
    }

    #[test]
    fn a_line_inside_recorded_spans_has_the_fields_of_its_request_and_no_others() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let config = TelemetryConfig {
                format,
                ..TelemetryConfig::default()
            };
            let policy = SamplingPolicy {
                ratio: 1.0,
                follows_clients: false,
            };
            let provider = SdkTracerProvider::builder().build();
            let layers = recording::layers(provider.tracer("test"), policy);
            let unrecorded = line_of_a_request(&config, Vec::new());
            let recorded = line_of_a_request(&config, layers);
            assert!(unrecorded.contains("4bf92f"), "{unrecorded}");
            // All but the time is the same.
            let rest = |line: &str| {
                assert_eq!(line.lines().count(), 1, "{line}");
                let (_, rest) = line.split_once("INFO").unwrap();
                rest.to_owned()
            };
            assert_eq!(rest(&recorded), rest(&unrecorded));
        }
    }

    #[test]
    fn a_text_line_has_no_colours_off_a_terminal() {
        let text = logged(&TelemetryConfig::default(), || {
            tracing::warn!(tries = 2, "again");
        });
        assert!(
            text.contains("WARN") && text.contains("again tries=2"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_gap_reads_like_the_lines_around_it() {
        let text = missing_lines(LogFormat::Text)(7);
        assert!(
            text.contains("WARN") && text.contains("7 lines dropped"),
            "{text}"
        );
        let json = missing_lines(LogFormat::Json)(7);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            (&json["level"], &json["lines"]),
            (&"WARN".into(), &7.into())
        );
    }

    #[test]
    fn the_lines_of_a_driver_are_written_only_if_the_filter_names_it() {
        for (filter, is_written) in [
            ("info", false),
            ("debug", false),
            ("info,sse_edge=debug", false),
            ("info,async_nats=info", true),
            ("async_nats=debug,info", true),
        ] {
            let config = TelemetryConfig {
                filter: filter.to_owned(),
                ..TelemetryConfig::default()
            };
            let text = logged(&config, || {
                tracing::info!(target: "async_nats", "event: slow consumers for subscription 4");
                tracing::warn!(target: "async_nats::connector", "a warning");
            });
            assert_eq!(text.contains("slow consumers"), is_written, "{filter}");
            assert!(text.contains("a warning"), "{filter}: {text}");
        }
    }

    #[test]
    fn starting_twice_is_harmless_and_a_bad_filter_is_named() {
        let first = init(&TelemetryConfig::default()).unwrap();
        init(&TelemetryConfig::default()).unwrap().flush();
        first.flush();
        let bad = TelemetryConfig {
            filter: "info,=[".to_owned(),
            ..TelemetryConfig::default()
        };
        assert!(init(&bad).unwrap_err().to_string().contains("info,=["));
    }
}
