//! Lists, and many states at once, through the same door.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use model::{LogPosition, PlaceId, TraceContext};
use ports::{
    MirrorAddress, MirrorListing, MirrorPage, MirrorProgress, MirrorReads, MirroredState,
    ResourceError,
};
use tracing::debug;

use super::MirrorReader;
use crate::metrics::{SyncCallOutcome, SyncMethod};

/// Who compares places with GitHub, and can be asked to do so at once.
pub(crate) trait CompareRequests: fmt::Debug + Send + Sync {
    /// Asks for a place (`owner/repo`, or the login of an owner), or for all of them; whether it is mirrored. Does not
    /// wait.
    fn compare_now(&self, place: Option<&str>) -> bool;
}

/// Nothing is compared: without credentials for GitHub.
#[derive(Debug)]
pub(crate) struct NoComparison;

impl CompareRequests for NoComparison {
    fn compare_now(&self, _place: Option<&str>) -> bool {
        false
    }
}

impl MirrorReader {
    /// As [`MirrorReads::list`], for a caller that waits no longer than `patience`.
    pub(crate) async fn page(
        &self,
        listing: &MirrorListing,
        seen: Option<LogPosition>,
        patience: Duration,
        trace: Option<TraceContext>,
    ) -> Result<MirrorPage, ResourceError> {
        let answer = match self.is_fresh(seen, patience).await {
            false => Err(ResourceError::Behind),
            // A search reads megabytes.
            true if !listing.filter.words.is_empty() => self.search(listing.clone()).await,
            true => self.mirror.list(listing),
        };
        let outcome = self.count(SyncMethod::list_resources, &answer);
        let trace_id = trace.map(|trace| tracing::field::display(trace.trace));
        let (kind, owner) = (listing.kind, &listing.owner);
        debug!(trace_id, %kind, owner, ?outcome, "list read");
        answer
    }

    async fn search(&self, listing: MirrorListing) -> Result<MirrorPage, ResourceError> {
        let mirror = std::sync::Arc::clone(&self.mirror);
        let search = tokio::task::spawn_blocking(move || mirror.list(&listing));
        search.await.unwrap_or_else(|source| {
            Err(ResourceError::Unavailable {
                op: "search a list",
                source: source.into(),
            })
        })
    }

    /// As [`MirrorReads::get_many`], for a caller that waits no longer than `patience`.
    pub(crate) async fn states(
        &self,
        addresses: &[MirrorAddress],
        seen: Option<LogPosition>,
        patience: Duration,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<MirroredState>>, ResourceError> {
        let answer = match self.is_fresh(seen, patience).await {
            false => Err(ResourceError::Behind),
            true => self.mirror.get_many(addresses),
        };
        let outcome = self.count(SyncMethod::get_resources, &answer);
        let trace_id = trace.map(|trace| tracing::field::display(trace.trace));
        let asked = addresses.len();
        debug!(trace_id, asked, ?outcome, "resources read");
        answer
    }

    /// As [`MirrorReads::holders`], for a caller that waits no longer than `patience`.
    pub(crate) async fn holders_of(
        &self,
        names: &[String],
        seen: Option<LogPosition>,
        patience: Duration,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<PlaceId>>, ResourceError> {
        let answer = match self.is_fresh(seen, patience).await {
            false => Err(ResourceError::Behind),
            true => self.mirror.holders(names),
        };
        let outcome = self.count(SyncMethod::get_holders, &answer);
        let trace_id = trace.map(|trace| tracing::field::display(trace.trace));
        let asked = names.len();
        debug!(trace_id, asked, ?outcome, "holders of names read");
        answer
    }

    /// Whether the mirror has what a caller may know; without a position it always has.
    async fn is_fresh(&self, seen: Option<LogPosition>, patience: Duration) -> bool {
        match seen {
            Some(seen) => self.follow_to(seen, patience.min(self.deadline)).await,
            None => true,
        }
    }

    fn count<T>(&self, method: SyncMethod, answer: &Result<T, ResourceError>) -> SyncCallOutcome {
        let outcome = match answer {
            Ok(_) => SyncCallOutcome::ok,
            Err(ResourceError::Refused { .. }) => SyncCallOutcome::caller,
            Err(_) => SyncCallOutcome::behind,
        };
        self.metrics.request(method, outcome);
        outcome
    }
}

#[async_trait]
impl MirrorReads for MirrorReader {
    async fn list(
        &self,
        listing: &MirrorListing,
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<MirrorPage, ResourceError> {
        self.page(listing, seen, self.deadline, trace).await
    }

    async fn get_many(
        &self,
        addresses: &[MirrorAddress],
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<MirroredState>>, ResourceError> {
        self.states(addresses, seen, self.deadline, trace).await
    }

    async fn holders(
        &self,
        names: &[String],
        seen: Option<LogPosition>,
        trace: Option<TraceContext>,
    ) -> Result<Vec<Option<PlaceId>>, ResourceError> {
        self.holders_of(names, seen, self.deadline, trace).await
    }

    async fn progress(
        &self,
        _trace: Option<TraceContext>,
    ) -> Result<Vec<MirrorProgress>, ResourceError> {
        self.metrics
            .request(SyncMethod::progress, SyncCallOutcome::ok);
        Ok(self.mirror.list_progress())
    }

    async fn compare_now(
        &self,
        place: Option<&str>,
        trace: Option<TraceContext>,
    ) -> Result<bool, ResourceError> {
        let is_mirrored = self.comparison.compare_now(place);
        let outcome = match is_mirrored {
            true => SyncCallOutcome::ok,
            false => SyncCallOutcome::missing,
        };
        self.metrics.request(SyncMethod::compare_now, outcome);
        let trace_id = trace.map(|trace| tracing::field::display(trace.trace));
        debug!(trace_id, place, is_mirrored, "comparison asked for");
        Ok(is_mirrored)
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroUsize, sync::Arc};

    use model::RandomIds;
    use parking_lot::Mutex;
    use store_layers::StoredLog;
    use store_memory::MemoryLogStore;

    use super::*;
    use crate::{metrics::SyncMetrics, mirror::Mirror};

    /// Mirrors one place, and remembers what it was asked for.
    #[derive(Debug, Default)]
    struct Asked(Mutex<Vec<Option<String>>>);

    impl CompareRequests for Asked {
        fn compare_now(&self, place: Option<&str>) -> bool {
            self.0.lock().push(place.map(str::to_owned));
            place.is_none_or(|place| place == "octo/cat")
        }
    }

    #[tokio::test]
    async fn a_comparison_is_asked_for_where_it_is_made() {
        let capacity = NonZeroUsize::new(10).unwrap();
        let log = StoredLog::new(MemoryLogStore::new(&RandomIds, capacity));
        let mirror = Arc::new(Mirror::new(10, SyncMetrics::default()));
        let (log, deadline) = (Arc::new(log), Duration::from_secs(1));
        let metrics = SyncMetrics::default();
        let reader = MirrorReader::new(mirror, log, deadline, metrics);
        assert!(!reader.compare_now(None, None).await.unwrap());
        let asked = Arc::new(Asked::default());
        let reader = reader.with_comparison(Arc::<Asked>::clone(&asked));
        for (place, expected) in [
            (Some("octo/cat"), true),
            (Some("octo/dog"), false),
            (None, true),
        ] {
            assert_eq!(reader.compare_now(place, None).await.unwrap(), expected);
        }
        let places = ["octo/cat", "octo/dog"].map(|place| Some(place.to_owned()));
        assert_eq!(asked.0.lock()[..2], places);
    }
}
