//! Relays from a channel.

use mcp::sse::ParsedFrame;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{
    attempt::{pause, report},
    channel::OpenChannel,
    channel_message::{ChannelMessage, read_message},
    client::RelayClient,
    error::{RelayError, RelayFailure},
    ingest::LocalIngest,
    options::RelayChannel,
    pace::{RelayPace, RelayPauses},
    refusals::ChannelRefusals,
    secrets::RelaySecrets,
};

/// Relays from a channel.
#[derive(Debug)]
pub(crate) struct ChannelRelay {
    client: RelayClient,
    channel: RelayChannel,
    ingest: LocalIngest,
    secrets: RelaySecrets,
    pace: RelayPace,
    refusals: ChannelRefusals,
}

impl ChannelRelay {
    pub(crate) fn new(
        client: RelayClient,
        channel: RelayChannel,
        ingest: LocalIngest,
        secrets: RelaySecrets,
        pace: RelayPace,
    ) -> Self {
        Self {
            client,
            channel,
            ingest,
            secrets,
            pace,
            refusals: ChannelRefusals::default(),
        }
    }

    /// Says what was not said yet.
    pub(crate) fn finish(&mut self) {
        self.refusals.report(true);
    }

    pub(crate) async fn run(&mut self) -> Result<(), RelayError> {
        if self.channel.accept_unverified {
            warn!(
                "--accept-unverified: whoever knows the URL of the channel can make events of any content"
            );
        }
        let mut pauses = RelayPauses::new(self.pace);
        let mut last_event_id: Option<String> = None;
        loop {
            let url = &self.channel.url;
            let opened = OpenChannel::open(&self.client, url, last_event_id.as_deref()).await;
            let mut open = match opened {
                Ok(open) => open,
                Err(failure) => {
                    pause(failure, &mut pauses).await?;
                    continue;
                }
            };
            info!(url = %self.channel.url, "relaying a channel");
            let ended = self.follow(&mut open, &mut pauses).await;
            if let Some(id) = open.last_event_id() {
                last_event_id = Some(id.to_owned());
            }
            pause(ended, &mut pauses).await?;
        }
    }

    /// Relays until the channel breaks; returns why.
    async fn follow(&mut self, open: &mut OpenChannel, pauses: &mut RelayPauses) -> RelayFailure {
        loop {
            let due = self.refusals.due_in();
            let next = tokio::select! {
                next = open.next() => next,
                () = sleep(due.unwrap_or_default()), if due.is_some() => {
                    self.refusals.report(false);
                    continue;
                }
            };
            match next {
                Ok(Some(frame)) => {
                    pauses.succeeded();
                    if let Err(error) = self.take(&frame).await {
                        return error.into();
                    }
                }
                Ok(None) => return RelayFailure::passing("the channel has ended"),
                Err(failure) => return failure,
            }
        }
    }

    async fn take(&mut self, frame: &ParsedFrame) -> Result<(), RelayError> {
        let Some(data) = frame.data.as_deref() else {
            return Ok(());
        };
        let accept = self.channel.accept_unverified;
        match read_message(frame.event.as_deref(), data, &self.secrets, accept) {
            ChannelMessage::Control => {}
            ChannelMessage::Delivery(delivery) => {
                let outcome = self.ingest.deliver(&delivery).await?;
                report(&delivery, &outcome);
            }
            ChannelMessage::Unverified { event, guid } => self.refusals.unverified(&event, &guid),
            ChannelMessage::NoDelivery(why) => self.refusals.unreadable(&why),
        }
        Ok(())
    }
}
