//! A fault: the disk of one process is full. The process runs in a mount namespace of its own, with a small
//! file system in memory in place of its folder.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use super::Cluster;

/// Mounts the file system `$1` of `$2` MiB, and becomes the command that follows.
const MOUNT: &str =
    "mkdir -p \"$1\" && mount -t tmpfs -o size=\"$2\"m tmpfs \"$1\" && shift 2 && exec \"$@\"";
/// A namespace for mounts, which also an unprivileged user may make.
const UNSHARE: [&str; 3] = ["unshare", "--map-root-user", "--mount"];
/// The file that fills a disk.
const BALLAST: &str = "ballast";
/// The pieces in which a disk is filled, first large ones: the last page counts.
const PIECES: [usize; 2] = [64 * 1024, 512];

/// A small disk of a process.
#[derive(Debug, Clone)]
pub(super) struct SmallDisk {
    /// In the process's own folder; empty for that folder itself.
    pub(super) folder: String,
    pub(super) mebibytes: u32,
}

impl SmallDisk {
    /// The command that runs another one on the disk, in place of `data`.
    pub(super) fn wrap(&self, data: &std::path::Path, command: Vec<String>) -> Vec<String> {
        let place = data.join(&self.folder).display().to_string();
        let words = UNSHARE.into_iter().chain(["sh", "-c", MOUNT, "sh"]);
        let words = words.map(ToOwned::to_owned);
        words
            .chain([place, self.mebibytes.to_string()])
            .chain(command)
            .collect()
    }
}

/// Whether this machine lets a test give a process a disk of its own.
#[must_use]
pub fn can_have_small_disks() -> bool {
    let mut command = Command::new(UNSHARE[0]);
    let script = "mount -t tmpfs tmpfs /mnt";
    command.args(&UNSHARE[1..]).args(["sh", "-c", script]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Cluster {
    /// Fills the small disk of a process ([`super::ClusterPlan::with_small_disk`]) to the last byte.
    ///
    /// # Errors
    /// The process does not run, or has no such disk.
    pub fn fill_disk(&mut self, name: &str) -> Result<()> {
        let path = self.disk_of(name)?.join(BALLAST);
        let mut ballast = File::create(&path).context("cannot write to the small disk")?;
        for piece in PIECES {
            let piece = vec![0xa5; piece];
            loop {
                match ballast.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("cannot fill the small disk"),
                }
            }
        }
        Ok(())
    }

    /// Makes room again on a disk that [`Self::fill_disk`] filled.
    ///
    /// # Errors
    /// The process does not run, or nothing was filled.
    pub fn make_room(&mut self, name: &str) -> Result<()> {
        let path = self.disk_of(name)?.join(BALLAST);
        fs::remove_file(path).context("cannot make room on the small disk")
    }

    /// The disk as seen from outside its namespace.
    fn disk_of(&mut self, name: &str) -> Result<PathBuf> {
        let disk = self.disks.get(name);
        let folder = disk.with_context(|| format!("{name} has no small disk"))?;
        let folder = self.data(name).join(&folder.folder);
        let inside = folder
            .strip_prefix("/")
            .context("an absolute path")?
            .to_owned();
        let id = self.process(name)?.id().context("the process has ended")?;
        Ok(PathBuf::from(format!("/proc/{id}/root")).join(inside))
    }
}
