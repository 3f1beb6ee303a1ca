//! Runs the bridge.

use service_kit::{lifecycle::stop_signal, telemetry::TelemetryConfig};
use stdio_bridge::BridgeOptions;
use tokio::io::{stdin, stdout};
use tokio_util::sync::CancellationToken;

use super::args::StdioArgs;
use crate::client_token::client_token;

impl StdioArgs {
    /// # Errors
    /// The URL does not fit, or the token cannot be read.
    pub(crate) fn options(&self) -> anyhow::Result<BridgeOptions> {
        let token = client_token(self.token_file.as_deref())?;
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
