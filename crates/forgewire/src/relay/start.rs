//! Runs the relay with the settings of the process.

use std::{
    fs::File,
    io::Read,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail};
use model::file_text;
use service_kit::{
    config::{Override, Secret},
    lifecycle::stop_signal,
    telemetry::TelemetryConfig,
};
use tokio_util::sync::CancellationToken;
use webhook_relay::{CursorPlace, DeliveryList, RelayChannel, RelayOptions, RelaySource};

use super::args::RelayArgs;
use crate::config::Config;

/// Maximum number of bytes read from a file with a token.
const MAX_TOKEN_FILE_BYTES: u64 = 8192;

impl RelayArgs {
    /// The relay, and the settings of its log.
    ///
    /// # Errors
    /// A setting or flag has no meaning; the text names it and the fix.
    pub(crate) fn prepare(&self) -> anyhow::Result<(RelayOptions, TelemetryConfig)> {
        let mut flags = Vec::new();
        if self.verbose {
            flags.push(Override::new("--verbose", "telemetry.filter", "debug"));
        }
        let config = Config::load(&self.files, &flags)?.config;
        let secrets = config.ingest.secrets()?;
        let secrets: Vec<_> = secrets.iter().map(Secret::expose).collect();
        let to = match &self.to {
            Some(to) => to.clone(),
            None => format!("http://{}", here(config.ingest.listen)),
        };
        let options = RelayOptions::new(self.source(&config)?, &to, &secrets)?;
        Ok((options, config.telemetry))
    }

    fn source(&self, config: &Config) -> anyhow::Result<RelaySource> {
        let Some(repository) = &self.repository else {
            let url = self.url.as_deref().unwrap_or_default();
            let mut channel = RelayChannel::new(url)?;
            channel.accept_unverified = self.accept_unverified;
            return Ok(RelaySource::Channel(channel));
        };
        let token = token(config)?;
        let folder = || CursorPlace::Folder("forgewire-data".into());
        let cursor = self.cursor.clone().map_or_else(folder, CursorPlace::File);
        let interval = Duration::from_secs(self.interval_seconds);
        let api = &config.github.api_url;
        let mut list = DeliveryList::new(api, repository, token.as_deref(), cursor, interval)?;
        list.hook = self.hook;
        list.from_beginning = self.from_beginning;
        Ok(RelaySource::Deliveries(list))
    }
}

/// The address at which a listener of this machine is reached.
fn here(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        address if !address.is_unspecified() => listen,
        _ => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port()),
    }
}

fn token(config: &Config) -> anyhow::Result<Option<String>> {
    let github = &config.github;
    if let Some(path) = &github.token_file {
        let read = read(path);
        return read
            .map(Some)
            .with_context(|| format!("github.token_file: {} cannot be read", path.display()));
    }
    if github.app_id.is_some() {
        bail!("the relay has no use for github.app_id: set GITHUB_TOKEN or github.token_file");
    }
    let token = github.token.as_ref();
    Ok(token.map(|token| token.expose().to_owned()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_TOKEN_FILE_BYTES)
        .read_to_end(&mut bytes)?;
    Ok(file_text(&bytes)?.trim().to_owned())
}

/// Relays until a stop signal.
///
/// # Errors
/// Something that only the operator can mend.
pub(crate) async fn run(options: RelayOptions) -> anyhow::Result<bool> {
    let stop = CancellationToken::new();
    let on_signal = stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        on_signal.cancel();
    });
    webhook_relay::run(options, stop).await?;
    Ok(true)
}
