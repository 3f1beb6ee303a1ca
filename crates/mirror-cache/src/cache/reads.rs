//! The ports.

use async_trait::async_trait;
use model::{LogPosition, PlaceId, ResourceUri, TraceContext};
use ports::{
    MirrorAddress, MirrorListing, MirrorPage, MirrorProgress, MirrorReads, MirroredState,
    ResourceError, ResourceReader, ResourceState, SyncStatus,
};

use super::MirrorCache;
use crate::entries::{CacheKey, CachedAnswer};

#[async_trait]
impl ResourceReader for MirrorCache {
    async fn get_resource(
        &self,
        uri: &ResourceUri,
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Option<ResourceState>, ResourceError> {
        let keys = vec![CacheKey::Resource(uri.clone())];
        let Some(seen) = seen else {
            if let Some([CachedAnswer::Resource(state)]) = self.known(&keys).as_deref() {
                return Ok(state.clone());
            }
            return self.resources.get_resource(uri, None, trace).await;
        };
        let ask = |_, wanted| async move {
            let state = self
                .resources
                .get_resource(uri, Some(wanted), trace)
                .await?;
            Ok(vec![CachedAnswer::Resource(state)])
        };
        match self.read(keys, seen, ask).await?.pop() {
            Some(CachedAnswer::Resource(state)) => Ok(state),
            _ => Err(foreign_answer()),
        }
    }

    async fn status(&self, trace: Option<TraceContext>) -> Result<SyncStatus, ResourceError> {
        self.resources.status(trace).await
    }
}

#[async_trait]
impl MirrorReads for MirrorCache {
    async fn list(
        &self,
        listing: &MirrorListing,
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<MirrorPage, ResourceError> {
        let keys = vec![CacheKey::of_listing(listing)];
        let Some(seen) = seen else {
            if let Some([CachedAnswer::Page(page)]) = self.known(&keys).as_deref() {
                return Ok(page.clone());
            }
            return self.mirror.list(listing, None, trace).await;
        };
        let ask = |_, wanted| async move {
            let page = self.mirror.list(listing, Some(wanted), trace).await?;
            Ok(vec![CachedAnswer::Page(page)])
        };
        match self.read(keys, seen, ask).await?.pop() {
            Some(CachedAnswer::Page(page)) => Ok(page),
            _ => Err(foreign_answer()),
        }
    }

    async fn get_many(
        &self,
        addresses: &[MirrorAddress],
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<MirroredState>>, ResourceError> {
        // Too many are refused there, and none only ask how new the mirror is.
        let is_usual = (1..=MirrorListing::MAX_LIMIT).contains(&addresses.len());
        let keys: Vec<_> = addresses.iter().map(CacheKey::of_address).collect();
        let answers = match seen {
            Some(seen) if is_usual => {
                let ask = |keys, wanted| self.ask_for_states(keys, wanted, trace);
                self.read(keys, seen, ask).await?
            }
            None if is_usual => match self.known(&keys) {
                Some(known) => known,
                None => return self.mirror.get_many(addresses, None, trace).await,
            },
            _ => return self.mirror.get_many(addresses, seen, trace).await,
        };
        let states = answers.into_iter().map(|answer| match answer {
            CachedAnswer::State(state) => Ok(state),
            _ => Err(foreign_answer()),
        });
        states.collect()
    }

    async fn holders(
        &self,
        names: &[String],
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<PlaceId>>, ResourceError> {
        // Names are asked for once, until they are known for good.
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

impl MirrorCache {
    /// All answers, if nothing is known to have changed any of them: for callers without a position (RR-04).
    fn known(&self, keys: &[CacheKey]) -> Option<Vec<CachedAnswer>> {
        let known = self.look_up_at(keys, None, true);
        known.into_iter().collect()
    }

    async fn ask_for_states(
        &self,
        keys: Vec<CacheKey>,
        wanted: LogPosition,
        trace: Option<TraceContext>,
    ) -> Result<Vec<CachedAnswer>, ResourceError> {
        let address = |key: CacheKey| match key {
            CacheKey::State(address) => Some(address),
            CacheKey::Resource(_) | CacheKey::Page(_) => None,
        };
        let addresses: Vec<_> = keys.into_iter().filter_map(address).collect();
        let states = self
            .mirror
            .get_many(&addresses, Some(wanted), trace)
            .await?;
        match states.len() == addresses.len() {
            true => Ok(states.into_iter().map(CachedAnswer::State).collect()),
            false => Err(foreign_answer()),
        }
    }
}

/// An answer to another question.
fn foreign_answer() -> ResourceError {
    ResourceError::Malformed {
        source: "the answer is none to this question".into(),
    }
}
