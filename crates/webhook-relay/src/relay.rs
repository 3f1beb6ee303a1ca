//! Runs the relay of a source.

use tokio_util::sync::CancellationToken;

use crate::{
    channel_relay::ChannelRelay,
    client::RelayClient,
    error::RelayError,
    ingest::LocalIngest,
    list_relay::ListRelay,
    options::{RelayOptions, RelaySource},
};

/// Relays until `stop`.
///
/// # Errors
/// Something that only the operator can mend: a token, a secret, a name, the file with the cursor.
pub async fn run(options: RelayOptions, stop: CancellationToken) -> Result<(), RelayError> {
    let RelayOptions {
        source,
        pace,
        ingest,
        secrets,
    } = options;
    let from = match &source {
        RelaySource::Deliveries(list) => &list.api,
        RelaySource::Channel(channel) => &channel.url,
    };
    let client = RelayClient::new([from, &ingest])?;
    let ingest = LocalIngest::new(client.clone(), &ingest, secrets.clone(), pace)?;
    match source {
        RelaySource::Deliveries(list) => {
            let relay = ListRelay::new(client, list, ingest, pace);
            stop.run_until_cancelled(relay.run())
                .await
                .unwrap_or(Ok(()))
        }
        RelaySource::Channel(channel) => {
            let mut relay = ChannelRelay::new(client, channel, ingest, secrets, pace);
            let ended = stop.run_until_cancelled(relay.run()).await;
            relay.finish();
            ended.unwrap_or(Ok(()))
        }
    }
}
