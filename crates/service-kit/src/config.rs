//! Configuration in layers, each overriding the one before:
//!
//! 1. defaults: the values of `#[serde(default)]` in the caller's structs,
//! 2. TOML files, in the order given,
//! 3. older environment names, through the caller's table of [`OlderName`],
//! 4. the environment, `FORGEWIRE_<SECTION>__<KEY>`,
//! 5. flags of the command line ([`Override`]).
//!
//! Tables merge key by key; any other value, lists included, is replaced as a whole. An unknown key or
//! an invalid value prevents the start: [`ConfigError::Invalid`] lists every such key with the file,
//! variable or flag that it came from, but never with its value, which may be a secret.
//!
//! The root struct and each section need `#[serde(default, deny_unknown_fields)]`. Defaults are deliberately
//! not a figment layer: such a layer is made by serializing, and a [`Secret`] serializes as `***`.
//!
//! # Text of the environment
//! The text of a variable is converted to the type of its field: a number for a number,
//! `true`/`false`/`1`/`0` for a bool, `a,b` or `[a, b]` for a list (quote an item that contains a
//! comma), `{a = 1}` for a table. A string field takes the text unchanged, even `12345`. An empty text
//! means no value for an optional field and an empty list for a list.

mod env;
mod error;
mod file;
mod given;
mod secret;
mod typed;

use std::{ffi::OsString, path::PathBuf};

use figment::{
    Figment, Metadata, Profile, Provider,
    util::nest,
    value::{Dict, Map},
};
use serde::de::DeserializeOwned;

pub use error::{ConfigError, ConfigProblem};
pub use figment::value::Value;
pub use given::{GivenKey, LeftVariables, LoadedConfig, SettingOrigin};
pub use secret::Secret;

/// The prefix of Forgewire's environment variables.
pub const ENV_PREFIX: &str = "FORGEWIRE_";

/// Maximum number of problems that one error lists; fixing these reveals the rest.
const MAX_PROBLEMS: usize = 20;

/// An older environment variable that is still honoured. `FORGEWIRE_` variables take precedence over it.
#[derive(Debug, Clone, Copy)]
pub struct OlderName {
    /// The variable.
    pub name: &'static str,
    /// The key that it sets, for instance `sync.interval_seconds`.
    pub key: &'static str,
    /// Converts its text to the key's value, or to `None` if the text leaves the key as it is; the error says
    /// what is expected, without the text.
    pub convert: fn(&str) -> Result<Option<Value>, String>,
}

/// A value from a command-line flag.
#[derive(Debug, Clone)]
pub struct Override {
    /// The flag as the user wrote it, for instance `--skip-sync`.
    pub flag: String,
    /// The key that it sets.
    pub key: String,
    /// The value.
    pub value: Value,
}

impl Override {
    /// `flag` sets `key` to `value`.
    #[must_use]
    pub fn new(flag: &str, key: &str, value: impl Into<Value>) -> Self {
        Self {
            flag: flag.to_owned(),
            key: key.to_owned(),
            value: value.into(),
        }
    }
}

/// Environment variables that need special treatment.
#[derive(Debug, Clone, Copy, Default)]
pub struct EnvNames<'a> {
    /// Older environment names.
    pub older: &'a [OlderName],
    /// Variables that begin with `FORGEWIRE_` but are read elsewhere and name no key.
    pub ignored: &'a [&'a str],
    /// The reason why a variable with one of the older names and this text is another program's; it is left alone.
    pub others: Option<fn(name: &str, text: &str) -> Option<&'static str>>,
}

/// Whether the text of a variable `<NAME>_PORT` is what Kubernetes sets for a Service of that name, such as
/// `tcp://10.0.0.1:80`.
#[must_use]
pub fn is_service_port(text: &str) -> bool {
    env::is_port_url(text)
}

/// Loads a configuration; `env` is for instance `std::env::vars_os()`.
///
/// # Errors
/// A file cannot be read or is not TOML; a key is unknown; a value is invalid.
pub fn load<T: DeserializeOwned>(
    files: &[PathBuf],
    env: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    flags: &[Override],
) -> Result<T, ConfigError> {
    load_with(files, env, flags, EnvNames::default()).map(|loaded| loaded.config)
}

/// As [`load`], with older environment names, and with the keys that were set.
///
/// # Errors
/// As [`load`].
pub fn load_with<T: DeserializeOwned>(
    files: &[PathBuf],
    env: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    flags: &[Override],
    names: EnvNames<'_>,
) -> Result<LoadedConfig<T>, ConfigError> {
    let (mut figment, mut given) = (Figment::new(), Vec::new());
    for path in files {
        let layer = file::read(path)?;
        given.extend(layer.given(SettingOrigin::File));
        figment = figment.merge(layer);
    }
    let env = env
        .into_iter()
        .map(|(name, text)| (name.into(), text.into()));
    let env::EnvLayers {
        layers,
        mut problems,
        left,
    } = env::layers(env, names);
    for layer in layers {
        given.extend(layer.given(SettingOrigin::Environment));
        figment = figment.merge(layer);
    }
    for Override { flag, key, value } in flags {
        let layer = Layer::new(format!("flag {flag}"), key, value.clone());
        given.extend(layer.given(SettingOrigin::Flag));
        figment = figment.merge(layer);
    }
    let loaded = typed::extract(&figment, &mut problems);
    match loaded {
        Some(config) if problems.is_empty() => Ok(LoadedConfig {
            config,
            given,
            left,
        }),
        _ => {
            problems.truncate(MAX_PROBLEMS);
            Err(ConfigError::Invalid(problems))
        }
    }
}

/// Values from one origin. Each variable or flag is a layer of its own, so that the origin of each value
/// is known exactly.
struct Layer {
    origin: String,
    /// Whether its values are text that has yet to be converted to the types of their fields.
    text: bool,
    values: Dict,
}

impl Layer {
    /// The parts of `key` are separated by dots.
    fn new(origin: String, key: &str, value: Value) -> Self {
        let values = nest(key, value).into_dict().unwrap_or_default();
        Self {
            origin,
            text: false,
            values,
        }
    }
}

/// Marks the metadata of layers whose values are text.
const TEXT: &str = "text";

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        let metadata = Metadata::named(self.origin.clone());
        if self.text {
            metadata.source(TEXT)
        } else {
            metadata
        }
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

#[cfg(test)]
mod tests;
