//! Reads log files while another process writes to them.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use anyhow::{Context, Result};

/// Number of bytes at the end of a file that are searched for its last lines.
const TAIL_BYTES: u64 = 64 * 1024;

/// The file's text from an offset on.
pub(super) fn text_from(path: &Path, offset: u64) -> Result<String> {
    let mut bytes = Vec::new();
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last `count` lines, out of the last 64 KiB.
pub(super) fn last_lines(path: &Path, count: usize) -> Result<String> {
    let size = std::fs::metadata(path)
        .context("cannot read the size of a log")?
        .len();
    let text = text_from(path, size.saturating_sub(TAIL_BYTES))?;
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(count)..].join("\n"))
}
