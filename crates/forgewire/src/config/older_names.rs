//! Environment variables of others that set keys of ours: those of the project that ours follows (design §4), and
//! those of OpenTelemetry (specification, "Environment Variable Specification" and "OTLP Exporter
//! Configuration").

use std::collections::BTreeMap;

use service_kit::config::{OlderName, Value};

/// The variables of OpenTelemetry.
pub(crate) const OPEN_TELEMETRY: &str = "OTEL_";

/// The foreign name, the current key, and the conversion of the text into its value.
pub(crate) const TABLE: [OlderName; 20] = [
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

/// An empty variable is an unset one, says OpenTelemetry.
fn text(text: &str) -> Result<Option<Value>, String> {
    Ok((!text.is_empty()).then(|| Value::from(text)))
}

fn ratio(text: &str) -> Result<Option<Value>, String> {
    text.parse::<f64>()
        .map(|ratio| Some(Value::from(ratio)))
        .map_err(|_| "expects a number from 0 to 1".to_owned())
}

/// `key=value,key=value`, with values as in the W3C's header `baggage`: percent-encoded.
fn pairs(text: &str) -> Result<Option<Value>, String> {
    let pairs = text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (key, value) = pair
            .split_once('=')
            .ok_or("expects key=value, separated by commas")?;
        Ok((key.trim().to_owned(), percent_decoded(value.trim())?))
    });
    let pairs = pairs.collect::<Result<BTreeMap<_, _>, &str>>()?;
    Ok((!pairs.is_empty()).then(|| Value::from(pairs)))
}

fn percent_decoded(text: &str) -> Result<String, &'static str> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).ok_or(NOT_ENCODED)?;
        // A number may have a sign, a code may not.
        let code = (!code.starts_with('+'))
            .then_some(code)
            .ok_or(NOT_ENCODED)?;
        bytes.push(u8::from_str_radix(code, 16).map_err(|_| NOT_ENCODED)?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| NOT_ENCODED)
}

const NOT_ENCODED: &str = "expects values that are percent-encoded";

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
    fn pairs_are_decoded_and_wrong_ones_refused() {
        let read = |text| pairs(text).unwrap().unwrap();
        let expected = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(key, value)| (*key, *value));
            Value::from(pairs.collect::<BTreeMap<_, _>>())
        };
        assert_eq!(
            read("authorization=Bearer%20a%3D%c3%bc, x = 1,"),
            expected(&[("authorization", "Bearer a=ü"), ("x", "1")])
        );
        assert_eq!(pairs(""), Ok(None));
        for wrong in ["x", "x=%", "x=%2", "x=%zz", "x=%+f", "x=%ff"] {
            assert!(pairs(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_switch_that_is_on_leaves_the_key_as_it_is() {
        assert_eq!(enabled("true"), Ok(None));
        assert_eq!(enabled("off"), Ok(Some(Value::from(0_u64))));
        assert!(enabled("perhaps").is_err());
    }
}
