//! Configuration in layers, each above the one before:
//!
//! 1. defaults: what `#[serde(default)]` of the caller's structs says,
//! 2. TOML files, in the order given,
//! 3. older environment names, through the caller's table of [`OlderName`],
//! 4. the environment, `FORGEWIRE_<SECTION>__<KEY>`,
//! 5. flags of the command line ([`Override`]).
//!
//! Tables merge key by key; anything else, lists too, is replaced as a whole. A key that does not
//! exist or a value that does not fit stops the start: [`ConfigError::Invalid`] lists every such
//! key with the file, variable or flag that it came from, and never with its value, which may be a
//! secret.
//!
//! The root struct and each section need `#[serde(default, deny_unknown_fields)]`. Defaults are not
//! a figment layer on purpose: that layer is made by serializing, and a [`Secret`] serializes as
//! `***`.
//!
//! # Text of the environment
//! A variable's text becomes what the field wants: a number for a number, `true`/`false`/`1`/`0`
//! for a bool, `a,b` or `[a, b]` for a list (quote an item that holds a comma), `{a = 1}` for a
//! table. A string field takes the text as it is, also `12345`. Empty text is no value for an
//! optional field and an empty list for a list.

mod env;
mod error;
mod file;
mod secret;
mod typed;

use std::{ffi::OsString, path::PathBuf};

use figment::{
    Figment, Metadata, Profile, Provider,
    util::nest,
    value::{Dict, Map},
};
use serde::de::DeserializeOwned;

pub use error::{ConfigError, Invalid};
pub use figment::value::Value;
pub use secret::Secret;

/// What the names of our environment variables begin with.
pub const ENV_PREFIX: &str = "FORGEWIRE_";

/// Most problems that one error lists; repairing these shows the rest.
const MAX_PROBLEMS: usize = 20;

/// An environment name of before, still honoured. `FORGEWIRE_` names win over it.
#[derive(Debug, Clone, Copy)]
pub struct OlderName {
    /// The variable.
    pub name: &'static str,
    /// The key that it sets, for instance `sync.interval_seconds`.
    pub key: &'static str,
    /// Turns its text into the key's value; the error says what is expected, without the text.
    pub convert: fn(&str) -> Result<Value, String>,
}

/// A value that a flag of the command line gives.
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

/// What stands beside files, environment and flags.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names<'a> {
    /// Older environment names.
    pub older: &'a [OlderName],
    /// Variables that begin with `FORGEWIRE_`, are read elsewhere, and name no key.
    pub ignored: &'a [&'a str],
}

/// Loads a configuration; `env` is for instance `std::env::vars_os()`.
///
/// # Errors
/// A file cannot be read or is not TOML; a key does not exist; a value does not fit.
pub fn load<T: DeserializeOwned>(
    files: &[PathBuf],
    env: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    flags: &[Override],
) -> Result<T, ConfigError> {
    load_with(files, env, flags, Names::default())
}

/// As [`load`], with older environment names.
///
/// # Errors
/// As [`load`].
pub fn load_with<T: DeserializeOwned>(
    files: &[PathBuf],
    env: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    flags: &[Override],
    names: Names<'_>,
) -> Result<T, ConfigError> {
    let mut figment = Figment::new();
    for path in files {
        figment = figment.merge(file::read(path)?);
    }
    let env = env
        .into_iter()
        .map(|(name, text)| (name.into(), text.into()));
    let (layers, mut problems) = env::layers(env, names);
    for layer in layers {
        figment = figment.merge(layer);
    }
    for Override { flag, key, value } in flags {
        figment = figment.merge(Layer::new(format!("flag {flag}"), key, value.clone()));
    }
    let loaded = typed::extract(&figment, &mut problems);
    match loaded {
        Some(config) if problems.is_empty() => Ok(config),
        _ => {
            problems.truncate(MAX_PROBLEMS);
            Err(ConfigError::Invalid(problems))
        }
    }
}

/// Values from one place. One variable or flag is one layer: so each value knows exactly where it
/// is from.
struct Layer {
    origin: String,
    /// Its values are text that has yet to become what the field wants.
    text: bool,
    values: Dict,
}

impl Layer {
    /// `key` has dots between its parts.
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
