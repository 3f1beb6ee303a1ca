//! The last delivery that was relayed, in a file: a relay that starts again goes on after it.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tracing::info;

use crate::{
    error::RelayError,
    limits::{MAX_CURSOR_BYTES, MAX_CURSOR_FILES},
};

/// Where the last relayed delivery is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorPlace {
    /// In this file.
    File(PathBuf),
    /// In a file of this folder that is named after the webhook's id: a repository has several spellings and may be
    /// renamed, its webhook stays the same.
    Folder(PathBuf),
}

/// The webhook whose deliveries are relayed.
#[derive(Debug, Clone)]
pub(crate) struct RelayedHook {
    /// Unique on one GitHub.
    pub(crate) id: u64,
    /// The URL of GitHub's API.
    pub(crate) api: String,
    /// For the operator.
    pub(crate) repository: String,
}

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredCursor {
    repository: String,
    hook: u64,
    /// Absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api: Option<String>,
    last_delivery: u64,
}

impl StoredCursor {
    /// Whether it is about the webhook. An id is unique on one GitHub; where the API is reached by another URL than
    /// before, the repository has to be the same.
    fn is_of(&self, hook: &RelayedHook) -> bool {
        let same_api = self.api.as_ref().is_none_or(|api| *api == hook.api);
        let same_repository = self.repository.eq_ignore_ascii_case(&hook.repository);
        self.hook == hook.id && (same_api || same_repository)
    }
}

/// The file of one webhook.
#[derive(Debug)]
pub(crate) struct CursorFile {
    path: PathBuf,
    /// Where it may also be found under the name that earlier versions gave it.
    folder: Option<PathBuf>,
    hook: RelayedHook,
}

impl CursorFile {
    pub(crate) fn new(place: CursorPlace, hook: RelayedHook) -> Self {
        let (path, folder) = match place {
            CursorPlace::File(path) => (path, None),
            CursorPlace::Folder(folder) => {
                let path = folder.join(format!("relay-hook-{}.json", hook.id));
                (path, Some(folder))
            }
        };
        Self { path, folder, hook }
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
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.former()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.damaged("it is no text".to_owned()));
            }
            Err(error) => return Err(self.failed("read")(error)),
        };
        if !stored.is_of(&self.hook) {
            return Err(RelayError::Option {
                name: "--cursor",
                reason: format!(
                    "{} belongs to webhook {} of {}{}: name another file",
                    self.path.display(),
                    stored.hook,
                    stored.repository,
                    stored
                        .api
                        .map(|api| format!(" at {api}"))
                        .unwrap_or_default()
                ),
            });
        }
        Ok(Some(stored.last_delivery))
    }

    /// The last delivery by the files that earlier versions named after the repository's spelling; the earliest, so
    /// that nothing is missing.
    fn former(&self) -> Option<u64> {
        let files = fs::read_dir(self.folder.as_ref()?).ok()?;
        let cursors = files.take(MAX_CURSOR_FILES).flatten().filter_map(|file| {
            let name = file.file_name();
            let name = name.to_str()?;
            (name.starts_with("relay-") && name.ends_with(".json")).then_some(())?;
            let stored: StoredCursor = serde_json::from_str(&read(&file.path()).ok()?).ok()?;
            let last = stored.is_of(&self.hook).then_some(stored.last_delivery)?;
            Some((last, file.path()))
        });
        let (last, path) = cursors.min()?;
        info!(after = last, path = %path.display(), "the cursor of the webhook is taken over");
        Some(last)
    }

    /// Stores the id. The file is replaced whole, so that a crash leaves the old or the new one.
    pub(crate) fn save(&self, last_delivery: u64) -> Result<(), RelayError> {
        let stored = StoredCursor {
            repository: self.hook.repository.clone(),
            hook: self.hook.id,
            api: Some(self.hook.api.clone()),
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

    fn hook(id: u64, api: &str, repository: &str) -> RelayedHook {
        RelayedHook {
            id,
            api: api.to_owned(),
            repository: repository.to_owned(),
        }
    }

    #[test]
    fn a_cursor_is_that_of_its_webhook_and_survives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/cursor.json");
        let place = CursorPlace::File(path.clone());
        let of = |hook| CursorFile::new(place.clone(), hook);
        let file = of(hook(7, "https://api", "o/r"));
        assert_eq!(file.load().unwrap(), None);
        for last in [3, 12_345_678_901] {
            file.save(last).unwrap();
            assert_eq!(file.load().unwrap(), Some(last));
        }
        for other in [hook(8, "https://api", "o/r"), hook(7, "https://b", "o/x")] {
            let refused = of(other).load().unwrap_err().to_string();
            assert!(
                refused.contains("webhook 7 of o/r at https://api"),
                "{refused}"
            );
        }
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

    #[test]
    fn a_webhook_has_one_cursor_however_its_repository_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let place = CursorPlace::Folder(folder.path().to_owned());
        let of = |hook| CursorFile::new(place.clone(), hook);
        of(hook(7, "https://api", "octo/tool")).save(5).unwrap();
        for same in [
            hook(7, "https://api", "octo/tool"),
            hook(7, "https://api", "Octo/Tool"),
            hook(7, "https://api", "octo/renamed"),
            hook(7, "https://proxy/api", "OCTO/tool"),
        ] {
            assert_eq!(of(same.clone()).load().unwrap(), Some(5), "{same:?}");
        }
        assert!(of(hook(7, "https://ghe", "a/b")).load().is_err());
        assert_eq!(
            of(hook(8, "https://api", "octo/tool")).load().unwrap(),
            None
        );
    }

    #[test]
    fn the_file_of_an_earlier_version_is_taken_over_by_its_webhook() {
        let folder = tempfile::tempdir().unwrap();
        for (name, hook, last) in [
            ("relay-octo-tool.json", 7, 100),
            ("relay-Octo-Tool.json", 7, 101),
            ("relay-octo-other.json", 9, 50),
            ("notes-octo-tool.json", 7, 1),
        ] {
            let text =
                format!(r#"{{"repository":"octo/tool","hook":{hook},"lastDelivery":{last}}}"#);
            fs::write(folder.path().join(name), text).unwrap();
        }
        fs::write(folder.path().join("relay-damaged.json"), "{").unwrap();
        let place = CursorPlace::Folder(folder.path().to_owned());
        let file = CursorFile::new(place, hook(7, "https://api", "octo/kit"));
        assert_eq!(file.load().unwrap(), Some(100));
        file.save(102).unwrap();
        assert_eq!(file.load().unwrap(), Some(102));
    }
}
