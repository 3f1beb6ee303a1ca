//! A child process under test: logs in files, a ready line, SIGTERM, `kill -9`, restart.
//!
//! Output goes straight into files, so that a child never blocks on the parent and its last output
//! survives its death. Every child has a watchdog, a shell that waits on a pipe held by this
//! process: when this process dies, for whatever reason, the pipe closes and the watchdog kills the
//! child. (The kernel's own mechanism for this, `PR_SET_PDEATHSIG`, needs `unsafe`.)

mod logs;
mod ready;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

pub use ready::ReadyLine;

use crate::proc_state::is_stopped;

/// Waits for the end of standard input, then kills the process with the given id. Ctrl-C is sent to
/// every process of a terminal, and must not end the watchdog before the child.
const WATCHDOG: &str = "trap '' INT TERM HUP QUIT; read -r _; kill -9 \"$1\"";
/// The variables that a child inherits from the environment: none of them could configure it by
/// accident.
const INHERITED: [&str; 8] = [
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "LLVM_PROFILE_FILE",
];
/// Time allowed for all threads of a process to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// Pause between two checks of a process that starts, stops or ends.
const POLL_MILLIS: u64 = 10;
/// Number of lines of each log that an error shows.
const SHOWN_LINES: usize = 25;

/// The description of a process to run.
#[derive(Debug, Clone)]
pub struct ProcessCommand {
    /// Its name, for messages and log files.
    pub name: String,
    /// The program: a path, or a name that is looked up in `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, in addition to `PATH`, `HOME`, `RUST_LOG` and a few more variables that it
    /// inherits.
    pub env: BTreeMap<String, String>,
    /// Folder of its log files `<name>.out.log` and `<name>.err.log`; restarts append to them.
    pub logs: PathBuf,
    /// Whether it gets its own process group, so that Ctrl-C on the terminal does not reach it and
    /// its parent stops it in order.
    pub own_group: bool,
}

/// A process that was started, and may have ended since. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    command: ProcessCommand,
    running: Option<Running>,
    out: PathBuf,
    err: PathBuf,
    /// Offset in the out log at which this run's output begins.
    out_from: u64,
}

#[derive(Debug)]
struct Running {
    child: Child,
    watchdog: Child,
}

impl Process {
    /// Starts the process.
    ///
    /// # Errors
    /// The program does not exist or cannot run, or a log file cannot be written.
    pub fn start(command: ProcessCommand) -> Result<Self> {
        fs::create_dir_all(&command.logs)
            .with_context(|| format!("cannot make the folder {}", command.logs.display()))?;
        let out = command.logs.join(format!("{}.out.log", command.name));
        let err = command.logs.join(format!("{}.err.log", command.name));
        let mut process = Self {
            command,
            running: None,
            out,
            err,
            out_from: 0,
        };
        process.spawn()?;
        Ok(process)
    }

    fn spawn(&mut self) -> Result<()> {
        let (out, err) = (append(&self.out)?, append(&self.err)?);
        self.out_from = out
            .metadata()
            .context("cannot read the size of a log")?
            .len();
        let process_command = &self.command;
        let mut command = Command::new(&process_command.program);
        command
            .args(&process_command.args)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err);
        command.envs(
            INHERITED
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        command.envs(&process_command.env);
        if process_command.own_group {
            command.process_group(0);
        }
        let what = || {
            format!(
                "cannot start {} ({})",
                process_command.name,
                process_command.program.display()
            )
        };
        let mut child = command.spawn().with_context(what)?;
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match watchdog {
            Ok(watchdog) => self.running = Some(Running { child, watchdog }),
            Err(error) => {
                child
                    .kill()
                    .and_then(|()| child.wait())
                    .context("cannot stop a process again")?;
                return Err(error).context("cannot start `sh` as a watchdog");
            }
        }
        Ok(())
    }

    /// Sets a variable of its environment from the next start on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.command.env.insert(name.to_owned(), value.to_owned());
    }

    /// Name of the process.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.command.name
    }

    /// Its process id; `None` if it is not running.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// Whether it is running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.poll_exit(), Ok(None)) && self.running.is_some()
    }

    /// The exit status, if the process has ended since the last check; `None` if it is running or
    /// if its end was already reported.
    fn poll_exit(&mut self) -> Result<Option<ExitStatus>> {
        let Some(running) = &mut self.running else {
            return Ok(None);
        };
        let status = running
            .child
            .try_wait()
            .context("cannot read the status of a process")?;
        if status.is_some() {
            self.end_watchdog();
        }
        Ok(status)
    }

    /// Called once the child has ended: its process id may be reused by another process.
    fn end_watchdog(&mut self) {
        if let Some(mut running) = self.running.take() {
            // Both fail only if the watchdog has already ended, which is the goal.
            let _ = running.watchdog.kill();
            let _ = running.watchdog.wait();
        }
    }

    /// Waits until `ready` gives a value, polling every few milliseconds.
    ///
    /// # Errors
    /// The process ends first, or `within` passes; the error quotes the last lines of its logs.
    pub async fn wait_until<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut ready: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        let started = Instant::now();
        loop {
            let exited = self.poll_exit()?;
            if let Some(found) = ready(self).await {
                return Ok(found);
            }
            let name = &self.command.name;
            if let Some(status) = exited {
                bail!(
                    "{name} ended ({status}) before {what}\n{}",
                    self.last_lines()
                );
            }
            if self.running.is_none() {
                bail!(
                    "{name} is not running, so there will be no {what}\n{}",
                    self.last_lines()
                );
            }
            if started.elapsed() > within {
                bail!("{name}: no {what} within {within:?}\n{}", self.last_lines());
            }
            tokio::time::sleep(Duration::from_millis(POLL_MILLIS)).await;
        }
    }

    /// Waits for this run's ready line on standard output, which names the bound addresses.
    ///
    /// # Errors
    /// The process ends first, or `within` passes; the error quotes the last lines of its logs.
    pub async fn ready_line(&mut self, within: Duration) -> Result<ReadyLine> {
        self.wait_until("ready line", within, async |process: &Self| {
            let output = logs::text_from(&process.out, process.out_from).ok()?;
            output.lines().find_map(ReadyLine::parse)
        })
        .await
    }

    /// Sends a signal; `Signal::STOP` freezes the process, all of it by the time this returns; `Signal::CONT` resumes
    /// it.
    ///
    /// # Errors
    /// It is not running.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let name = &self.command.name;
        let pid = self
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{name} is not running"))?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {name}"))?;
        match signal {
            Signal::STOP => self.wait_until_stopped(),
            _ => Ok(()),
        }
    }

    /// SIGSTOP only requests the stop: on a busy machine a thread could still answer a request.
    fn wait_until_stopped(&self) -> Result<()> {
        let name = &self.command.name;
        let pid = self
            .id()
            .with_context(|| format!("{name} is not running"))?;
        let deadline = Instant::now() + STOP_DEADLINE;
        while !is_stopped(pid).with_context(|| format!("cannot see the threads of {name}"))? {
            ensure!(Instant::now() < deadline, "{name} does not stop");
            std::thread::sleep(Duration::from_millis(POLL_MILLIS));
        }
        Ok(())
    }

    /// Sends SIGKILL. Does nothing if the process is not running.
    ///
    /// # Errors
    /// The operating system refuses; never in practice.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(running) = &mut self.running {
            running.child.kill().context("cannot kill a process")?;
            running
                .child
                .wait()
                .context("cannot wait for a killed process")?;
        }
        self.end_watchdog();
        Ok(())
    }

    /// Sends SIGTERM, then waits for the process to end; kills it if it is still running after
    /// `within`.
    ///
    /// # Errors
    /// It is not running, or it had to be killed; the error quotes the last lines of its logs.
    pub async fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait_for_end(within).await
    }

    /// Waits for the process to end after a signal; kills it if it is still running after `within`.
    ///
    /// # Errors
    /// It is not running, or it had to be killed; the error quotes the last lines of its logs.
    pub async fn wait_for_end(&mut self, within: Duration) -> Result<ExitStatus> {
        ensure!(
            self.running.is_some(),
            "{} is not running",
            self.command.name
        );
        let started = Instant::now();
        loop {
            if let Some(status) = self.poll_exit()? {
                return Ok(status);
            }
            if started.elapsed() > within {
                self.kill()?;
                let name = &self.command.name;
                bail!(
                    "{name} had to be killed {within:?} after SIGTERM\n{}",
                    self.last_lines()
                );
            }
            tokio::time::sleep(Duration::from_millis(POLL_MILLIS)).await;
        }
    }

    /// Kills the process if it is running, and starts it with the same command. Does not wait for
    /// readiness.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.spawn()
    }

    /// The end of its logs, for messages.
    #[must_use]
    pub fn last_lines(&self) -> String {
        let part = |path: &Path| {
            let lines = logs::last_lines(path, SHOWN_LINES).unwrap_or_default();
            format!("--- the end of {} ---\n{lines}", path.display())
        };
        format!("{}\n{}", part(&self.out), part(&self.err))
    }

    /// The whole standard error, of all runs.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn errors(&self) -> Result<String> {
        logs::text_from(&self.err, 0)
    }

    /// The whole standard output, of all runs.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn output(&self) -> Result<String> {
        logs::text_from(&self.out, 0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A failure cannot be handled here; the watchdog is the second safeguard.
        let _ = self.kill();
    }
}

fn append(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests;
