//! The texts of these variables as values of our keys; `None` where a text sets nothing.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use service_kit::config::Value;

/// `host` or `host:port`; an address of version 6 in brackets.
pub(super) fn redis_host(text: &str) -> Result<Option<Value>, String> {
    let address = redis_address(text)?;
    Ok(address.map(|address| Value::from(format!("redis://{address}"))))
}

/// With a port.
pub(super) fn redis_address(text: &str) -> Result<Option<String>, String> {
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
pub(super) fn redis_port(text: &str) -> Result<Option<Value>, String> {
    match text.trim() {
        "" => Ok(None),
        _ => Err(
            "expects REDIS_HOST beside it; set redis.url, for instance redis://redis:6379"
                .to_owned(),
        ),
    }
}

/// Without a host they say nothing, and with one they are a part of its URL.
pub(super) fn redis_part(text: &str) -> Result<Option<Value>, String> {
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
pub(super) fn tokens(text: &str) -> Result<Option<Value>, String> {
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
pub(super) fn unsigned(text: &str) -> Result<Option<Value>, String> {
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
pub(super) fn origins(text: &str) -> Result<Option<Value>, String> {
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
pub(super) fn text(text: &str) -> Result<Option<Value>, String> {
    Ok((!text.is_empty()).then(|| Value::from(text)))
}

pub(super) fn ratio(text: &str) -> Result<Option<Value>, String> {
    text.parse::<f64>()
        .map(|ratio| Some(Value::from(ratio)))
        .map_err(|_| "expects a number from 0 to 1".to_owned())
}

/// `key=value,key=value`, with values as in the W3C's header `baggage`: percent-encoded.
pub(super) fn pairs(text: &str) -> Result<Option<Value>, String> {
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

pub(super) fn list(text: &str) -> Result<Option<Value>, String> {
    Ok(Some(Value::from(vec![text.to_owned()])))
}

pub(super) fn words(text: &str) -> Result<Option<Value>, String> {
    let words = text.split(',').map(|word| word.trim().to_owned());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    Ok(Some(Value::from(words)))
}

pub(super) fn port(text: &str) -> Result<Option<Value>, String> {
    let port: u16 = text
        .parse()
        .map_err(|_| "expects a port number".to_owned())?;
    Ok(Some(Value::from(format!("127.0.0.1:{port}"))))
}

/// A port on this machine, or the address that `HOST` and `PORT` make.
pub(super) fn address(text: &str) -> Result<Option<Value>, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) => Ok(Some(Value::from(address.to_string()))),
        Err(_) => port(text),
    }
}

/// The address of a listener, as its older name says it.
pub(super) fn ip_address(text: &str) -> Option<IpAddr> {
    match text {
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        text => text.trim_matches(['[', ']']).parse().ok(),
    }
}

/// The address on which the edge listens, on its own port.
pub(super) fn host(text: &str) -> Result<Option<Value>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    // Whatever is no address is another program's.
    let address = ip_address(text).map(|address| SocketAddr::new(address, EDGE_PORT));
    Ok(address.map(|address| Value::from(address.to_string())))
}

/// A level, also by the names that loggers of other languages have for it.
pub(super) fn log_level(text: &str) -> Result<Option<Value>, String> {
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
pub(super) fn owner(text: &str) -> Result<Option<Value>, String> {
    match text.trim() {
        "" => Ok(None),
        _ => Err(REPOSITORY_EXPECTED.to_owned()),
    }
}

/// `owner/repo`, as `GITHUB_OWNER` and `GITHUB_REPO` make it.
pub(super) fn repository(text: &str) -> Result<Option<Value>, String> {
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

pub(super) fn number(text: &str) -> Result<Option<Value>, String> {
    text.parse::<u64>()
        .map(|number| Some(Value::from(number)))
        .map_err(|_| "expects a number".to_owned())
}

/// A number, if there is one.
pub(super) fn given_number(text: &str) -> Result<Option<Value>, String> {
    match text.trim() {
        "" => Ok(None),
        text => number(text),
    }
}

/// Rounded up, so that a short time does not become zero.
pub(super) fn seconds(text: &str) -> Result<Option<Value>, String> {
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
pub(super) fn enabled(text: &str) -> Result<Option<Value>, String> {
    Ok((!switch(text)?).then(|| Value::from(0_u64)))
}

pub(super) fn database(text: &str) -> Result<Option<Value>, String> {
    let folder = text.trim_end_matches('/');
    Ok(Some(Value::from(format!("{folder}/forgewire.db"))))
}
