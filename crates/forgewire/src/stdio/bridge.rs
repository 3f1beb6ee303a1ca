//! Runs the bridge.

use std::{fs::File, io::Read, path::PathBuf};

use anyhow::{Context, bail};
use model::file_text;
use service_kit::{lifecycle::stop_signal, telemetry::TelemetryConfig};
use stdio_bridge::BridgeOptions;
use tokio::io::{stdin, stdout};
use tokio_util::sync::CancellationToken;

use super::args::StdioArgs;

/// Environment variable with the token, used when no file is named.
const TOKEN_VARIABLE: &str = "FORGEWIRE_TOKEN";
/// Maximum number of bytes read from the token file.
const MAX_TOKEN_FILE_BYTES: u64 = 8192;

impl StdioArgs {
    /// # Errors
    /// The URL does not fit, or the token cannot be read.
    pub(crate) fn options(&self) -> anyhow::Result<BridgeOptions> {
        let token = match &self.token_file {
            Some(path) => Some(read(path).with_context(|| path.display().to_string())?),
            None => match std::env::var(TOKEN_VARIABLE) {
                Ok(token) => Some(token).filter(|token| !token.trim().is_empty()),
                Err(std::env::VarError::NotPresent) => None,
                Err(_) => bail!("{TOKEN_VARIABLE} is not text"),
            },
        };
        Ok(BridgeOptions::new(&self.url, token.as_deref())?)
    }

    pub(crate) fn telemetry(&self) -> TelemetryConfig {
        let filter = if self.verbose { "debug" } else { "info" };
        TelemetryConfig {
            filter: filter.to_owned(),
            ..TelemetryConfig::default()
        }
    }
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(MAX_TOKEN_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(file_text(&bytes)?.to_owned())
}

/// Runs until stdin ends, a stop signal arrives, or stdout is closed.
///
/// # Errors
/// The bridge cannot start, or stdin breaks.
pub(crate) fn run(options: &BridgeOptions) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let stop = CancellationToken::new();
        let on_signal = stop.clone();
        tokio::spawn(async move {
            stop_signal().await;
            on_signal.cancel();
        });
        stdio_bridge::run(options, stdin(), stdout(), stop).await
    });
    // A read of stdin cannot be cancelled; waiting for it would delay the exit.
    runtime.shutdown_background();
    Ok(ended?)
}
