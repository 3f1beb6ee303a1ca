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
];

fn list(text: &str) -> Result<Option<Value>, String> {
    Ok(Some(Value::from(vec![text.to_owned()])))
}

fn words(text: &str) -> Result<Option<Value>, String> {
    let words = text.split(',').map(|word| word.trim().to_owned());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    Ok(Some(Value::from(words)))
}

fn port(text: &str) -> Result<Option<Value>, String> {
    let port: u16 = text
        .parse()
        .map_err(|_| "expects a port number".to_owned())?;
    Ok(Some(Value::from(format!("127.0.0.1:{port}"))))
}

fn number(text: &str) -> Result<Option<Value>, String> {
    text.parse::<u64>()
        .map(|number| Some(Value::from(number)))
        .map_err(|_| "expects a number".to_owned())
}

/// Rounded up, so that a short time does not become zero.
fn seconds(text: &str) -> Result<Option<Value>, String> {
    let millis: u64 = text
        .parse()
        .map_err(|_| "expects milliseconds".to_owned())?;
    Ok(Some(Value::from(millis.div_ceil(1000))))
}

fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("expects true or false".to_owned()),
    }
}

/// `false` is zero: it turns the first comparison with GitHub off, or refuses every stream. `true` is how
/// it is anyway, and leaves a value that is set elsewhere.
fn enabled(text: &str) -> Result<Option<Value>, String> {
    Ok((!switch(text)?).then(|| Value::from(0_u64)))
}

fn database(text: &str) -> Result<Option<Value>, String> {
    let folder = text.trim_end_matches('/');
    Ok(Some(Value::from(format!("{folder}/forgewire.db"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_rounded_up_to_seconds() {
        assert_eq!(seconds("1500"), Ok(Some(Value::from(2_u64))));
        assert!(seconds("soon").is_err());
    }

    #[test]
    fn a_switch_that_is_on_leaves_the_key_as_it_is() {
        assert_eq!(enabled("true"), Ok(None));
        assert_eq!(enabled("off"), Ok(Some(Value::from(0_u64))));
        assert!(enabled("perhaps").is_err());
    }
}
