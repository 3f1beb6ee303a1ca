//! Calls to stores: a latency and an error count for each operation, and a span inside a recorded trace.

use std::{fmt, time::Instant};

use model::{Classified, ErrorClass};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family},
};

use crate::{SpanName, TraceSpan, latency::LatencyHistogram, registry::MetricsRegistry};

/// A label whose values are constants of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Constant(&'static str);

impl EncodeLabelValue for Constant {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.encode(encoder)
    }
}

/// A port of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StorePort {
    /// The event log.
    Log,
    /// Mailboxes.
    Mailbox,
    /// Records.
    Records,
    /// Leases.
    Leases,
}

impl StorePort {
    /// The label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Mailbox => "mailbox",
            Self::Records => "records",
            Self::Leases => "leases",
        }
    }

    /// Its operations.
    const fn operations(self) -> &'static [StoreOperation] {
        use StoreOperation as Op;
        match self {
            Self::Log => &[
                Op::Append,
                Op::ReadAfter,
                Op::ReadBefore,
                Op::Seek,
                Op::PositionOf,
                Op::Head,
                Op::Trim,
                Op::Check,
                Op::Time,
            ],
            Self::Mailbox => &[
                Op::Open,
                Op::Touch,
                Op::End,
                Op::OpenStream,
                Op::Append,
                Op::ReadAfter,
                Op::Trim,
                Op::Close,
            ],
            Self::Records => &[
                Op::Create,
                Op::Load,
                Op::LoadMany,
                Op::ExpiresAt,
                Op::Replace,
                Op::Touch,
                Op::End,
                Op::List,
                Op::Check,
                Op::Time,
            ],
            Self::Leases => &[Op::Acquire, Op::Extend, Op::Release],
        }
    }
}

/// The classes of errors that are the store's own: an alert on them has to see the first one.
const STORE_FAULTS: [ErrorClass; 3] = [
    ErrorClass::Overloaded,
    ErrorClass::Transient,
    ErrorClass::Permanent,
];

/// An operation of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreOperation {
    /// Appends.
    Append,
    /// Reads after a position.
    ReadAfter,
    /// Reads before a position.
    ReadBefore,
    /// Finds the position of a time.
    Seek,
    /// Finds the position of an id.
    PositionOf,
    /// Reads the end.
    Head,
    /// Removes what is old or read.
    Trim,
    /// Asks whether the store answers.
    Check,
    /// Reads the store's clock.
    Time,
    /// Creates.
    Create,
    /// Loads by id.
    Load,
    /// Loads several by id.
    LoadMany,
    /// Reads the end of a time to live.
    ExpiresAt,
    /// Replaces an expected revision.
    Replace,
    /// Ends.
    End,
    /// Extends the time to live.
    Touch,
    /// Lists.
    List,
    /// Opens a mailbox.
    Open,
    /// Opens a stream.
    OpenStream,
    /// Closes a stream.
    Close,
    /// Acquires a lease.
    Acquire,
    /// Extends a lease.
    Extend,
    /// Releases a lease.
    Release,
}

impl StoreOperation {
    /// The label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::ReadAfter => "read_after",
            Self::ReadBefore => "read_before",
            Self::Seek => "seek",
            Self::PositionOf => "position_of",
            Self::Head => "head",
            Self::Trim => "trim",
            Self::Check => "check",
            Self::Time => "time",
            Self::Create => "create",
            Self::Load => "load",
            Self::LoadMany => "load_many",
            Self::ExpiresAt => "expires_at",
            Self::Replace => "replace",
            Self::End => "end",
            Self::Touch => "touch",
            Self::List => "list",
            Self::Open => "open",
            Self::OpenStream => "open_stream",
            Self::Close => "close",
            Self::Acquire => "acquire",
            Self::Extend => "extend",
            Self::Release => "release",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    port: Constant,
    operation: Constant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    port: Constant,
    operation: Constant,
    class: Constant,
}

impl ErrorLabels {
    const fn of(port: StorePort, operation: StoreOperation, class: ErrorClass) -> Self {
        Self {
            port: Constant(port.as_str()),
            operation: Constant(operation.as_str()),
            class: Constant(class.as_str()),
        }
    }
}

/// The metrics of all store calls of a process. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct StoreMetrics {
    latency: Family<CallLabels, LatencyHistogram>,
    errors: Family<ErrorLabels, Counter>,
}

impl StoreMetrics {
    /// Registers the instruments.
    pub fn new(registry: &mut MetricsRegistry) -> Self {
        let metrics = Self::default();
        registry.register(
            "forgewire_store_call_seconds",
            "Duration of calls to stores, by port and operation; failed ones too",
            metrics.latency.clone(),
        );
        registry.register(
            "forgewire_store_errors",
            "Calls to stores that failed, by port, operation and class of the error",
            metrics.errors.clone(),
        );
        metrics
    }

    /// The calls of one port, which `system` serves (`sqlite`, `redis`, `nats`, `memory`).
    #[must_use]
    pub fn port(&self, port: StorePort, system: &'static str) -> StoreCalls {
        for operation in port.operations() {
            for class in STORE_FAULTS {
                let labels = ErrorLabels::of(port, *operation, class);
                drop(self.errors.get_or_create(&labels));
            }
        }
        StoreCalls {
            metrics: self.clone(),
            port,
            system,
        }
    }
}

/// Observes the calls of one port.
#[derive(Debug, Clone)]
pub struct StoreCalls {
    metrics: StoreMetrics,
    port: StorePort,
    system: &'static str,
}

impl StoreCalls {
    /// Makes a call and observes it. A call that is dropped before its end is not counted.
    pub async fn observe<T, E: Classified>(
        &self,
        operation: StoreOperation,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let span = TraceSpan::of_current(SpanName::StoreCall);
        if span.is_recorded() {
            let (port, operation) = (self.port.as_str(), operation.as_str());
            span.rename(|| format!("{port}.{operation}"));
            span.set("forgewire.store.port", port);
            span.set("forgewire.store.operation", operation);
            span.set("db.system.name", self.system);
        }
        debug_assert!(
            self.port.operations().contains(&operation),
            "{operation:?} is one of {:?}",
            self.port
        );
        let began = Instant::now();
        let answer = span.enclose(call).await;
        let labels = CallLabels {
            port: Constant(self.port.as_str()),
            operation: Constant(operation.as_str()),
        };
        let latency = self.metrics.latency.get_or_create(&labels);
        latency.observe(began.elapsed(), &span);
        if let Err(error) = &answer {
            span.fail(error);
            let labels = ErrorLabels::of(self.port, operation, error.class());
            self.metrics.errors.get_or_create(&labels).inc();
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Full;

    impl fmt::Display for Full {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("full")
        }
    }

    impl std::error::Error for Full {}

    impl Classified for Full {
        fn class(&self) -> ErrorClass {
            ErrorClass::Overloaded
        }
    }

    #[tokio::test]
    async fn errors_are_counted_from_zero_under_their_operation() {
        let mut registry = MetricsRegistry::default();
        let log = StoreMetrics::new(&mut registry).port(StorePort::Log, "memory");
        let errors = |operation: &str, class: &str| {
            let text = registry.open_metrics().unwrap();
            let labels = format!("{{port=\"log\",operation=\"{operation}\",class=\"{class}\"}} ");
            let name = format!("forgewire_store_errors_total{labels}");
            let count = text.lines().find_map(|line| line.strip_prefix(&name));
            count.map(ToOwned::to_owned)
        };
        assert_eq!(errors("append", "overloaded").as_deref(), Some("0"));
        let refused = async { Err::<(), _>(Full) };
        let answer = log.observe(StoreOperation::Append, refused).await;
        assert!(answer.is_err());
        assert_eq!(errors("append", "overloaded").as_deref(), Some("1"));
        assert_eq!(errors("head", "transient").as_deref(), Some("0"));
        assert_eq!(errors("acquire", "transient"), None, "of another port");
    }
}
