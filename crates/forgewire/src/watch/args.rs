//! The watch's part of the command line.

use std::path::PathBuf;

use clap::Args;

use crate::bounded_number::whole_within;

/// What a user has to know beside the flags.
const MORE_HELP: &str = "\
A line has at most 450 characters, and nothing in it that a terminal would take for a command; what strangers wrote is
in double quotes. A line that begins with [gap] says that events are gone. The position is kept in a file for each --name,
and moves only when the line was written or the command has succeeded: a watch that starts again, with the same or
another edge of the installation, goes on there, and an event may come twice after a crash. Logs go to stderr.

Exit codes:
  0  stopped, or --once is done, or nothing reads the lines any more
  1  a file, stdout or the certificates of the system cannot be used
  2  a flag or the filter is wrong
  3  the edge refuses the token
  4  there is no edge at the URL, or one that refuses its name; no such subscription, or it has ended
  5  another watch, or the command of one that was killed, has the name
  6  the command of --exec has failed for good
An edge that cannot be reached is tried again for ever.";

/// The edge, the events, and what is done with them.
#[derive(Debug, Args)]
#[command(after_help = MORE_HELP)]
pub(crate) struct WatchArgs {
    /// The edge, http or https.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    pub(super) url: String,
    /// Events to watch, as field=value pairs which all have to match, for instance
    /// 'repo=acme/rocket type=pull_request'; a value with white space is in double quotes. The fields are resourceType,
    /// eventType, action, resourceId, databaseId, owner, repo, number, actor, authors, authorAssociation, source, tags,
    /// isPullRequest and includePullRequests. Without it: every event.
    #[arg(long, value_name = "FIELD=VALUE …", conflicts_with = "subscription")]
    pub(super) filter: Option<String>,
    /// A subscription, which has filters of its own (POST /events/subscribe).
    #[arg(long, value_name = "ID")]
    pub(super) subscription: Option<String>,
    /// Where to begin: a time such as 2026-11-20T10:00:00Z, how long ago (30s, 15m, 2h, 7d, 1w), or a cursor. It counts
    /// once: later starts with the same --since go on after the kept position, one with another begins there. Without
    /// it, and without a kept position: the next event.
    #[arg(long, value_name = "START")]
    pub(super) since: Option<String>,
    /// Name of the kept position. Without it, one that follows from the URL and the filter. One watch at a time has a
    /// name.
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Folder of the kept positions. Without it, forgewire/watch in $XDG_STATE_HOME, or in ~/.local/state.
    #[arg(long, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,
    /// Print all of an event, as JSON on one line.
    #[arg(long, conflicts_with = "exec")]
    pub(super) json: bool,
    /// Command for each event, run by sh with the event as JSON on stdin, in place of a line; one at a time, in order.
    /// FORGEWIRE_EVENT_KIND is event, or gap where events are gone; FORGEWIRE_EVENT_ID, …_TYPE, …_ACTION,
    /// …_RESOURCE_TYPE, …_OWNER, …_REPO, …_NUMBER, …_ACTOR and …_URL have its facts, where they have no character that
    /// a shell could take for its own. FORGEWIRE_TOKEN is not passed on. An event counts as done when the command
    /// exits with 0.
    #[arg(long, value_name = "COMMAND")]
    pub(super) exec: Option<String>,
    /// Attempts of the command for one event, with growing pauses, before the watch ends with exit code 6 and the
    /// event stays the next one; 0 for no bound.
    #[arg(long, value_name = "N", default_value_t = 5, requires = "exec", allow_negative_numbers = true,
          value_parser = |text: &str| whole_within::<u32>(text, 0..=u32::MAX.into()))]
    pub(super) exec_attempts: u32,
    /// Seconds after which a command is ended, and counts as failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, requires = "exec", allow_negative_numbers = true,
          value_parser = |text: &str| whole_within::<u64>(text, 1..=86_400))]
    pub(super) exec_timeout_seconds: u64,
    /// Lines in a minute: where events come faster, lines that begin with "[more]" count them in place of their own. The
    /// position moves past them with that line. For clients that stop a command which prints too much.
    #[arg(long, value_name = "N", conflicts_with_all = ["json", "exec"], allow_negative_numbers = true,
          value_parser = |text: &str| whole_within::<u32>(text, 1..=100_000))]
    pub(super) lines_per_minute: Option<u32>,
    /// End after the first event.
    #[arg(long)]
    pub(super) once: bool,
    /// File with the bearer token; without it, the environment variable FORGEWIRE_TOKEN, if set.
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Log more.
    #[arg(long, short)]
    pub(super) verbose: bool,
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn read(flags: &[&str]) -> Result<WatchArgs, String> {
        let command = WatchArgs::augment_args(Command::new("watch"));
        let given = ["watch", "--exec", "true"].iter().chain(flags);
        let matches = command
            .try_get_matches_from(given)
            .map_err(|error| error.to_string())?;
        WatchArgs::from_arg_matches(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn a_number_out_of_its_bounds_is_refused_with_the_flag_and_its_bounds() {
        let read_seconds = read(&["--exec-timeout-seconds", "60"]).unwrap();
        assert_eq!(read_seconds.exec_timeout_seconds, 60);
        for wrong in ["-1", "0", "1.5", "86401", "1e300", "1h", "for ever"] {
            let refused = read(&["--exec-timeout-seconds", wrong]).unwrap_err();
            let names = ["--exec-timeout-seconds", "from 1 to 86400", wrong];
            assert!(names.iter().all(|name| refused.contains(name)), "{refused}");
        }
        for wrong in ["-1", "4294967296", "many"] {
            let refused = read(&["--exec-attempts", wrong]).unwrap_err();
            assert!(
                refused.contains("--exec-attempts") && refused.contains("from 0 to"),
                "{refused}"
            );
        }
    }
}
