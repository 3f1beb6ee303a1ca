//! Environment variables of others that set keys of ours: those of the project that ours follows (design §4), and
//! those of OpenTelemetry (specification, "Environment Variable Specification" and "OTLP Exporter
//! Configuration").

mod joined;
mod refused;
mod values;

use service_kit::config::{OlderName, is_service_port};

pub(crate) use self::joined::with_joined_parts;
use self::values::{
    address, database, enabled, given_number, host, ip_address, list, log_level, number, origins,
    owner, pairs, port, ratio, redis_host, redis_part, redis_port, repository, seconds, text,
    tokens, unsigned, words,
};

/// The variables of OpenTelemetry.
pub(crate) const OPEN_TELEMETRY: &str = "OTEL_";

/// The foreign name, the current key, and the conversion of the text into its value.
pub(crate) const TABLE: [OlderName; 44] = [
    OlderName {
        name: "WEBHOOK_SECRET",
        key: "ingest.webhook_secrets",
        convert: list,
    },
    OlderName {
        name: "WEBHOOK_PORT",
        key: "ingest.listen",
        convert: port,
    },
    OlderName {
        name: "WEBHOOK_TIMEOUT_MS",
        key: "ingest.body_timeout_seconds",
        convert: seconds,
    },
    OlderName {
        name: "SYNC_TIMEOUT_MS",
        key: "sync.initial_timeout_seconds",
        convert: seconds,
    },
    OlderName {
        name: "SYNC_INTERVAL_MS",
        key: "sync.interval_seconds",
        convert: seconds,
    },
    OlderName {
        name: "SYNC_RESOURCES",
        key: "sync.resources",
        convert: words,
    },
    OlderName {
        name: "SYNC_ENABLED",
        key: "sync.initial_timeout_seconds",
        convert: enabled,
    },
    OlderName {
        name: "SSE_ENABLED",
        key: "edge.max_streams",
        convert: enabled,
    },
    OlderName {
        name: "CACHE_DIRECTORY",
        key: "sqlite.path",
        convert: database,
    },
    OlderName {
        name: "EVENT_RETENTION_DAYS",
        key: "retention.event_days",
        convert: number,
    },
    OlderName {
        name: "MAX_EVENTS_IN_MEMORY",
        key: "retention.max_memory_events",
        convert: number,
    },
    OlderName {
        name: "PORT",
        key: "edge.listen",
        convert: address,
    },
    OlderName {
        name: "HOST",
        key: "edge.listen",
        convert: host,
    },
    OlderName {
        name: "LOG_LEVEL",
        key: "telemetry.filter",
        convert: log_level,
    },
    OlderName {
        name: "GITHUB_OWNER",
        key: "sync.repositories",
        convert: owner,
    },
    OlderName {
        name: "GITHUB_REPO",
        key: "sync.repositories",
        convert: repository,
    },
    OlderName {
        name: "ALLOWED_ORIGINS",
        key: "edge.allowed_origins",
        convert: origins,
    },
    OlderName {
        name: "WEBHOOK_ALLOWED_ORIGINS",
        key: "edge.allowed_origins",
        convert: origins,
    },
    OlderName {
        name: "REDIS_HOST",
        key: "redis.url",
        convert: redis_host,
    },
    OlderName {
        name: "REDIS_PORT",
        key: "redis.url",
        convert: redis_port,
    },
    OlderName {
        name: "REDIS_PASSWORD",
        key: "redis.url",
        convert: redis_part,
    },
    OlderName {
        name: "REDIS_DB",
        key: "redis.url",
        convert: redis_part,
    },
    // After those that it says more than.
    OlderName {
        name: "REDIS_URL",
        key: "redis.url",
        convert: text,
    },
    OlderName {
        name: "ALLOWED_TOKENS",
        key: "auth.token_file",
        convert: tokens,
    },
    OlderName {
        name: "MCP_SERVER_SECRET",
        key: "auth.token_file",
        convert: tokens,
    },
    OlderName {
        name: "WEBHOOK_ALLOW_UNSIGNED",
        key: "ingest.webhook_secrets",
        convert: unsigned,
    },
    OlderName {
        name: "GITHUB_TOKEN",
        key: "github.token",
        convert: text,
    },
    OlderName {
        name: "GITHUB_APP_ID",
        key: "github.app_id",
        convert: given_number,
    },
    OlderName {
        name: "GITHUB_APP_PRIVATE_KEY",
        key: "github.private_key_file",
        convert: refused::app_key,
    },
    OlderName {
        name: "GITHUB_APP_INSTALLATION_ID",
        key: "sync.repositories",
        convert: refused::app_installation,
    },
    OlderName {
        name: "SECRETS_DIR",
        key: "ingest.webhook_secret_files",
        convert: refused::secrets_folder,
    },
    OlderName {
        name: "WEBHOOK_RATE_LIMIT",
        key: "ingest.failures_per_minute",
        convert: refused::rate_limit,
    },
    OlderName {
        name: "WEBHOOK_RATE_WINDOW_MS",
        key: "ingest.failures_per_minute",
        convert: refused::rate_limit,
    },
    OlderName {
        name: "MAX_CACHE_ENTRIES",
        key: "sync.max_resources",
        convert: given_number,
    },
    OlderName {
        name: "MCP_TOOL_GROUPS",
        key: "auth.token_file",
        convert: refused::tool_groups,
    },
    OlderName {
        name: "OTEL_EXPORTER_OTLP_ENDPOINT",
        key: "telemetry.endpoint",
        convert: text,
    },
    OlderName {
        name: "OTEL_EXPORTER_OTLP_PROTOCOL",
        key: "telemetry.protocol",
        convert: text,
    },
    OlderName {
        name: "OTEL_EXPORTER_OTLP_HEADERS",
        key: "telemetry.headers",
        convert: pairs,
    },
    OlderName {
        name: "OTEL_EXPORTER_OTLP_TIMEOUT",
        key: "telemetry.export_timeout_seconds",
        convert: seconds,
    },
    OlderName {
        name: "OTEL_METRIC_EXPORT_INTERVAL",
        key: "telemetry.metrics_interval_seconds",
        convert: seconds,
    },
    OlderName {
        name: "OTEL_BSP_MAX_QUEUE_SIZE",
        key: "telemetry.queue_spans",
        convert: number,
    },
    OlderName {
        name: "OTEL_TRACES_SAMPLER_ARG",
        key: "telemetry.sampling_ratio",
        convert: ratio,
    },
    OlderName {
        name: "OTEL_SERVICE_NAME",
        key: "telemetry.service_name",
        convert: text,
    },
    OlderName {
        name: "OTEL_RESOURCE_ATTRIBUTES",
        key: "telemetry.resource_attributes",
        convert: pairs,
    },
];

/// The reason why a variable is another program's: its name is one that shells, container engines and Kubernetes set too,
/// and its text is what they set and no value of ours.
pub(crate) fn of_others(name: &str, text: &str) -> Option<&'static str> {
    let text = text.trim();
    match name {
        "HOST" if !text.is_empty() && ip_address(text).is_none() => Some(
            "it is no IP address; shells set it to the name of the machine. The address on which the edge listens is \
             edge.listen, for instance 127.0.0.1:3000",
        ),
        "PORT" if is_service_port(text) => {
            Some("it is no port; the address on which the edge listens is edge.listen")
        }
        "WEBHOOK_PORT" if is_service_port(text) => Some(
            "Kubernetes sets it for a Service of the name `webhook`; the address on which the ingest listens is \
             ingest.listen",
        ),
        "REDIS_PORT" if is_service_port(text) => Some(
            "Kubernetes sets it for a Service of the name `redis`; where Redis is says redis.url, for instance \
             redis://redis:6379",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
