//! The position of a watch, in a file for each name. A watch that starts again goes on after it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rustix::io::{FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};

use crate::{error::WatchError, limits::MAX_STATE_BYTES, since::WatchStart};

/// What the file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredPosition {
    /// The cursor after the last event that was dealt with, or the time from which to begin.
    after: Option<String>,
    /// The `--since` that has had its effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

/// The position of one name. While it exists, no other process has the name.
#[derive(Debug)]
pub(crate) struct WatchState {
    path: PathBuf,
    stored: StoredPosition,
    /// Held, not read.
    _lock: NameLock,
}

/// The lock of a name. A command inherits it, so that after the sudden end of a watch no other one runs a second command
/// beside it; a watch that ends in order gives the name free, whatever a command has left running.
#[derive(Debug)]
struct NameLock(File);

impl NameLock {
    fn take(file: File) -> Result<Self, TryLockError> {
        file.try_lock()?;
        fcntl_setfd(&file, FdFlags::empty()).map_err(|error| TryLockError::Error(error.into()))?;
        Ok(Self(file))
    }
}

impl Drop for NameLock {
    fn drop(&mut self) {
        // Closing alone would leave it to whoever has inherited it. A lock that cannot be taken off ends with them.
        let _ = self.0.unlock();
    }
}

impl WatchState {
    /// Takes the name, and reads its position.
    ///
    /// # Errors
    /// Another process has the name, or a file cannot be read or written.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<Self, WatchError> {
        let path = folder.join(format!("{name}.json"));
        let failed = |action| {
            let path = path.clone();
            move |source| WatchError::State {
                path,
                action,
                source,
            }
        };
        make_folder(folder).map_err(failed("made"))?;
        let lock = folder.join(format!("{name}.lock"));
        let mut options = OpenOptions::new();
        let lock = options.create(true).append(true).open(lock);
        let lock = lock.map_err(failed("locked"))?;
        let lock = match NameLock::take(lock) {
            Ok(lock) => lock,
            Err(TryLockError::WouldBlock) => {
                let name = name.to_owned();
                return Err(WatchError::NameTaken { name });
            }
            Err(TryLockError::Error(error)) => return Err(failed("locked")(error)),
        };
        let stored = match read(&path) {
            Ok(stored) => stored,
            Err(error) if error.kind() == io::ErrorKind::NotFound => StoredPosition::default(),
            Err(error) => return Err(failed("read; remove it to begin anew")(error)),
        };
        Ok(Self {
            path,
            stored,
            _lock: lock,
        })
    }

    /// The cursor or time after which to go on; `None` before anything was watched.
    pub(crate) fn after(&self) -> Option<&str> {
        self.stored.after.as_deref()
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Begins at a start that is given anew; says whether it is.
    pub(crate) fn begin(&mut self, start: &WatchStart) -> Result<bool, WatchError> {
        if self.after().is_some() && self.stored.since.as_ref() == Some(&start.given) {
            return Ok(false);
        }
        self.store(StoredPosition {
            after: Some(start.position.clone()),
            since: Some(start.given.clone()),
        })?;
        Ok(true)
    }

    /// Keeps the position after an event.
    pub(crate) fn save(&mut self, cursor: String) -> Result<(), WatchError> {
        if self.after() == Some(&cursor) {
            return Ok(());
        }
        self.store(StoredPosition {
            after: Some(cursor),
            since: self.stored.since.clone(),
        })
    }

    fn store(&mut self, stored: StoredPosition) -> Result<(), WatchError> {
        write(&self.path, &stored).map_err(|source| WatchError::State {
            path: self.path.clone(),
            action: "written",
            source,
        })?;
        self.stored = stored;
        Ok(())
    }
}

/// Makes the folder, and those above it, for the user alone.
fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn read(path: &Path) -> io::Result<StoredPosition> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_STATE_BYTES)
        .read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

/// Replaces the file whole, so that a crash leaves the old position or the new one.
fn write(path: &Path, stored: &StoredPosition) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    serde_json::to_writer(&mut file, stored)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(new, path)?;
    // The name too has to survive a crash of the machine.
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use model::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn start(text: &str) -> WatchStart {
        WatchStart::parse(text, Timestamp::parse("2026-11-20T10:00:00Z").unwrap()).unwrap()
    }

    #[test]
    fn a_position_outlives_the_process_and_a_name_has_one_watch() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("sub/state");
        let mut state = WatchState::open(&folder, "a").unwrap();
        assert_eq!(state.after(), None);
        state.save("one".to_owned()).unwrap();
        let second = WatchState::open(&folder, "a").unwrap_err();
        assert_eq!(second.exit_code(), 5);
        assert!(second.to_string().contains("--name"), "{second}");
        let other = WatchState::open(&folder, "b").unwrap();
        assert_eq!(other.after(), None);
        drop(state);
        let mut state = WatchState::open(&folder, "a").unwrap();
        assert_eq!(state.after(), Some("one"));
        state.save("two".to_owned()).unwrap();
        drop(state);
        assert_eq!(WatchState::open(&folder, "a").unwrap().after(), Some("two"));
    }

    /// A watch that is killed cannot give its name free: its command has it until it ends.
    #[test]
    fn a_name_is_taken_until_the_command_of_a_killed_watch_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let open = || WatchState::open(folder.path(), "a");
        let mut state = open().unwrap();
        let mut command = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let other = File::open("/dev/null").unwrap();
        drop(std::mem::replace(&mut state._lock.0, other));
        drop(state);
        assert_eq!(open().unwrap_err().exit_code(), 5);
        drop(command.stdin.take());
        command.wait().unwrap();
        open().unwrap();
    }

    #[test]
    fn what_a_command_has_left_running_takes_no_name_after_an_end_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let open = || WatchState::open(folder.path(), "a");
        let state = open().unwrap();
        let mut left = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        drop(state);
        open().unwrap();
        drop(left.stdin.take());
        left.wait().unwrap();
    }

    #[test]
    fn a_start_counts_when_it_is_given_anew() {
        let folder = tempfile::tempdir().unwrap();
        let open = || WatchState::open(folder.path(), "a").unwrap();
        let mut state = open();
        assert!(state.begin(&start("2h")).unwrap());
        assert_eq!(state.after(), Some("2026-11-20T08:00:00.000Z"));
        state.save("cursor".to_owned()).unwrap();
        drop(state);
        let mut state = open();
        assert!(!state.begin(&start("2h")).unwrap(), "a restart goes on");
        assert_eq!(state.after(), Some("cursor"));
        assert!(state.begin(&start("3h")).unwrap());
        assert_eq!(state.after(), Some("2026-11-20T07:00:00.000Z"));
    }

    #[test]
    fn a_file_that_is_none_of_ours_is_named_with_the_fix() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.json"), "x").unwrap();
        let refused = WatchState::open(folder.path(), "a").unwrap_err();
        assert_eq!(refused.exit_code(), 1);
        let text = refused.to_string();
        assert!(
            text.contains("a.json") && text.contains("remove it"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn what_was_saved_is_what_is_read_whatever_a_crash_left_beside_it(
            saved in proptest::collection::vec("[A-Za-z0-9_-]{1,87}", 1..5),
            leftover in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let folder = tempfile::tempdir().unwrap();
            for cursor in saved {
                let mut state = WatchState::open(folder.path(), "a").unwrap();
                state.save(cursor.clone()).unwrap();
                drop(state);
                // The beginning of a write that did not finish.
                fs::write(folder.path().join("a.json.new"), &leftover).unwrap();
                let state = WatchState::open(folder.path(), "a").unwrap();
                prop_assert_eq!(state.after(), Some(cursor.as_str()));
            }
        }
    }
}
