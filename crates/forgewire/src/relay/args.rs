//! The relay's part of the command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::bounded_number::whole_within;

/// Where deliveries come from, and where they go.
///
/// With --repository, the deliveries that GitHub keeps for a webhook of the repository are polled; the token
/// (GITHUB_TOKEN, `github.token` or `github.token_file`) needs the scope admin:repo_hook, or read access to webhooks. The
/// URL of that webhook does not matter. Each delivery is posted to the ingest, signed with the first of
/// `ingest.webhook_secrets` and `ingest.webhook_secret_files` (WEBHOOK_SECRET).
///
/// With --url, a channel of server-sent events such as https://smee.io/… is read, to which the webhook points. Anybody
/// can post to a channel: a message is passed on, with its own signature, only if one of these secrets made that
/// signature for its body; the others are counted in the log.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("source").required(true).args(["repository", "url"])))]
pub(crate) struct RelayArgs {
    /// Repository whose webhook's deliveries are relayed, or its URL.
    #[arg(long, value_name = "OWNER/REPO")]
    pub(super) repository: Option<String>,
    /// Id of the webhook; without it, the only one of the repository.
    #[arg(long, value_name = "ID", requires = "repository")]
    pub(super) hook: Option<u64>,
    /// File with the last relayed delivery; a relay that starts again goes on after it. Without it,
    /// forgewire-data/relay-hook-ID.json, with the id of the webhook.
    #[arg(long, value_name = "FILE", requires = "repository")]
    pub(super) cursor: Option<PathBuf>,
    /// Without that file: relay all deliveries that GitHub still lists, not only those from now on.
    #[arg(long, requires = "repository")]
    pub(super) from_beginning: bool,
    /// Seconds between two looks at the list, 1 to 3600.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, requires = "repository", allow_negative_numbers = true,
          value_parser = |text: &str| whole_within::<u64>(text, 1..=3600))]
    pub(super) interval_seconds: u64,
    /// URL of a channel.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Also pass on messages of the channel whose signature is missing or does not fit the body, signed by the relay:
    /// for a channel that changes bodies. This gives up the check of who sent them: whoever knows the URL of the
    /// channel can then make events of any content.
    #[arg(long, requires = "url")]
    pub(super) accept_unverified: bool,
    /// Base URL of the ingest, not of the edge. Without it, `ingest.listen` on this machine.
    #[arg(long, value_name = "URL")]
    pub(super) to: Option<String>,
    /// TOML file with settings; may be given several times, later ones win.
    #[arg(long = "config", value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Log more.
    #[arg(long, short)]
    pub(super) verbose: bool,
}
