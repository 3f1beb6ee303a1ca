//! A command that runs for each event.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use github_events::one_line_json;
use http_client::Backoff;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    error::WatchError,
    facts::{COMMAND_VARIABLES, variables},
    limits::{FIRST_COMMAND_PAUSE, LONGEST_COMMAND_PAUSE, STOP_GRACE, TERM_GRACE},
};

/// The variable with the token of the watch, which a command does not inherit: it may be an agent that reads text of
/// strangers.
const TOKEN_VARIABLE: &str = "FORGEWIRE_TOKEN";

/// A command, and how often it may fail.
#[derive(Debug, Clone)]
pub struct EventCommand {
    /// What `sh -c` runs.
    pub text: String,
    /// Attempts for one event; `None` for no bound.
    pub max_attempts: Option<u32>,
    /// Time limit of an attempt.
    pub time_limit: Duration,
}

/// What a command is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandKind {
    Event,
    Gap,
}

/// How the command for an event has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandOutcome {
    /// It has succeeded.
    Done,
    /// The watch was stopped before; the event comes again.
    Stopped,
}

/// How one attempt has ended.
enum Attempt {
    Ended(ExitStatus),
    TimedOut,
    Stopped,
}

impl EventCommand {
    /// Runs the command until it succeeds, with the JSON on its stdin.
    ///
    /// # Errors
    /// It has failed as often as it may, or there is no shell.
    pub(crate) async fn run(
        &self,
        kind: CommandKind,
        json: &str,
        stop: &CancellationToken,
    ) -> Result<CommandOutcome, WatchError> {
        let mut pauses = Backoff::new(FIRST_COMMAND_PAUSE, LONGEST_COMMAND_PAUSE);
        let mut input = one_line_json(json);
        input.push('\n');
        for attempt in 1_u32.. {
            let status = match self.attempt(kind, attempt, &input, stop).await {
                Ok(Attempt::Ended(status)) if status.success() => return Ok(CommandOutcome::Done),
                Ok(Attempt::Stopped) => return Ok(CommandOutcome::Stopped),
                Ok(Attempt::Ended(status)) => status.to_string(),
                Ok(Attempt::TimedOut) => format!("no end within {:?}", self.time_limit),
                Err(error) => return Err(WatchError::NoShell(error)),
            };
            if self.max_attempts.is_some_and(|max| attempt >= max) {
                return Err(WatchError::Command {
                    attempts: attempt,
                    status,
                });
            }
            let pause = pauses.pause();
            let seconds = pause.as_secs_f32();
            warn!(
                attempt,
                seconds, "the command has failed with {status}; trying again"
            );
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return Ok(CommandOutcome::Stopped);
            }
        }
        unreachable!("the loop ends only from inside")
    }

    async fn attempt(
        &self,
        kind: CommandKind,
        attempt: u32,
        input: &str,
        stop: &CancellationToken,
    ) -> io::Result<Attempt> {
        let mut child = self.start(kind, attempt, input)?;
        // A command may read nothing, and end with its input half written.
        let writing = child.stdin.take().map(|mut stdin| {
            let input = input.to_owned();
            tokio::spawn(async move {
                let _ = stdin.write_all(input.as_bytes()).await;
            })
        });
        let stopping = async {
            stop.cancelled().await;
            sleep(STOP_GRACE).await;
        };
        let ended = tokio::select! {
            status = child.wait() => Attempt::Ended(status?),
            () = sleep(self.time_limit) => Attempt::TimedOut,
            () = stopping => Attempt::Stopped,
        };
        if !matches!(ended, Attempt::Ended(_)) {
            terminate(&mut child).await?;
        }
        if let Some(writing) = writing {
            writing.abort();
        }
        Ok(ended)
    }

    /// Starts it in a process group of its own, so that Ctrl-C in a terminal reaches the watch alone, which gives the
    /// command time to end, and that all of a pipeline can be ended.
    fn start(&self, kind: CommandKind, attempt: u32, input: &str) -> io::Result<Child> {
        let mut command = Command::new("sh");
        command
            .args(["-c", &self.text])
            .stdin(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .env_remove(TOKEN_VARIABLE);
        for name in COMMAND_VARIABLES {
            command.env_remove(name);
        }
        let kind = match kind {
            CommandKind::Event => {
                command.envs(variables(input));
                "event"
            }
            CommandKind::Gap => "gap",
        };
        command.env(COMMAND_VARIABLES[0], kind);
        command.env(COMMAND_VARIABLES[1], attempt.to_string());
        command.spawn()
    }
}

/// Ends the process group of a command: first politely.
async fn terminate(child: &mut Child) -> io::Result<()> {
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let Some(group) = group.and_then(Pid::from_raw) else {
        return Ok(());
    };
    let _ = kill_process_group(group, Signal::TERM);
    if timeout(TERM_GRACE, child.wait()).await.is_err() {
        let _ = kill_process_group(group, Signal::KILL);
        child.wait().await?;
    }
    Ok(())
}
