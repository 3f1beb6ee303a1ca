//! A secret in a file, which is read again when the file changes: no restart for a rotation.

use std::{
    fmt,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use model::{Classified, ErrorClass, error_chain, file_text};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{error, info};

use crate::limits::MAX_SECRET_BYTES;

/// The file with a secret cannot be used. The text repeats nothing of what is in it.
#[derive(Debug, thiserror::Error)]
#[error("{key}: the file {} {problem}", path.display())]
pub struct SecretFault {
    key: &'static str,
    path: PathBuf,
    problem: String,
}

impl Classified for SecretFault {
    fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}

/// What changes when a file does. The inode reveals a rename, and a Kubernetes Secret, which is a symlink that moves.
#[derive(Clone, Copy, PartialEq, Eq)]
struct SecretStamp {
    modified: SystemTime,
    bytes: u64,
    inode: (u64, u64),
}

/// The parser of a secret: the text without white space around it, or the reason why it is none.
type SecretParser<T> = fn(&str) -> Result<T, String>;

struct SecretState<T> {
    value: Arc<T>,
    stamp: Option<SecretStamp>,
    looked_at: Instant,
    /// The last fault that was said, so that each is said once.
    complaint: Option<String>,
}

/// A secret in a file, as the value that is made of it.
pub(crate) struct SecretFile<T> {
    /// The key of the configuration.
    key: &'static str,
    path: PathBuf,
    parse: SecretParser<T>,
    state: Mutex<SecretState<T>>,
}

/// Shows the path alone.
impl<T> fmt::Debug for SecretFile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretFile({})", self.path.display())
    }
}

impl<T> SecretFile<T> {
    /// Reads the file for the first time. Blocks.
    pub(crate) fn open(
        key: &'static str,
        path: &Path,
        parse: SecretParser<T>,
    ) -> Result<Self, SecretFault> {
        let fault = |problem| SecretFault {
            key,
            path: path.to_owned(),
            problem,
        };
        let stamp = stamp(path).map_err(fault)?;
        let value = read(path).and_then(|text| parse(&text)).map_err(fault)?;
        let state = SecretState {
            value: Arc::new(value),
            stamp: is_settled(stamp).then_some(stamp),
            looked_at: Instant::now(),
            complaint: None,
        };
        Ok(Self {
            key,
            path: path.to_owned(),
            parse,
            state: Mutex::new(state),
        })
    }

    /// The present value, at most `max_age` behind the file. While the file cannot be used, the last value that could.
    pub(crate) fn current(&self, max_age: Duration) -> Arc<T> {
        let mut state = self.state.lock();
        if state.looked_at.elapsed() >= max_age {
            state.looked_at = Instant::now();
            self.look(&mut state);
        }
        Arc::clone(&state.value)
    }

    /// Reads the file if it has changed. It is small and local, or in memory: reading it takes microseconds.
    fn look(&self, state: &mut SecretState<T>) {
        let read = stamp(&self.path).and_then(|stamp| match state.stamp {
            Some(known) if known == stamp => Ok(None),
            _ => Ok(Some((stamp, (self.parse)(&read(&self.path)?)?))),
        });
        match read {
            Ok(None) => state.complaint = None,
            Ok(Some((stamp, value))) => {
                let was_settled = state.stamp.is_some();
                state.value = Arc::new(value);
                state.stamp = is_settled(stamp).then_some(stamp);
                state.complaint = None;
                if was_settled {
                    info!(file = %self.path.display(), "{} was read again", self.key);
                }
            }
            Err(problem) => {
                if state.complaint.as_ref() != Some(&problem) {
                    error!(file = %self.path.display(), "{}: the file {problem}; the last secret stays in use", self.key);
                }
                state.complaint = Some(problem);
            }
        }
    }
}

fn stamp(path: &Path) -> Result<SecretStamp, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {}", error_chain(&error));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    // Opening a pipe would block until its other end is opened.
    if !metadata.is_file() {
        return Err("is not a file".to_owned());
    }
    Ok(SecretStamp {
        modified: metadata.modified().map_err(unreadable)?,
        bytes: metadata.len(),
        inode: (metadata.dev(), metadata.ino()),
    })
}

/// Whether any later change is certain to show: on coarse clocks a second change may leave the same stamp.
fn is_settled(stamp: SecretStamp) -> bool {
    const COARSEST_CLOCK: Duration = Duration::from_secs(2);
    let age = stamp.modified.elapsed();
    age.is_ok_and(|age| age > COARSEST_CLOCK)
}

fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {}", error_chain(&error));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_SECRET_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        return Err(format!("is larger than {MAX_SECRET_BYTES} bytes"));
    }
    let text = file_text(&bytes).map_err(|error| error.to_string())?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        match text.is_empty() {
            true => Err("is empty".to_owned()),
            false => Ok(text.to_owned()),
        }
    }

    #[test]
    fn a_secret_follows_its_file_and_outlives_a_bad_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let file = SecretFile::open("github.token_file", &path, parse).unwrap();
        let now = || file.current(Duration::ZERO).as_str().to_owned();
        assert_eq!(now(), "first");
        // In place, by rename, and as something that is no secret.
        std::fs::write(&path, "second").unwrap();
        assert_eq!(now(), "second");
        std::fs::write(folder.path().join("new"), "third").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(now(), "third");
        std::fs::write(&path, "").unwrap();
        assert_eq!(now(), "third");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(now(), "third");
        std::fs::write(&path, "fourth").unwrap();
        assert_eq!(
            *file.current(Duration::from_secs(3600)),
            "third",
            "it is not looked at yet"
        );
        assert_eq!(now(), "fourth");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_key_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let opened = || {
            SecretFile::open("github.token_file", &path, parse)
                .unwrap_err()
                .to_string()
        };
        assert!(
            opened().starts_with("github.token_file: the file "),
            "{}",
            opened()
        );
        std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
        assert!(opened().contains("larger than 65536"), "{}", opened());
        std::fs::write(&path, b"\xff\xfeh\0").unwrap();
        assert!(opened().contains("save it as UTF-8"), "{}", opened());
        std::fs::write(&path, "hunter2").unwrap();
        let file = SecretFile::open("github.token_file", &path, parse).unwrap();
        assert!(!format!("{file:?}").contains("hunter2"));
    }
}
