//! The bridge's part of the command line.

use std::path::PathBuf;

use clap::Args;

/// The edge to connect to.
///
/// One JSON-RPC message per line, both ways, in every revision of MCP; logs go to stderr. Broken
/// streams are reopened and continue where they ended; a lost session is replaced. The end of stdin
/// ends the session.
#[derive(Debug, Args)]
pub(crate) struct StdioArgs {
    /// The edge or its MCP endpoint, http or https; without a path it is /mcp.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000/mcp")]
    pub(super) url: String,
    /// File with the bearer token; without it, the environment variable FORGEWIRE_TOKEN, if set.
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Log more.
    #[arg(long, short)]
    pub(super) verbose: bool,
}
