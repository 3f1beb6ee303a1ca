//! Converts environment variables to layers, one per variable.

use std::{collections::BTreeMap, ffi::OsString};

use super::{ConfigProblem, ENV_PREFIX, EnvNames, Layer};

/// The layers of older names, then those of `FORGEWIRE_` names, and the problems of either.
pub(super) fn layers(
    env: impl Iterator<Item = (OsString, OsString)>,
    names: EnvNames<'_>,
) -> (Vec<Layer>, Vec<ConfigProblem>) {
    // Sorted, so that the same environment always gives the same result.
    let env: BTreeMap<String, OsString> = env
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text)))
        .collect();
    let older = names.older.iter().filter_map(|older| {
        let text = env.get(older.name)?;
        let value = utf8(text).and_then(older.convert);
        match value {
            Ok(value) => Some(Ok(Layer::new(origin(older.name), older.key, value?))),
            Err(what) => Some(Err(problem(older.key.to_owned(), older.name, what))),
        }
    });
    let ours = env
        .iter()
        .filter(|(name, _)| {
            let listed = names.ignored.contains(&name.as_str())
                || names.older.iter().any(|older| older.name == name.as_str());
            name.starts_with(ENV_PREFIX) && !listed
        })
        .map(|(name, text)| ours(name, text));
    let (mut layers, mut problems) = (Vec::new(), Vec::new());
    for layer in older.chain(ours) {
        match layer {
            Ok(layer) => layers.push(layer),
            Err(problem) => problems.push(problem),
        }
    }
    (layers, problems)
}

fn ours(name: &str, text: &OsString) -> Result<Layer, ConfigProblem> {
    let rest = &name[ENV_PREFIX.len()..];
    let parts: Vec<_> = rest.split("__").collect();
    if parts.len() < 2 || parts.contains(&"") {
        let text = text.to_string_lossy();
        let what = if is_service_link(rest, &text) {
            "Kubernetes set this variable for a Service, it is not a configuration key; set \
             `enableServiceLinks: false` in the pod's spec"
        } else {
            "not a key: Forgewire's variables are FORGEWIRE_<SECTION>__<KEY> with two underscores, \
             for instance FORGEWIRE_EDGE__LISTEN"
        };
        return Err(problem(String::new(), name, what.to_owned()));
    }
    let key = parts.join(".").to_ascii_lowercase();
    match utf8(text) {
        Ok(text) => Ok(Layer {
            text: true,
            ..Layer::new(origin(name), &key, text.into())
        }),
        Err(what) => Err(problem(key, name, what)),
    }
}

fn utf8(text: &OsString) -> Result<&str, String> {
    text.to_str().ok_or_else(|| "not UTF-8 text".to_owned())
}

fn origin(name: &str) -> String {
    format!("environment variable {name}")
}

fn problem(key: String, name: &str, what: String) -> ConfigProblem {
    ConfigProblem {
        key,
        origin: origin(name),
        what,
    }
}

/// Kubernetes sets in every pod, for each Service `forgewire-x` of its namespace,
/// `FORGEWIRE_X_SERVICE_HOST`, `…_SERVICE_PORT[_<NAME>]`, `…_PORT=tcp://…` and
/// `…_PORT_<number>_TCP[_ADDR|_PORT|_PROTO]`. Source: Kubernetes documentation, "Accessing the Service",
/// environment variables.
fn is_service_link(rest: &str, text: &str) -> bool {
    let url = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    let protocols = ["_TCP", "_UDP", "_SCTP"];
    let numbered = protocols.iter().any(|protocol| {
        let port = rest.split(protocol).next().unwrap_or_default();
        let number = port.rsplit('_').next().unwrap_or_default();
        rest.contains(protocol) && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    });
    url || numbered || rest.ends_with("SERVICE_HOST") || rest.contains("SERVICE_PORT")
}
