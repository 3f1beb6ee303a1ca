//! The keys that were set, so that a program can say which of them have no effect.

use std::fmt;

use figment::value::{Dict, Value};

use super::Layer;

/// Variables that are named where several are left for one reason. Kubernetes sets seven for a Service with one port.
const NAMED_VARIABLES: usize = 8;

/// A configuration, and the keys that were set for it.
#[derive(Debug, Clone)]
pub struct LoadedConfig<T> {
    /// The configuration.
    pub config: T,
    /// Every key that was set, once for each file, variable or flag that sets it, in the order of the
    /// layers.
    pub given: Vec<GivenKey>,
    /// Environment variables that look like settings and are not.
    pub left: Vec<LeftVariables>,
}

/// Environment variables that look like settings and were set by another program, for itself: they set no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftVariables {
    /// Their names.
    pub names: Vec<String>,
    /// Why they are left, and what helps.
    pub reason: String,
}

impl fmt::Display for LeftVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.names.len().min(NAMED_VARIABLES);
        let names = self.names[..named].join(", ");
        let (noun, verb) = match self.names.len() {
            1 => ("variable", "sets"),
            _ => ("variables", "set"),
        };
        write!(f, "environment {noun} {names}")?;
        if let more @ 1.. = self.names.len() - named {
            write!(f, " and {more} more")?;
        }
        write!(f, " {verb} no key: {}", self.reason)
    }
}

/// A key that was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenKey {
    /// The key's path, for instance `edge.max_streams`.
    pub key: String,
    /// The file, variable or flag that sets it, for instance `environment variable SYNC_INTERVAL_MS`.
    pub origin: String,
    /// The kind of origin.
    pub kind: SettingOrigin,
}

/// The kinds of origin of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingOrigin {
    /// A file; several processes may share it.
    File,
    /// An environment variable; several processes may share it.
    Environment,
    /// A flag of this process.
    Flag,
}

impl Layer {
    /// The keys that this layer sets.
    pub(super) fn given(&self, kind: SettingOrigin) -> Vec<GivenKey> {
        let mut keys = Vec::new();
        leaves("", &self.values, &mut keys);
        let given = |key| GivenKey {
            key,
            origin: self.origin.clone(),
            kind,
        };
        keys.into_iter().map(given).collect()
    }
}

fn leaves(path: &str, values: &Dict, keys: &mut Vec<String>) {
    for (key, value) in values {
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        match value {
            Value::Dict(_, inner) => leaves(&path, inner, keys),
            _ => keys.push(path),
        }
    }
}
