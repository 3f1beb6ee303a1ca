//! `edge.lockdown`: the edge reads everything without the texts of strangers, so no surface can show one.
//!
//! Events reach the edge in two ways, by the follower and in pages of the log; resources and lists of them come from the
//! sync role. All four pass here, and nothing behind them knows of it. The words of a search are compared with the texts
//! before, in the sync role: they can tell that a text has a word, and show nothing of it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use event_flow::follow::Followed;
use github_events::{without_strangers_texts, without_strangers_texts_of_label};
use model::{
    EventId, LogPosition, PlaceId, ResourceUri, Sequence, StoredEvent, Timestamp, TraceContext,
};
use ports::{
    AppendResult, EventLog, EventLogError, EventPage, EventsBefore, LogHead, MirrorAddress,
    MirrorListing, MirrorPage, MirrorProgress, MirrorReads, MirroredKind, MirroredState,
    ResourceError, ResourceReader, ResourceState, SeekResult, SyncStatus,
};
use prometheus_client::metrics::counter::Counter;

/// Withholds the texts of strangers. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Lockdown {
    /// The texts that were withheld.
    pub(crate) texts: Counter,
}

impl Lockdown {
    fn json(&self, json: &mut Bytes) {
        if let Some((text, withheld)) = without_strangers_texts(json) {
            self.texts.inc_by(withheld);
            *json = text.into();
        }
    }

    /// Withholds the texts of a resource of the mirror.
    fn state(&self, state: &mut MirroredState) {
        let withheld = match state.address.kind {
            MirroredKind::Label => without_strangers_texts_of_label(&state.json),
            _ => without_strangers_texts(&state.json),
        };
        if let Some((text, withheld)) = withheld {
            self.texts.inc_by(withheld);
            state.json = text.into();
        }
    }

    fn event(&self, event: &mut StoredEvent) {
        self.json(&mut event.json);
    }

    /// Withholds the texts of what the follower brings.
    pub(crate) fn followed(&self, mut followed: Followed) -> Followed {
        if let Followed::Events(events) = &mut followed {
            events
                .iter_mut()
                .for_each(|event| self.event(&mut event.item));
        }
        followed
    }
}

/// A log whose readers get no text of strangers.
#[derive(Debug)]
pub(crate) struct LockedLog {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) lockdown: Lockdown,
}

#[async_trait]
impl EventLog for LockedLog {
    async fn append(&self, events: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        self.log.append(events).await
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        let mut page = self.log.read_after(after, limit).await?;
        let events = page.events.iter_mut();
        events.for_each(|event| self.lockdown.event(&mut event.item));
        Ok(page)
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        let mut page = self.log.read_before(before, limit).await?;
        let events = page.events.iter_mut();
        events.for_each(|event| self.lockdown.event(&mut event.item));
        Ok(page)
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        self.log.seek(time).await
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, EventLogError> {
        self.log.position_of(id).await
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        self.log.head().await
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, EventLogError> {
        self.log.trim(time).await
    }

    async fn check_append(&self) -> Result<(), EventLogError> {
        self.log.check_append().await
    }

    async fn check_read(&self) -> Result<LogHead, EventLogError> {
        self.log.check_read().await
    }

    async fn time(&self) -> Result<Option<Timestamp>, EventLogError> {
        self.log.time().await
    }

    fn undecodable_entries(&self) -> u64 {
        self.log.undecodable_entries()
    }

    fn max_event_bytes(&self) -> usize {
        self.log.max_event_bytes()
    }

    fn deadline(&self) -> Duration {
        self.log.deadline()
    }
}

/// Resources without the texts of strangers.
#[derive(Debug)]
pub(crate) struct LockedResources {
    pub(crate) resources: Arc<dyn ResourceReader>,
    pub(crate) lockdown: Lockdown,
}

#[async_trait]
impl ResourceReader for LockedResources {
    async fn get_resource(
        &self,
        uri: &ResourceUri,
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError> {
        let mut state = self.resources.get_resource(uri, seen, trace).await?;
        if let Some(state) = &mut state {
            self.lockdown.json(&mut state.json);
        }
        Ok(state)
    }

    async fn status(&self, trace: Option<TraceContext>) -> Result<SyncStatus, ResourceError> {
        self.resources.status(trace).await
    }
}

/// A mirror without the texts of strangers.
#[derive(Debug)]
pub(crate) struct LockedMirror {
    pub(crate) mirror: Arc<dyn MirrorReads>,
    pub(crate) lockdown: Lockdown,
}

#[async_trait]
impl MirrorReads for LockedMirror {
    async fn list(
        &self,
        listing: &MirrorListing,
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<MirrorPage, ResourceError> {
        let mut page = self.mirror.list(listing, seen, trace).await?;
        let states = page.states.iter_mut();
        states.for_each(|state| self.lockdown.state(state));
        Ok(page)
    }

    async fn get_many(
        &self,
        addresses: &[MirrorAddress],
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<MirroredState>>, ResourceError> {
        let mut states = self.mirror.get_many(addresses, seen, trace).await?;
        let found = states.iter_mut().flatten();
        found.for_each(|state| self.lockdown.state(state));
        Ok(states)
    }

    async fn holders(
        &self,
        names: &[String],
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<PlaceId>>, ResourceError> {
        self.mirror.holders(names, seen, trace).await
    }

    async fn progress(
        &self,
        trace: Option<TraceContext>,
    ) -> Result<Vec<MirrorProgress>, ResourceError> {
        self.mirror.progress(trace).await
    }

    async fn compare_now(
        &self,
        place: Option<&str>,
        trace: Option<TraceContext>,
    ) -> Result<bool, ResourceError> {
        self.mirror.compare_now(place, trace).await
    }
}
