//! The token file on disk: checked at intervals, read when it changed.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, SystemTime},
};

use model::file_text;
use sha2::{Digest, Sha256};

use super::table::{TokenFileError, TokenTable};

/// Maximum size of the file: 10,000 tokens with a few owners each.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// A file has to stay unchanged for this long before it is used: by then, most editors and copies
/// that write in place have finished. Replacing the file by rename does not depend on this.
const SETTLE: Duration = Duration::from_millis(100);
/// A file that changed shorter than this before it was read is read once more: on coarse clocks a
/// second change may have left the same timestamp.
const COARSEST_CLOCK: Duration = Duration::from_secs(2);

/// The metadata that changes when a file does. The inode reveals a rename, and a Kubernetes Secret,
/// which is a symlink that moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct FileStamp {
    modified: SystemTime,
    bytes: u64,
    inode: (u64, u64),
}

impl FileStamp {
    fn of(path: &Path) -> Result<Self, TokenFileError> {
        let metadata = fs::metadata(path).map_err(TokenFileError::Read)?;
        // Opening a pipe would block until its other end is opened.
        if !metadata.is_file() {
            return Err(TokenFileError::NotAFile);
        }
        Ok(Self {
            modified: metadata.modified().map_err(TokenFileError::Read)?,
            bytes: metadata.len(),
            inode: (metadata.dev(), metadata.ino()),
        })
    }

    /// Whether any later change is certain to show.
    fn is_settled(self) -> bool {
        self.modified
            .elapsed()
            .is_ok_and(|age| age > COARSEST_CLOCK)
    }
}

/// The file, and what is known of it.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    known: Option<FileStamp>,
    /// Digest of the last valid text.
    in_force: [u8; 32],
    /// The last error that was reported, so that each is reported once.
    complaint: Option<String>,
}

impl TokenFile {
    /// Reads the file for the first time. Blocks.
    pub(super) fn open(path: &Path) -> Result<(Self, TokenTable), TokenFileError> {
        let stamp = FileStamp::of(path)?;
        let text = read(path)?;
        let table = TokenTable::parse(&text)?;
        let file = Self {
            path: path.to_owned(),
            known: stamp.is_settled().then_some(stamp),
            in_force: digest(&text),
            complaint: None,
        };
        Ok((file, table))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its tokens, if the file changed. Blocks.
    ///
    /// # Errors
    /// An error in the file, reported once.
    pub(super) fn reload_if_changed(&mut self) -> Result<Option<TokenTable>, TokenFileError> {
        let looked = self.read_changed();
        let complaint = looked.as_ref().err().map(error_text);
        let news = complaint != self.complaint;
        self.complaint = complaint;
        match looked {
            Err(_) if !news => Ok(None),
            looked => looked,
        }
    }

    fn read_changed(&mut self) -> Result<Option<TokenTable>, TokenFileError> {
        let stamp = FileStamp::of(&self.path)?;
        if self.known == Some(stamp) {
            return Ok(None);
        }
        sleep(SETTLE);
        let text = read(&self.path)?;
        if FileStamp::of(&self.path)? != stamp {
            return Ok(None);
        }
        self.known = stamp.is_settled().then_some(stamp);
        let content = digest(&text);
        if self.in_force == content {
            return Ok(None);
        }
        let table = TokenTable::parse(&text)?;
        self.in_force = content;
        Ok(Some(table))
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// An error with its source, for comparison.
fn error_text(error: &TokenFileError) -> String {
    format!(
        "{error}: {:?}",
        std::error::Error::source(error).map(ToString::to_string)
    )
}

/// Reads the whole file, up to its maximum size.
pub(super) fn read(path: &Path) -> Result<String, TokenFileError> {
    FileStamp::of(path)?;
    let file = File::open(path).map_err(TokenFileError::Read)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(TokenFileError::Read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(TokenFileError::TooLarge {
            max_bytes: MAX_FILE_BYTES,
        });
    }
    Ok(file_text(&bytes)?.to_owned())
}
