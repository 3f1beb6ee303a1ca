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
        let file = CursorFile::new(self.list.cursor.clone(), self.api.relayed_hook(hook));
        let last = match file.load()? {
            Some(last) => last,
            None if self.list.from_beginning => 0,
            None => {
                let newest = self.api.newest(hook).await?;
                let newest = newest.into_iter().max().unwrap_or(0);
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
                let reason = self.reason_to_leave_out(hook, listed.id, failure).await?;
                warn!(
                    id = listed.id,
                    delivery = %guid,
                    tries = self.tries,
                    "a delivery is left out: {reason}"
                );
            }
        }
        Ok(())
    }

    /// Why the first of the pending deliveries, which has failed again, must not hold up the others any longer.
    ///
    /// # Errors
    /// It has to be read again, or what has failed is not this delivery's fault.
    async fn reason_to_leave_out(
        &mut self,
        hook: u64,
        first: u64,
        failure: RelayFailure,
    ) -> Result<RelayFailure, RelayFailure> {
        match &failure {
            RelayFailure::Unreadable { .. } if self.tries >= UNREADABLE_TRIES => Ok(failure),
            RelayFailure::Passing { .. } if self.tries >= UNAVAILABLE_TRIES => {
                let probes = self.later_probes();
                self.blame(hook, probes, failure).await
            }
            missing if missing.is_missing() && self.tries < UNAVAILABLE_TRIES => {
                let what = format!("GitHub lists delivery {first} and does not give it");
                Err(RelayFailure::passing(what))
            }
            missing if missing.is_missing() => {
                let mut probes = self.later_probes();
                if probes.is_empty() {
                    probes = self.api.newest(hook).await?;
                    probes.retain(|id| *id != first);
                    probes.truncate(PROBES);
                }
                self.blame(hook, probes, failure).await
            }
            _ => Err(failure),
        }
    }

    /// Deliveries after the first of the pending ones: the next, and the newest.
    fn later_probes(&self) -> Vec<u64> {
        let later = self.pending.iter().skip(1);
        let newest = later.clone().skip(PROBES).next_back();
        let probes = later.take(PROBES).chain(newest);
        probes.map(|listed| listed.id).collect()
    }

    /// The failure of a delivery, if it is that delivery's: GitHub gives another one. Otherwise what fails is the
    /// access or GitHub, and nothing may be left out for it.
    async fn blame(
        &mut self,
        hook: u64,
        probes: Vec<u64>,
        failure: RelayFailure,
    ) -> Result<RelayFailure, RelayFailure> {
        let mut other = None;
        for id in probes {
            match self.api.delivery(hook, id).await {
                Ok(_) => return Ok(failure),
                Err(missing) if missing.is_missing() => {}
                Err(unknown) => other = Some(unknown),
            }
        }
        Err(other.unwrap_or(failure))
    }
}
