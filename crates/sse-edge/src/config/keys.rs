//! The keys that edges share, from the configuration and from files.

use std::{io::Read, path::Path};

use mcp::mrtr::{StateKey, StateKeys};
use model::{IdSource, SharedKey, file_text};

use super::EdgeConfig;
use crate::error::EdgeBuildError;

const STATE_KEY_FILES: &str = "edge.state_key_files";
/// Minimum length of a key; shorter text is a password.
const MIN_KEY_CHARACTERS: usize = 32;
/// Maximum size of a key file; a larger file is not a key.
const MAX_KEY_FILE_BYTES: u64 = 4096;

impl EdgeConfig {
    /// The keys that the edges share; none if the operator gave them none.
    ///
    /// # Errors
    /// A file that cannot be read, or contains no key.
    pub(crate) fn shared_keys(&self) -> Result<Vec<SharedKey>, EdgeBuildError> {
        let mut keys = Vec::new();
        for key in &self.state_keys {
            let key = check_key(key.expose()).map_err(|reason| EdgeBuildError::Value {
                key: "edge.state_keys",
                reason,
            })?;
            keys.push(key);
        }
        for path in &self.state_key_files {
            let key = read_key(path).map_err(|reason| EdgeBuildError::Value {
                key: STATE_KEY_FILES,
                reason,
            })?;
            keys.push(key);
        }
        Ok(keys)
    }

    /// The keys for `requestState`.
    ///
    /// # Errors
    /// Two of the shared keys are the same.
    pub(crate) fn state_keys(
        shared: &[SharedKey],
        ids: &dyn IdSource,
    ) -> Result<StateKeys, EdgeBuildError> {
        let random = || {
            let numbers = (0..4).map(|_| format!("{:016x}", ids.random_u64()));
            SharedKey::of_text(&numbers.collect::<String>())
        };
        let state_key = |key: &SharedKey| StateKey {
            id: key.id(),
            secret: *key.secret(),
        };
        let keys = match shared {
            [] => vec![state_key(&random())],
            shared => shared.iter().map(state_key).collect(),
        };
        StateKeys::new(keys).map_err(|error| EdgeBuildError::Value {
            key: STATE_KEY_FILES,
            reason: error.to_string(),
        })
    }
}

/// Reads one key. An error names the file and does not repeat its content.
fn read_key(path: &Path) -> Result<SharedKey, String> {
    let shown = path.display();
    let file =
        std::fs::File::open(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let mut bytes = Vec::new();
    file.take(MAX_KEY_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read {shown}: {error}"))?;
    let text = file_text(&bytes).map_err(|error| format!("cannot read {shown}: {error}"))?;
    check_key(text).map_err(|reason| format!("{shown}: {reason}"))
}

fn check_key(text: &str) -> Result<SharedKey, String> {
    let text = text.trim();
    if text.len() < MIN_KEY_CHARACTERS {
        return Err(format!(
            "a key has at least {MIN_KEY_CHARACTERS} characters; make one with `openssl rand -base64 32`"
        ));
    }
    Ok(SharedKey::of_text(text))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use model::RandomIds;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn keys(files: &[&tempfile::NamedTempFile]) -> Result<StateKeys, String> {
        let config = EdgeConfig {
            state_key_files: files.iter().map(|file| file.path().to_owned()).collect(),
            ..EdgeConfig::default()
        };
        let shared = config.shared_keys().map_err(|error| error.to_string())?;
        let keys = EdgeConfig::state_keys(&shared, &RandomIds);
        keys.map_err(|error| error.to_string())
    }

    #[test]
    fn keys_come_from_files_and_what_is_no_key_is_refused_without_showing_it() {
        let (one, two) = (
            file(&"a".repeat(44)),
            file(&format!("\u{feff}{}\r\n", "b".repeat(44))),
        );
        assert!(keys(&[]).is_ok());
        assert!(keys(&[&one, &two]).is_ok());
        let marked = keys(&[&two, &file(&"b".repeat(44))]).unwrap_err();
        assert!(
            marked.contains("same key") || marked.contains("edge.state_key_files"),
            "{marked}"
        );
        let twice = keys(&[&one, &one]).unwrap_err();
        assert!(twice.contains("edge.state_key_files"), "{twice}");
        let short = keys(&[&file("hunter2")]).unwrap_err();
        assert!(
            short.contains("32 characters") && !short.contains("hunter2"),
            "{short}"
        );
        let config = EdgeConfig {
            state_key_files: vec!["/nowhere/key".into()],
            ..EdgeConfig::default()
        };
        let missing = config.shared_keys().unwrap_err().to_string();
        assert!(missing.contains("/nowhere/key"), "{missing}");
    }
}
