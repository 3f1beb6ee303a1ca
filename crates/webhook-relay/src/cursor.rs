//! The last delivery that was relayed, in a file: a relay that starts again goes on after it.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{error::RelayError, limits::MAX_CURSOR_BYTES};

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredCursor {
    repository: String,
    hook: u64,
    last_delivery: u64,
}

/// The file of one webhook.
#[derive(Debug)]
pub(crate) struct CursorFile {
    path: PathBuf,
    repository: String,
    hook: u64,
}

impl CursorFile {
    pub(crate) fn new(path: PathBuf, repository: String, hook: u64) -> Self {
        Self {
            path,
            repository,
            hook,
        }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> RelayError {
        let path = self.path.clone();
        move |source| RelayError::Cursor {
            path,
            action,
            source,
        }
    }

    fn damaged(&self, reason: String) -> RelayError {
        let path = self.path.clone();
        RelayError::DamagedCursor { path, reason }
    }

    fn parse(&self, text: &str) -> Result<StoredCursor, RelayError> {
        if text.trim().is_empty() {
            return Err(self.damaged("it is empty".to_owned()));
        }
        serde_json::from_str(text).map_err(|error| self.damaged(error.to_string()))
    }

    /// The id of the last relayed delivery; `None` if there is no file yet.
    pub(crate) fn load(&self) -> Result<Option<u64>, RelayError> {
        let stored = match read(&self.path) {
            Ok(text) => self.parse(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.damaged("it is no text".to_owned()));
            }
            Err(error) => return Err(self.failed("read")(error)),
        };
        if stored.repository != self.repository || stored.hook != self.hook {
            return Err(RelayError::Option {
                name: "--cursor",
                reason: format!(
                    "{} belongs to webhook {} of {}: name another file",
                    self.path.display(),
                    stored.hook,
                    stored.repository
                ),
            });
        }
        Ok(Some(stored.last_delivery))
    }

    /// Stores the id. The file is replaced whole, so that a crash leaves the old or the new one.
    pub(crate) fn save(&self, last_delivery: u64) -> Result<(), RelayError> {
        let stored = StoredCursor {
            repository: self.repository.clone(),
            hook: self.hook,
            last_delivery,
        };
        write(&self.path, &stored).map_err(self.failed("written"))
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?
        .take(MAX_CURSOR_BYTES)
        .read_to_string(&mut text)?;
    Ok(text)
}

fn write(path: &Path, stored: &StoredCursor) -> io::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    serde_json::to_writer(&mut file, stored)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_that_of_its_webhook_and_survives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/cursor.json");
        let file = CursorFile::new(path.clone(), "o/r".to_owned(), 7);
        assert_eq!(file.load().unwrap(), None);
        for last in [3, 12_345_678_901] {
            file.save(last).unwrap();
            assert_eq!(file.load().unwrap(), Some(last));
        }
        let other = CursorFile::new(path.clone(), "o/r".to_owned(), 8);
        assert!(
            other
                .load()
                .unwrap_err()
                .to_string()
                .contains("webhook 7 of o/r")
        );
        for (damage, reason) in [
            (&b""[..], "it is empty"),
            (b" \n", "it is empty"),
            (b"{", "EOF"),
            (b"{}", "missing field"),
            (b"\xff", "it is no text"),
        ] {
            fs::write(&path, damage).unwrap();
            let text = file.load().unwrap_err().to_string();
            assert!(
                text.contains(reason) && text.contains("remove it"),
                "{text}"
            );
        }
    }
}
