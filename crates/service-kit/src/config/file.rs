//! TOML files. They are read here and not by figment, whose errors show the line, which may hold a secret.

use std::{fs, io, path::Path};

use figment::value::{Dict, Value};
use model::file_text;

use super::{ConfigError, Layer};

/// Reads a file; a missing file is an error, because the user named it.
pub(super) fn read(path: &Path) -> Result<Layer, ConfigError> {
    let unreadable = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = fs::read(path).map_err(unreadable)?;
    let text = file_text(&bytes)
        .map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    let table = text.parse::<toml::Table>().map_err(|error| {
        let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ConfigError::Syntax {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            what: error.message().replace('\n', ", "),
        }
    })?;
    let origin = format!("file {}", path.display());
    Ok(Layer {
        origin,
        text: false,
        values: to_dict(table),
    })
}

fn to_dict(table: toml::Table) -> Dict {
    table
        .into_iter()
        .map(|(key, value)| (key, to_value(value)))
        .collect()
}

pub(super) fn to_value(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(yes) => yes.into(),
        // Times in the configuration are RFC 3339 text.
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(to_value).collect::<Vec<_>>().into(),
        toml::Value::Table(table) => to_dict(table).into(),
    }
}
