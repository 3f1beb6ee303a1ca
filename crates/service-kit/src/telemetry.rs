//! Logs: one line per event on stderr (stdout carries the ready line), as text or JSON.
//!
//! # What may be logged
//! - Ids, counts, durations, names of keys; `trace_id` through the span of [`crate::trace`].
//! - Never a secret: [`Secret`](crate::config::Secret) shows `***`, query strings are left out of
//!   paths.
//! - Bodies of requests and events at `trace` level only, and never authorization headers.

use std::{
    io::{self, IsTerminal},
    panic::{self, PanicHookInfo},
};

use model::{Classified, ErrorClass};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people; in colour on a terminal.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// The section `[telemetry]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// How log lines look: `text` or `json`.
    pub format: LogFormat,
    /// What is logged: a level, and levels by crate, for instance `info,sse_edge=debug`.
    pub filter: String,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".to_owned(),
        }
    }
}

/// What can be wrong with telemetry.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("telemetry.filter: `{filter}` is no filter such as `info,sse_edge=debug`")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
}

impl Classified for TelemetryError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// Starts logging for the whole process, panics included. The first call decides; a later one, for
/// instance of the next test in the same process, only checks its filter.
///
/// # Errors
/// The filter cannot be read.
pub fn init(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let terminal = io::stderr().is_terminal();
    if subscriber(config, terminal, io::stderr)?.try_init().is_ok() {
        panic::set_hook(Box::new(log_panic));
    }
    Ok(())
}

/// A subscriber behind one type, whichever format it has.
type AnySubscriber = Box<dyn Subscriber + Send + Sync>;

fn subscriber<W>(
    config: &TelemetryConfig,
    colour: bool,
    writer: W,
) -> Result<AnySubscriber, TelemetryError>
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.filter).map_err(|source| TelemetryError::Filter {
        filter: config.filter.clone(),
        source,
    })?;
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

/// A panic is a log line like any other, so that it is found where one looks, with the trace it
/// hit.
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
    use parking_lot::Mutex;
    use std::{io::Write, sync::Arc};

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
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(config, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(lines.0.lock().clone()).unwrap()
    }

    #[test]
    fn a_json_line_carries_its_fields_and_its_trace() {
        let config = TelemetryConfig {
            format: LogFormat::Json,
            filter: "info".to_owned(),
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
    fn starting_twice_is_harmless_and_a_bad_filter_is_named() {
        init(&TelemetryConfig::default()).unwrap();
        init(&TelemetryConfig::default()).unwrap();
        let bad = TelemetryConfig {
            filter: "info,=[".to_owned(),
            ..TelemetryConfig::default()
        };
        assert!(init(&bad).unwrap_err().to_string().contains("info,=["));
    }
}
