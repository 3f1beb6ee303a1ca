//! The bearer token of a client: from a file, or from the environment.

use std::{
    env::{self, VarError},
    fs::File,
    io::Read,
    path::Path,
};

use anyhow::{Context, bail};
use model::file_text;

/// Environment variable with the token, used when no file is named.
const TOKEN_VARIABLE: &str = "FORGEWIRE_TOKEN";
/// Maximum number of bytes read from the token file.
const MAX_TOKEN_FILE_BYTES: u64 = 8192;

/// The token in the file, or else in the environment; `None` if there is neither.
///
/// # Errors
/// The file cannot be read, or the variable is not text.
pub(crate) fn client_token(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    if let Some(path) = file {
        return Ok(Some(
            read(path).with_context(|| path.display().to_string())?,
        ));
    }
    match env::var(TOKEN_VARIABLE) {
        Ok(token) => Ok(Some(token).filter(|token| !token.trim().is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => bail!("{TOKEN_VARIABLE} is not text"),
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(MAX_TOKEN_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(file_text(&bytes)?.to_owned())
}
