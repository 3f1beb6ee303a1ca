//! Relays from GitHub's list.

use std::collections::VecDeque;

use http_client::quoted;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{
    attempt::{pause, report},
    client::RelayClient,
    cursor::CursorFile,
    deliveries::{DeliveriesApi, ListedDelivery},
    error::{RelayError, RelayFailure},
    ingest::LocalIngest,
    limits::{PROBES, UNAVAILABLE_TRIES, UNREADABLE_TRIES},
    listing::DeliveryListing,
    options::DeliveryList,
    pace::{RelayPace, RelayPauses},
};

/// Relays from GitHub's list.
#[derive(Debug)]
pub(crate) struct ListRelay {
    api: DeliveriesApi,
    listing: DeliveryListing,
    ingest: LocalIngest,
    list: DeliveryList,
    pace: RelayPace,
    /// Listed and not relayed yet, the oldest first.
    pending: VecDeque<ListedDelivery>,
    /// Failed attempts to read the first of them.
    tries: u32,
}

/// A webhook, and the last of its deliveries that was relayed.
#[derive(Debug)]
struct ListPosition {
    hook: u64,
    file: CursorFile,
    last: u64,
}

impl ListRelay {
    pub(crate) fn new(
        client: RelayClient,
        list: DeliveryList,
        ingest: LocalIngest,
        pace: RelayPace,
    ) -> Self {
        Self {
            api: DeliveriesApi::new(client, list.clone()),
            listing: DeliveryListing::default(),
            ingest,
            list,
            pace,
            pending: VecDeque::new(),
            tries: 0,
        }
    }

    pub(crate) async fn run(mut self) -> Result<(), RelayError> {
        let mut pauses = RelayPauses::new(self.pace);
        let mut position = loop {
            match self.begin().await {
                Ok(position) => break position,
                Err(failure) => pause(failure, &mut pauses).await?,
            }
        };
        loop {
            match self.round(&mut position, &mut pauses).await {
                Ok(()) => {
                    pauses.succeeded();
                    sleep(self.list.interval).await;
                }
                Err(failure) => {
                    self.listing.forget_page();
                    pause(failure, &mut pauses).await?;
                }
            }
        }
    }

    async fn begin(&mut self) -> Result<ListPosition, RelayFailure> {
        let hook = self.api.hook().await?;
        let repository = self.list.repository.clone();
        let file = CursorFile::new(self.list.cursor.clone(), repository, hook);
        let last = match file.load()? {
            Some(last) => last,
            None if self.list.from_beginning => 0,
            None => {
                let newest = self.api.newest(hook).await?;
                file.save(newest)?;
                newest
            }
        };
        info!(
            repository = self.list.repository,
            hook,
            after = last,
            "relaying deliveries"
        );
        Ok(ListPosition { hook, file, last })
    }

    /// Relays what is new, the oldest first; the cursor follows each delivery.
    async fn round(
        &mut self,
        position: &mut ListPosition,
        pauses: &mut RelayPauses,
    ) -> Result<(), RelayFailure> {
        if self.pending.is_empty() {
            let (hook, last) = (position.hook, position.last);
            let found = self.listing.after(&mut self.api, hook, last).await?;
            self.pending = found.into();
        }
        while let Some(listed) = self.pending.front().cloned() {
            self.relay(position.hook, &listed).await?;
            position.file.save(listed.id)?;
            position.last = listed.id;
            self.pending.pop_front();
            self.tries = 0;
            pauses.succeeded();
        }
        Ok(())
    }

    /// Relays a delivery, or leaves it out by name.
    async fn relay(&mut self, hook: u64, listed: &ListedDelivery) -> Result<(), RelayFailure> {
        let guid = quoted(listed.guid.as_deref().unwrap_or("unknown"));
        match self.api.delivery(hook, listed.id).await {
            Ok(Some(delivery)) => {
                let outcome = self.ingest.deliver(&delivery).await?;
                report(&delivery, &outcome);
            }
            Ok(None) => warn!(
                id = listed.id,
                delivery = %guid,
                "a delivery is left out: GitHub has no payload of it any more"
            ),
            Err(failure) => {
                self.tries += 1;
                if !self.may_leave_out(hook, listed.id, &failure).await {
                    return Err(failure);
                }
                warn!(
                    id = listed.id,
                    delivery = %guid,
                    tries = self.tries,
                    "a delivery is left out: {failure}"
                );
            }
        }
        Ok(())
    }

    /// Whether the first of the pending deliveries, which has failed again, must not hold up the others any longer.
    async fn may_leave_out(&mut self, hook: u64, first: u64, failure: &RelayFailure) -> bool {
        match failure {
            RelayFailure::Unreadable { .. } => self.tries >= UNREADABLE_TRIES,
            RelayFailure::Passing { .. } if self.tries >= UNAVAILABLE_TRIES => {
                // If GitHub gives no other one either, the fault is not this delivery's.
                let later = self.pending.iter().skip(1).take(PROBES);
                let probes: Vec<u64> = later
                    .chain(self.pending.back())
                    .map(|listed| listed.id)
                    .collect();
                for id in probes.into_iter().filter(|id| *id != first) {
                    if self.api.delivery(hook, id).await.is_ok() {
                        return true;
                    }
                }
                false
            }
            _ => false,
        }
    }
}
