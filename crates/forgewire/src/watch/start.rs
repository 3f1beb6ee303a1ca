//! Runs the watch.

use std::{env, io::IsTerminal, os::fd::AsFd, path::PathBuf, process::ExitCode, time::Duration};

use event_watch::{EventCommand, WatchError, WatchFilter, WatchOptions, WatchOutput, WatchStart};
use model::{Clock, SystemClock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use service_kit::{lifecycle::stop_signal, telemetry::TelemetryConfig};
use tokio::{io::stdout, time::sleep};
use tokio_util::sync::CancellationToken;

use super::args::WatchArgs;
use crate::client_token::client_token;

/// Pause between two looks whether anything reads stdout.
const READER_LOOK: Duration = Duration::from_secs(2);

impl WatchArgs {
    /// # Errors
    /// A flag has no meaning, or the token cannot be read; the text names it and the fix.
    pub(crate) fn options(&self) -> anyhow::Result<WatchOptions> {
        let token = client_token(self.token_file.as_deref())?;
        let filter = WatchFilter::parse(self.filter.as_deref().unwrap_or_default())?;
        let folder = match &self.state_dir {
            Some(folder) => folder.clone(),
            None => state_folder(|name| env::var_os(name).map(PathBuf::from))?,
        };
        let mut options = WatchOptions::new(&self.url, token.as_deref(), &filter, folder)?;
        if let Some(id) = &self.subscription {
            options = options.with_subscription(id)?;
        }
        if let Some(name) = &self.name {
            options = options.with_name(name)?;
        }
        let since = self.since.as_deref();
        let start = since.map(|text| WatchStart::parse(text, SystemClock.now()));
        options.since = start.transpose()?;
        options.once = self.once;
        options.output = match &self.exec {
            Some(text) => WatchOutput::Command(EventCommand {
                text: text.clone(),
                max_attempts: Some(self.exec_attempts).filter(|attempts| *attempts > 0),
                time_limit: Duration::from_secs(self.exec_timeout_seconds),
            }),
            None if self.json => WatchOutput::Json,
            None => WatchOutput::Lines(self.lines_per_minute),
        };
        Ok(options)
    }

    pub(crate) fn telemetry(&self) -> TelemetryConfig {
        let filter = if self.verbose { "debug" } else { "info" };
        TelemetryConfig {
            filter: filter.to_owned(),
            ..TelemetryConfig::default()
        }
    }
}

/// The folder of state of this user (XDG Base Directory Specification): a path that is not absolute does not count.
fn state_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, WatchError> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    let folder = state.map(|state| state.join("forgewire/watch"));
    folder.ok_or_else(|| WatchError::Option {
        name: "--state-dir",
        reason: "neither XDG_STATE_HOME nor HOME is set: name a folder for the kept positions"
            .to_owned(),
    })
}

/// Watches until a stop signal, or until nothing reads the lines any more.
///
/// # Errors
/// There is no runtime, or a [`WatchError`].
pub(crate) fn run(options: WatchOptions) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let prints = !matches!(options.output, WatchOutput::Command(_));
    let ended = runtime.block_on(async {
        let stop = CancellationToken::new();
        let ending = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stop_signal() => {}
                () = output_closed(), if prints => {}
            }
            ending.cancel();
        });
        event_watch::run(options, stdout(), stop).await
    });
    // A write to stdout cannot be cancelled; waiting for it would delay the exit.
    runtime.shutdown_background();
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// Resolves when the other end of stdout is closed, also while nothing is written. Never for a terminal or a file.
async fn output_closed() {
    let stdout = std::io::stdout();
    if stdout.is_terminal() {
        return std::future::pending().await;
    }
    let now = Timespec::default();
    loop {
        let mut looked = [PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::empty())];
        let found = poll(&mut looked, Some(&now));
        if found.is_ok()
            && looked[0]
                .revents()
                .intersects(PollFlags::ERR | PollFlags::HUP)
        {
            return;
        }
        sleep(READER_LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_where_the_user_keeps_it() {
        let folder = |set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(known, _)| *known == name);
            state_folder(|name| find(name).map(|(_, path)| PathBuf::from(path)))
        };
        for (set, expected) in [
            (
                &[("XDG_STATE_HOME", "/s"), ("HOME", "/h")][..],
                "/s/forgewire/watch",
            ),
            (
                &[("XDG_STATE_HOME", "s"), ("HOME", "/h")],
                "/h/.local/state/forgewire/watch",
            ),
            (&[("HOME", "/h")], "/h/.local/state/forgewire/watch"),
        ] {
            assert_eq!(folder(set).unwrap(), PathBuf::from(expected));
        }
        let refused = folder(&[("HOME", "")]).unwrap_err().to_string();
        assert!(refused.starts_with("--state-dir: "), "{refused}");
    }

    #[test]
    fn variables_of_commands_are_no_configuration() {
        let other = crate::config::OTHER_NAMES;
        for name in event_watch::COMMAND_VARIABLES {
            assert!(
                other.contains(&name),
                "{name}: a command could not run forgewire"
            );
        }
    }
}
