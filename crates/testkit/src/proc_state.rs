//! What the kernel tells about processes in `/proc`.

use std::{fs, io, path::Path};

/// Whether every thread is stopped.
pub(crate) fn is_stopped(pid: u32) -> io::Result<bool> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that has ended in the meantime has no state and cannot answer.
        if !matches!(state(&thread?.path()), None | Some('T')) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The state of a process or thread, by its folder in `/proc`.
pub(crate) fn state(folder: &Path) -> Option<char> {
    // `pid (name) state …`; the name may contain anything.
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
