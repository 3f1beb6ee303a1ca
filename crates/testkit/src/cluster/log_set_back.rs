//! A fault: the event log is put back to an earlier state, as after a power cut without sync or from a
//! restored snapshot.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};

use super::{System, SystemKind};
use crate::folder;

/// A copy of the folder in which the event log is stored.
#[derive(Debug)]
#[must_use = "a copy that is not put back proves nothing"]
pub struct SavedLog(PathBuf);

impl System {
    /// The process that stores the event log.
    fn log_process(&self) -> &'static str {
        match self.kind() {
            SystemKind::Embedded => "forgewire",
            SystemKind::Cluster => "nats",
        }
    }

    /// Copies the event log as it is now. Its process is killed for that and started again.
    ///
    /// # Errors
    /// The files cannot be copied, or the process does not become ready again.
    pub async fn save_log(&mut self) -> Result<SavedLog> {
        let name = self.log_process();
        let saved = self.cluster().dir().join("saved-log");
        let data = self.cluster().data(name);
        self.cluster().kill(name)?;
        folder::copy(&data, &saved).context("cannot copy the event log")?;
        self.cluster().restart(name).await?;
        Ok(SavedLog(saved))
    }

    /// Begins an empty event log in the place of the present one, as a NATS server whose volume was lost.
    ///
    /// # Errors
    /// The system is embedded; the files cannot be removed, or the process does not start again.
    pub async fn lose_log(&mut self) -> Result<()> {
        ensure!(self.kind() == SystemKind::Cluster, "it has no NATS server");
        let name = self.log_process();
        let data = self.cluster().data(name).join("jetstream");
        self.cluster().kill(name)?;
        fs::remove_dir_all(&data).context("cannot remove the event log")?;
        self.cluster().restart(name).await
    }

    /// Puts the event log back to a copy. Its process is killed for that and started again; embedded, that
    /// is the whole system.
    ///
    /// # Errors
    /// As [`Self::save_log`].
    pub async fn put_log_back(&mut self, saved: SavedLog) -> Result<()> {
        let name = self.log_process();
        let data = self.cluster().data(name);
        self.cluster().kill(name)?;
        folder::replace(&data, &saved.0).context("cannot put the event log back")?;
        self.cluster().restart(name).await
    }
}
