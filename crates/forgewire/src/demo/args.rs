//! The demo's part of the command line.

use std::path::PathBuf;

use clap::Args;

/// How the demo is run.
// The text that users read is the subcommand's.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Folder for the demo's database; a second run continues where the first one ended.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Stop after this many events have arrived, instead of waiting for Ctrl-C.
    #[arg(long, value_name = "N")]
    pub(crate) events: Option<usize>,
}
