//! Environment variables of the project that ours follows (design §4), and the keys that they set.

use service_kit::config::{OlderName, Value};

/// The older name, the current key, and the conversion of the text into its value.
pub(crate) const TABLE: [OlderName; 11] = [
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
        convert: initial_sync,
    },
    OlderName {
        name: "SSE_ENABLED",
        key: "edge.max_streams",
        convert: streams,
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
];

fn list(text: &str) -> Result<Value, String> {
    Ok(Value::from(vec![text.to_owned()]))
}

fn words(text: &str) -> Result<Value, String> {
    let words = text.split(',').map(|word| word.trim().to_owned());
    Ok(Value::from(
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>(),
    ))
}

fn port(text: &str) -> Result<Value, String> {
    let port: u16 = text
        .parse()
        .map_err(|_| "expects a port number".to_owned())?;
    Ok(Value::from(format!("127.0.0.1:{port}")))
}

fn number(text: &str) -> Result<Value, String> {
    text.parse::<u64>()
        .map(Value::from)
        .map_err(|_| "expects a number".to_owned())
}

/// Rounded up, so that a short time does not become zero.
fn seconds(text: &str) -> Result<Value, String> {
    let millis: u64 = text
        .parse()
        .map_err(|_| "expects milliseconds".to_owned())?;
    Ok(Value::from(millis.div_ceil(1000)))
}

fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("expects true or false".to_owned()),
    }
}

/// A timeout of zero turns the first comparison with GitHub off.
fn initial_sync(text: &str) -> Result<Value, String> {
    let default = github_sync::SyncConfig::default().initial_timeout_seconds;
    Ok(Value::from(if switch(text)? { default } else { 0 }))
}

/// A maximum of zero refuses every stream.
fn streams(text: &str) -> Result<Value, String> {
    let default = sse_edge::EdgeConfig::default().max_streams;
    Ok(Value::from(if switch(text)? { default } else { 0 }))
}

fn database(text: &str) -> Result<Value, String> {
    Ok(Value::from(format!(
        "{}/forgewire.db",
        text.trim_end_matches('/')
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded_up_to_seconds() {
        assert_eq!(seconds("1500"), Ok(Value::from(2_u64)));
        assert!(seconds("soon").is_err());
    }
}
