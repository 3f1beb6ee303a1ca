//! `roots/list` (MCP, Client Features, "Roots"; deprecated by SEP-2577, removal not before 2027).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    limits::MAX_ROOTS,
    params::{self, InputError},
};

/// The folders that a client works in.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Roots {
    /// Up to 256 roots.
    pub roots: Vec<Root>,
}

/// A folder.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Root {
    /// A `file://…` URI; not checked.
    pub uri: String,
    /// Label for humans.
    #[serde(default)]
    pub name: Option<String>,
}

impl Roots {
    pub(super) fn read(result: &RawValue) -> Result<Self, InputError> {
        let roots: Self = params::parse(Some(result))?;
        if roots.roots.len() > MAX_ROOTS {
            return Err(InputError::new("roots", "at most 256"));
        }
        Ok(roots)
    }
}
