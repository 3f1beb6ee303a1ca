//! Converts environment variables to layers, one per variable.

use std::{collections::BTreeMap, ffi::OsString, net::IpAddr};

use super::{ConfigProblem, ENV_PREFIX, EnvNames, Layer, LeftVariables};

/// What the environment comes to.
pub(super) struct EnvLayers {
    /// The layers of older names, then those of `FORGEWIRE_` names.
    pub(super) layers: Vec<Layer>,
    pub(super) problems: Vec<ConfigProblem>,
    pub(super) left: Vec<LeftVariables>,
}

/// Reads the environment.
pub(super) fn layers(
    env: impl Iterator<Item = (OsString, OsString)>,
    names: EnvNames<'_>,
) -> EnvLayers {
    // Sorted, so that the same environment always gives the same result.
    let mut env: BTreeMap<String, OsString> = env
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text)))
        .collect();
    let left = take_others(&mut env, names);
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
    EnvLayers {
        layers,
        problems,
        left,
    }
}

/// Takes out the variables that other programs set.
fn take_others(env: &mut BTreeMap<String, OsString>, names: EnvNames<'_>) -> Vec<LeftVariables> {
    let mut links = Vec::new();
    let mut left = Vec::new();
    env.retain(|name, text| {
        let Some(text) = text.to_str() else {
            return true;
        };
        let is_older = names.older.iter().any(|older| older.name == name);
        let reason = names.others.filter(|_| is_older);
        if let Some(reason) = reason.and_then(|others| others(name, text)) {
            left.push(LeftVariables {
                names: vec![name.clone()],
                reason: reason.to_owned(),
            });
            return false;
        }
        let is_link = name
            .strip_prefix(ENV_PREFIX)
            .is_some_and(|rest| !rest.contains("__") && is_service_link(rest, text));
        if is_link {
            links.push(name.clone());
        }
        !is_link
    });
    if !links.is_empty() {
        left.push(LeftVariables {
            names: links,
            reason: "Kubernetes sets them for a Service; `enableServiceLinks: false` in the pod's spec leaves them out"
                .to_owned(),
        });
    }
    left
}

fn ours(name: &str, text: &OsString) -> Result<Layer, ConfigProblem> {
    let rest = &name[ENV_PREFIX.len()..];
    let parts: Vec<_> = rest.split("__").collect();
    if parts.len() < 2 || parts.contains(&"") {
        let what = "not a key: Forgewire's variables are FORGEWIRE_<SECTION>__<KEY> with two underscores, \
                    for instance FORGEWIRE_EDGE__LISTEN";
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
    let ends_with = |end: &str| rest == end || rest.ends_with(&format!("_{end}"));
    let is_number = |text: &str| text.parse::<u16>().is_ok();
    let is_address = || text.parse::<IpAddr>().is_ok();
    if ends_with("SERVICE_HOST") {
        return is_address();
    }
    if ends_with("SERVICE_PORT") || rest.contains("SERVICE_PORT_") {
        return is_number(text);
    }
    if ends_with("PORT") && is_port_url(text) {
        return true;
    }
    let of_protocol = |protocol: &str| {
        let (port, part) = rest.rsplit_once(protocol)?;
        let (before, number) = port.rsplit_once('_').unwrap_or(("", port));
        let is_port = (before == "PORT" || before.ends_with("_PORT")) && is_number(number);
        is_port.then_some(part)
    };
    let part = ["_TCP", "_UDP", "_SCTP"].into_iter().find_map(of_protocol);
    match part {
        Some("") => is_port_url(text),
        Some("_ADDR") => is_address(),
        Some("_PORT") => is_number(text),
        Some("_PROTO") => ["tcp", "udp", "sctp"].contains(&text),
        _ => false,
    }
}

/// Whether a text is what Kubernetes, and container engines before it, set in place of a port: `tcp://10.0.0.1:80`.
pub(super) fn is_port_url(text: &str) -> bool {
    let schemes = ["tcp://", "udp://", "sctp://"];
    schemes.iter().any(|scheme| text.trim().starts_with(scheme))
}
