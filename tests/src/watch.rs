//! `forgewire watch`, run as a user runs it.

use std::{fs, path::Path, process::ExitStatus, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use testkit::{
    cluster::forgewire_binary,
    process::{Process, ProcessCommand},
};

use crate::until;

/// Time allowed for the process to end.
const END: Duration = Duration::from_secs(30);

/// A running watch, whose position is kept under one name in a folder. Dropping it kills the process.
#[derive(Debug)]
pub struct WatchProcess {
    process: Process,
}

impl WatchProcess {
    /// The name under which the position is kept.
    const NAME: &'static str = "scenario";

    /// Starts a watch of the edge or balancer at `edge`. `run` distinguishes the runs in one folder.
    ///
    /// # Errors
    /// The binary does not exist, or it does not start.
    pub fn start(edge: &Url, folder: &Path, run: &str, args: &[&str]) -> Result<Self> {
        let binary = forgewire_binary().context("no forgewire binary: run `make test`")?;
        let state = folder.display().to_string();
        let fixed = [
            "watch",
            "--url",
            edge.as_str(),
            "--name",
            Self::NAME,
            "--state-dir",
            &state,
        ];
        let args = fixed.iter().chain(args).map(|arg| (*arg).to_owned());
        let process = Process::start(ProcessCommand {
            name: format!("watch-{run}"),
            program: binary,
            args: args.collect(),
            env: [].into(),
            logs: folder.to_owned(),
            own_group: false,
        })?;
        Ok(Self { process })
    }

    /// What is kept as the position; empty before there is one.
    #[must_use]
    pub fn position(folder: &Path) -> String {
        let file = folder.join(format!("{}.json", Self::NAME));
        fs::read_to_string(file).unwrap_or_default()
    }

    /// Whether no watch has the name, and no command of one that was killed.
    #[must_use]
    pub fn is_name_free(folder: &Path) -> bool {
        let lock = fs::File::open(folder.join(format!("{}.lock", Self::NAME)));
        lock.is_ok_and(|lock| lock.try_lock().is_ok())
    }

    /// Waits until the watch has a position, so that it misses nothing from now on.
    ///
    /// # Errors
    /// There is none within 30 s.
    pub async fn is_watching(&self, folder: &Path) -> Result<()> {
        let watching = until("the watch has a position", async || {
            !Self::position(folder).is_empty()
        });
        watching.await.with_context(|| self.process.last_lines())
    }

    /// The lines so far.
    ///
    /// # Errors
    /// The log of the process cannot be read.
    pub fn lines(&self) -> Result<Vec<String>> {
        let output = self.process.output()?;
        // The last line may still be on its way.
        let whole = output.rfind('\n').map_or("", |end| &output[..end]);
        Ok(whole.lines().map(ToOwned::to_owned).collect())
    }

    /// The ids of the events in the lines so far.
    ///
    /// # Errors
    /// A line has none.
    pub fn event_ids(&self) -> Result<Vec<String>> {
        self.lines()?
            .iter()
            .map(|line| event_id(line).map(ToOwned::to_owned))
            .collect()
    }

    /// Waits until there are this many lines.
    ///
    /// # Errors
    /// There are fewer after 30 s.
    pub async fn has_lines(&self, count: usize) -> Result<()> {
        let has = until("the watch has its lines", async || {
            self.lines().is_ok_and(|lines| lines.len() >= count)
        });
        has.await.with_context(|| self.process.last_lines())
    }

    /// Stops it as a service manager does, and expects that it ends well.
    ///
    /// # Errors
    /// It does not end within 30 s, or with another exit code than 0.
    pub async fn stop(mut self) -> Result<()> {
        let status = self.process.terminate(END).await?;
        ensure!(status.success(), "{status}\n{}", self.process.last_lines());
        Ok(())
    }

    /// Kills it in the middle of whatever it does.
    ///
    /// # Errors
    /// The operating system refuses; never in practice.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It does not end within 30 s.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        self.process.wait_for_end(END).await
    }

    /// What it wrote to stderr.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn errors(&self) -> Result<String> {
        self.process.errors()
    }
}

/// The id of the event in a line.
///
/// # Errors
/// The line has none.
pub fn event_id(line: &str) -> Result<&str> {
    let id = line
        .rsplit_once("[id ")
        .and_then(|(_, id)| id.strip_suffix(']'));
    id.with_context(|| format!("a line without an id: {line}"))
}
