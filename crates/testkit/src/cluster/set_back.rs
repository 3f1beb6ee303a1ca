//! Putting the data of a process back to an earlier state: a failover to a replica that lags, a restored
//! snapshot, a power cut that took what was not synced.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Cluster, FaultOutcome, System, SystemNode};
use crate::folder;

impl Cluster {
    /// Remembers the data of a process; call it while the process writes nothing.
    ///
    /// # Errors
    /// The folder of the process cannot be copied.
    pub fn save(&self, name: &str) -> Result<()> {
        let (data, saved) = self.folders(name);
        folder::replace(&saved, &data).with_context(|| format!("cannot save the data of {name}"))
    }

    /// Kills a process, puts back the data that [`Self::save`] remembered, starts it on the same ports, and
    /// waits until it is ready.
    ///
    /// # Errors
    /// No process has this name, nothing was saved, or it does not become ready in time.
    pub async fn put_back(&mut self, name: &str) -> Result<()> {
        self.kill(name)?;
        let (data, saved) = self.folders(name);
        folder::replace(&data, &saved).with_context(|| format!("cannot put {name} back"))?;
        self.restart(name).await
    }

    fn folders(&self, name: &str) -> (PathBuf, PathBuf) {
        let dir = self.dir();
        (dir.join(name), dir.join(format!("{name}.saved")))
    }
}

impl System {
    /// Remembers the data of a node; see [`Cluster::save`].
    ///
    /// # Errors
    /// As [`Cluster::save`].
    pub fn save(&mut self, node: SystemNode) -> Result<FaultOutcome> {
        match self.process_name(node) {
            Ok(name) => self.cluster().save(&name).map(|()| FaultOutcome::Done),
            Err(reason) => Ok(FaultOutcome::NotApplicable(reason)),
        }
    }

    /// Puts a node back to the data that [`Self::save`] remembered; see [`Cluster::put_back`]. Embedded: all
    /// roles are one process, which starts again.
    ///
    /// # Errors
    /// As [`Cluster::put_back`].
    pub async fn put_back(&mut self, node: SystemNode) -> Result<FaultOutcome> {
        match self.process_name(node) {
            Ok(name) => {
                self.cluster().put_back(&name).await?;
                Ok(FaultOutcome::Done)
            }
            Err(reason) => Ok(FaultOutcome::NotApplicable(reason)),
        }
    }
}
