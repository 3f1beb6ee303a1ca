//! Environment variables of others that set keys of ours: those of the project that ours follows (design §4), and
//! those of OpenTelemetry (specification, "Environment Variable Specification" and "OTLP Exporter
//! Configuration").

mod refused;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use service_kit::config::{OlderName, Value, is_service_port};

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

/// The variables with those that say a part of one key as one, because a key has one origin.
pub(crate) fn with_joined_parts(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let variables = joined(variables.collect(), ["HOST", "PORT"], |host, port| {
        let port = port.parse::<u16>().ok()?;
        Some(SocketAddr::new(ip_address(host)?, port).to_string())
    });
    let variables = joined(variables, ["GITHUB_OWNER", "GITHUB_REPO"], |owner, repo| {
        (!repo.contains('/')).then(|| format!("{owner}/{repo}"))
    });
    with_redis_parts(variables.into_iter())
}

/// The two variables as the second, where both are set and make one value.
fn joined(
    mut variables: Vec<(OsString, OsString)>,
    names: [&str; 2],
    join: impl FnOnce(&str, &str) -> Option<String>,
) -> Vec<(OsString, OsString)> {
    let find = |name: &str| {
        let named = variables.iter().find(|(variable, _)| variable == name);
        let text = named.and_then(|(_, text)| text.to_str()).map(str::trim);
        text.filter(|text| !text.is_empty())
    };
    let parts = find(names[0]).zip(find(names[1]));
    if let Some(whole) = parts.and_then(|(first, second)| join(first, second)) {
        variables.retain(|(name, _)| names.iter().all(|part| name != *part));
        variables.push((names[1].into(), whole.into()));
    }
    variables
}

/// The variables with the parts of Redis's address as one, because a key has one origin: `REDIS_HOST=host:port`, or
/// `REDIS_URL` where there is a password or a database. Beside `REDIS_URL`, which has all of it, the parts are left out.
fn with_redis_parts(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    const PARTS: [&str; 2] = ["REDIS_PASSWORD", "REDIS_DB"];
    let mut variables = with_redis_port(variables.collect());
    let find = |name: &str| {
        let named = variables.iter().find(|(variable, _)| variable == name);
        let text = named.and_then(|(_, text)| text.to_str());
        text.filter(|text| !text.is_empty())
    };
    let (password, database) = (find(PARTS[0]), find(PARTS[1]).map(str::trim));
    if find("REDIS_URL").is_some() {
        variables.retain(|(name, _)| PARTS.iter().all(|part| name != *part));
        return variables;
    }
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (password.is_none() && database.is_none()) || !database.is_none_or(is_number) {
        return variables;
    }
    let address = find("REDIS_HOST").and_then(|host| redis_address(host).ok().flatten());
    let Some(address) = address else {
        return variables;
    };
    let password = password.map_or(String::new(), |text| format!(":{}@", percent_encoded(text)));
    let database = database.map_or(String::new(), |text| format!("/{text}"));
    let url = format!("redis://{password}{address}{database}");
    variables.retain(|(name, _)| name != "REDIS_HOST" && PARTS.iter().all(|part| name != *part));
    variables.push(("REDIS_URL".into(), url.into()));
    variables
}

/// `REDIS_HOST=host:port`, where both are set.
fn with_redis_port(mut variables: Vec<(OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let find = |variables: &[(OsString, OsString)], name: &str| {
        let mut names = variables.iter();
        names.position(|(variable, text)| variable == name && !text.is_empty())
    };
    let Some(port) = find(&variables, "REDIS_PORT") else {
        return variables;
    };
    if find(&variables, "REDIS_URL").is_some() {
        variables.remove(port);
        return variables;
    }
    let number = variables[port].1.to_str().map(str::trim);
    let number = number.and_then(|number| number.parse::<u16>().ok());
    if let (Some(host), Some(number)) = (find(&variables, "REDIS_HOST"), number) {
        variables[host].1.push(format!(":{number}"));
        variables.remove(port);
    }
    variables
}

/// `host` or `host:port`; an address of version 6 in brackets.
fn redis_host(text: &str) -> Result<Option<Value>, String> {
    let address = redis_address(text)?;
    Ok(address.map(|address| Value::from(format!("redis://{address}"))))
}

/// With a port.
fn redis_address(text: &str) -> Result<Option<String>, String> {
    const EXPECTED: &str = "expects a host, beside REDIS_PORT for another port than 6379; set redis.url, for \
                            instance redis://redis:6379";
    let host = text.trim();
    if host.is_empty() {
        return Ok(None);
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let has_port = host.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
    });
    match host.bytes().all(is_plain) {
        true if has_port => Ok(Some(host.to_owned())),
        true if !host.contains(':') || host.ends_with(']') => Ok(Some(format!("{host}:6379"))),
        _ => Err(EXPECTED.to_owned()),
    }
}

/// Without a host it names no server.
fn redis_port(text: &str) -> Result<Option<Value>, String> {
    match text.trim() {
        "" => Ok(None),
        _ => Err(
            "expects REDIS_HOST beside it; set redis.url, for instance redis://redis:6379"
                .to_owned(),
        ),
    }
}

/// Without a host they say nothing, and with one they are a part of its URL.
fn redis_part(text: &str) -> Result<Option<Value>, String> {
    match text.trim() {
        "" => Ok(None),
        _ => Err(
            "expects REDIS_HOST beside it, and a database as a number; set redis.url, for instance \
             redis://:password@redis:6379/0"
                .to_owned(),
        ),
    }
}

/// Who sets it believes that the edge asks for it.
fn tokens(text: &str) -> Result<Option<Value>, String> {
    match text.trim() {
        "" => Ok(None),
        _ => Err(
            "its tokens would not be asked for: Forgewire keeps digests of tokens in a file. Make entries with \
             `forgewire tokens new`, set auth.mode to tokens, and remove the variable"
                .to_owned(),
        ),
    }
}

/// Every delivery has a signature; nothing turns its check off.
fn unsigned(text: &str) -> Result<Option<Value>, String> {
    match text.trim().is_empty() || !switch(text.trim())? {
        true => Ok(None),
        false => Err(
            "deliveries without a signature are refused; set a secret in GitHub's webhook and in \
             ingest.webhook_secrets, and remove the variable"
                .to_owned(),
        ),
    }
}

/// Origins; every page of the web is none of them.
fn origins(text: &str) -> Result<Option<Value>, String> {
    if text.split(',').any(|origin| origin.trim() == "*") {
        return Err(
            "`*` would let every web page use the edge; list the origins in edge.allowed_origins, for instance \
             https://app.example.com"
                .to_owned(),
        );
    }
    words(text)
}

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

fn percent_encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let parts = text.bytes().map(|byte| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    parts.collect()
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

/// A port on this machine, or the address that `HOST` and `PORT` make.
fn address(text: &str) -> Result<Option<Value>, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) => Ok(Some(Value::from(address.to_string()))),
        Err(_) => port(text),
    }
}

/// The address of a listener, as its older name says it.
fn ip_address(text: &str) -> Option<IpAddr> {
    match text {
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        text => text.trim_matches(['[', ']']).parse().ok(),
    }
}

/// The address on which the edge listens, on its own port.
fn host(text: &str) -> Result<Option<Value>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    // Whatever is no address is another program's.
    let address = ip_address(text).map(|address| SocketAddr::new(address, EDGE_PORT));
    Ok(address.map(|address| Value::from(address.to_string())))
}

/// A level, also by the names that loggers of other languages have for it.
fn log_level(text: &str) -> Result<Option<Value>, String> {
    let level = match text.trim().to_ascii_lowercase().as_str() {
        "" => return Ok(None),
        "off" | "none" | "silent" => "off",
        "error" | "fatal" | "critical" => "error",
        "warn" | "warning" => "warn",
        "info" | "notice" => "info",
        "debug" | "verbose" => "debug",
        "trace" | "silly" => "trace",
        _ => {
            return Err(
                "expects error, warn, info, debug, trace or off; set telemetry.filter for levels per crate"
                    .to_owned(),
            );
        }
    };
    Ok(Some(Value::from(level)))
}

/// An owner alone names no repository.
fn owner(text: &str) -> Result<Option<Value>, String> {
    match text.trim() {
        "" => Ok(None),
        _ => Err(REPOSITORY_EXPECTED.to_owned()),
    }
}

/// `owner/repo`, as `GITHUB_OWNER` and `GITHUB_REPO` make it.
fn repository(text: &str) -> Result<Option<Value>, String> {
    match text.trim() {
        "" => Ok(None),
        text if text.split('/').filter(|part| !part.is_empty()).count() == 2 => words(text),
        _ => Err(REPOSITORY_EXPECTED.to_owned()),
    }
}

const REPOSITORY_EXPECTED: &str = "GITHUB_OWNER and GITHUB_REPO name one repository together; set both, or \
                                   sync.repositories to owner/repo, and remove the variable";
/// The port of `edge.listen`, if nothing sets another one.
const EDGE_PORT: u16 = 3000;

fn number(text: &str) -> Result<Option<Value>, String> {
    text.parse::<u64>()
        .map(|number| Some(Value::from(number)))
        .map_err(|_| "expects a number".to_owned())
}

/// A number, if there is one.
fn given_number(text: &str) -> Result<Option<Value>, String> {
    match text.trim() {
        "" => Ok(None),
        text => number(text),
    }
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
    fn an_app_and_the_size_of_the_cache_are_numbers_and_nothing_without_text() {
        let set = |name: &str, text: &str| {
            let mut table = TABLE.iter();
            let older = table.find(|older| older.name == name).unwrap();
            (older.key, (older.convert)(text))
        };
        let number = |number: u64| Ok(Some(Value::from(number)));
        assert_eq!(set("GITHUB_APP_ID", " 5 "), ("github.app_id", number(5)));
        let cache = set("MAX_CACHE_ENTRIES", "10000");
        assert_eq!(cache, ("sync.max_resources", number(10_000)));
        assert_eq!(set("GITHUB_APP_ID", "").1, Ok(None));
        assert!(set("MAX_CACHE_ENTRIES", "many").1.is_err());
        for refused in [
            "GITHUB_APP_PRIVATE_KEY",
            "GITHUB_APP_INSTALLATION_ID",
            "SECRETS_DIR",
            "WEBHOOK_RATE_LIMIT",
            "WEBHOOK_RATE_WINDOW_MS",
            "MCP_TOOL_GROUPS",
        ] {
            assert!(set(refused, "7").1.is_err(), "{refused}");
        }
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
    fn a_host_and_a_port_of_redis_are_one_url() {
        let url = |url: &str| Ok(Some(Value::from(url)));
        assert_eq!(redis_host("redis"), url("redis://redis:6379"));
        assert_eq!(redis_host("10.0.0.1:7000"), url("redis://10.0.0.1:7000"));
        assert_eq!(redis_host("[::1]"), url("redis://[::1]:6379"));
        assert_eq!(redis_host("[::1]:7000"), url("redis://[::1]:7000"));
        assert_eq!(redis_host(""), Ok(None));
        for wrong in ["redis://redis", "::1", "a b", "user@redis", "redis:x"] {
            assert!(redis_host(wrong).unwrap_err().contains("redis.url"));
        }
        let joined = |pairs: &[(&str, &str)]| {
            let owned = |(name, text): &(&str, &str)| (OsString::from(name), OsString::from(text));
            with_redis_parts(pairs.iter().map(owned))
        };
        let one = joined(&[("A", "1"), ("REDIS_PORT", " 7000"), ("REDIS_HOST", "redis")]);
        let expected = [("A", "1"), ("REDIS_HOST", "redis:7000")];
        assert_eq!(one, joined(&expected));
        let link = [
            ("REDIS_HOST", "redis"),
            ("REDIS_PORT", "tcp://10.0.0.1:6379"),
        ];
        assert_eq!(joined(&link).len(), 2);
        let beside = [("REDIS_PORT", "7000"), ("REDIS_URL", "redis://r:1")];
        assert_eq!(joined(&beside), joined(&beside[1..]));
        let empty = [("REDIS_PORT", "7000"), ("REDIS_HOST", "")];
        assert_eq!(joined(&empty).len(), 2, "refused by name");
        assert!(redis_port("7000").unwrap_err().contains("redis.url"));
    }

    #[test]
    fn a_password_and_a_database_of_redis_are_in_its_url_or_refused() {
        let joined = |pairs: &[(&str, &str)]| {
            let owned = |(name, text): &(&str, &str)| (OsString::from(name), OsString::from(text));
            with_redis_parts(pairs.iter().map(owned))
        };
        let all = [
            ("REDIS_HOST", "redis"),
            ("REDIS_PORT", "7000"),
            ("REDIS_PASSWORD", "a:b/c@d"),
            ("REDIS_DB", "2"),
        ];
        let url = [("REDIS_URL", "redis://:a%3Ab%2Fc%40d@redis:7000/2")];
        assert_eq!(joined(&all), joined(&url));
        assert_eq!(
            joined(&[all[0], all[3]]),
            joined(&[("REDIS_URL", "redis://redis:6379/2")])
        );
        let beside = [("REDIS_URL", "redis://r:1"), all[2], all[3]];
        assert_eq!(joined(&beside), joined(&beside[..1]));
        for refused in [&all[2..3], &all[3..], &[all[0], ("REDIS_DB", "two")]] {
            assert_eq!(joined(refused).len(), refused.len());
            let (_, text) = refused.last().unwrap();
            assert!(redis_part(text).unwrap_err().contains("redis.url"));
        }
        assert_eq!(redis_part(" "), Ok(None));
    }

    #[test]
    fn a_host_a_level_and_a_repository_are_honoured_or_refused_by_name() {
        let set = |text: &str| Ok(Some(Value::from(text)));
        assert_eq!(host("0.0.0.0"), set("0.0.0.0:3000"));
        assert_eq!(host(" localhost "), set("127.0.0.1:3000"));
        assert_eq!(host("[::1]"), set("[::1]:3000"));
        assert_eq!(host(""), Ok(None));
        for address in ["0.0.0.0", " localhost ", "[::1]", ""] {
            assert_eq!(of_others("HOST", address), None);
        }
        for name in ["x86_64-conda-linux-gnu", "edge.example.com", "10.0.0.1:80"] {
            let reason = of_others("HOST", name).unwrap();
            assert!(reason.contains("edge.listen"), "{reason}");
        }
        assert_eq!(log_level("WARNING"), set("warn"));
        assert_eq!(log_level("silent"), set("off"));
        assert_eq!(log_level(" "), Ok(None));
        assert!(log_level("loud").unwrap_err().contains("telemetry.filter"));
        let together = |pairs: &[(&str, &str)]| {
            let owned = |(name, text): &(&str, &str)| (OsString::from(name), OsString::from(text));
            with_joined_parts(pairs.iter().map(owned))
        };
        let one = |name: &str, text: &str| vec![(OsString::from(name), OsString::from(text))];
        let listener = together(&[("PORT", "8080"), ("HOST", "0.0.0.0")]);
        assert_eq!(listener, one("PORT", "0.0.0.0:8080"));
        assert_eq!(address("0.0.0.0:8080"), set("0.0.0.0:8080"));
        assert_eq!(address("8080"), set("127.0.0.1:8080"));
        let kept = together(&[("PORT", "8080"), ("HOST", "a-name")]);
        assert_eq!(kept.len(), 2, "the name is another program's");
        let named = together(&[("GITHUB_OWNER", "octo"), ("GITHUB_REPO", "cat")]);
        assert_eq!(named, one("GITHUB_REPO", "octo/cat"));
        let listed = Value::from(vec!["octo/cat"]);
        assert_eq!(repository("octo/cat"), Ok(Some(listed)));
        for refused in [owner("octo"), repository("cat")] {
            assert!(refused.unwrap_err().contains("sync.repositories"));
        }
        assert_eq!((owner(""), repository("")), (Ok(None), Ok(None)));
    }

    #[test]
    fn what_kubernetes_sets_for_a_service_is_no_port_of_ours() {
        let link = "tcp://10.0.0.1:80";
        for (name, key) in [
            ("PORT", "edge.listen"),
            ("WEBHOOK_PORT", "ingest.listen"),
            ("REDIS_PORT", "redis.url"),
        ] {
            let reason = of_others(name, link).unwrap();
            assert!(reason.contains(key), "{reason}");
            for ours in ["", "8080", "http"] {
                assert_eq!(of_others(name, ours), None, "{name}={ours}");
            }
        }
        assert_eq!(of_others("REDIS_URL", link), None);
    }

    #[test]
    fn what_would_leave_a_door_open_is_refused_by_name() {
        for text in ["secret", "a,b"] {
            let refused = tokens(text).unwrap_err();
            assert!(
                refused.contains("auth.mode") && !refused.contains(text),
                "{refused}"
            );
        }
        assert!(
            unsigned("true")
                .unwrap_err()
                .contains("ingest.webhook_secrets")
        );
        for off in ["", "false", "0"] {
            assert_eq!(unsigned(off), Ok(None));
        }
        assert_eq!(tokens(""), Ok(None));
    }

    #[test]
    fn a_wildcard_is_no_origin() {
        assert!(
            origins("https://a.example, *")
                .unwrap_err()
                .contains("edge.allowed_origins")
        );
        let listed = Value::from(vec!["https://a.example", "https://b.example"]);
        assert_eq!(
            origins("https://a.example,https://b.example"),
            Ok(Some(listed))
        );
    }

    #[test]
    fn a_switch_that_is_on_leaves_the_key_as_it_is() {
        assert_eq!(enabled("true"), Ok(None));
        assert_eq!(enabled("off"), Ok(Some(Value::from(0_u64))));
        assert!(enabled("perhaps").is_err());
    }
}
