//! Up to when the deliveries of a place are known to be in the log, as the replica that sweeps tells the others.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use model::{PrincipalId, RecordId, Timestamp};
use ports::{
    Collection, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, Records,
    RecordsError,
};
use serde::{Deserialize, Serialize};

use crate::{limits::MIRROR_TTL, webhook_place::SweptPlace};

const SWEEPS: Collection = Collection::new("sync-sweeps");

/// For each place, when the last sweep began that left nothing of it missing. A place that cannot be looked at is not among
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SweepMarks(BTreeMap<String, Timestamp>);

impl SweepMarks {
    /// Notes a sweep.
    pub(crate) fn note<'p>(
        &mut self,
        places: impl IntoIterator<Item = &'p SweptPlace>,
        began: Timestamp,
    ) {
        for place in places {
            self.0.insert(place.to_string(), began);
        }
    }

    /// When the last sweep of all these places began; `None` if one of them has not been swept.
    pub(crate) fn of_all<'p>(
        &self,
        places: impl IntoIterator<Item = &'p SweptPlace>,
    ) -> Option<Timestamp> {
        let marks = places
            .into_iter()
            .map(|place| self.0.get(&place.to_string()));
        let marks: Option<Vec<_>> = marks.collect();
        marks?.into_iter().min().copied()
    }
}

/// Up to when the webhooks of a place are known to be in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SweptUntil {
    /// Nobody looks at GitHub's lists of deliveries.
    NotSwept,
    /// Somebody does and has not been through yet.
    NotYet,
    /// The last sweep began then.
    At(Timestamp),
}

/// Where the marks are stored.
#[derive(Debug, Clone)]
pub(crate) struct SweepMarkRecord {
    records: Arc<dyn Records>,
    key: RecordKey,
}

impl SweepMarkRecord {
    pub(crate) fn new(records: Arc<dyn Records>) -> Self {
        let id = RecordId::new("marks").expect("a constant of visible ASCII");
        Self {
            records,
            key: RecordKey {
                collection: SWEEPS,
                id,
            },
        }
    }

    /// The marks; none if nobody has stored any, or another build has.
    pub(crate) async fn load(&self) -> Result<SweepMarks, RecordsError> {
        let record = self.records.load(&self.key).await?;
        let marks = record.and_then(|record| serde_json::from_slice(&record.state).ok());
        Ok(marks.unwrap_or_default())
    }

    /// Stores the marks of the replica that sweeps. One that was paused for longer than its lease may put an older mark in
    /// the place of a newer one: then events wait for longer.
    pub(crate) async fn store(&self, marks: &SweepMarks) -> Result<(), RecordsError> {
        let state = serde_json::to_vec(marks).map_or_else(|_| Bytes::new(), Bytes::from);
        let record = NewRecord {
            key: self.key.clone(),
            owner: PrincipalId::new("github-sync").expect("a constant of visible ASCII"),
            state,
            ttl: MIRROR_TTL,
        };
        let limits = RecordLimits::default();
        let RecordCreation::Exists(known) = self.records.create(&record, limits).await? else {
            return Ok(());
        };
        let life = RecordLife::For(MIRROR_TTL);
        let state = record.state;
        let replaced = self
            .records
            .replace(&self.key, state, known.revision, life, limits);
        replaced.await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_holds_for_all_places_that_are_asked_for() {
        let at = |text| Timestamp::parse(text).unwrap();
        let (early, late) = (at("2026-11-20T10:00:00Z"), at("2026-11-20T11:00:00Z"));
        let organization = SweptPlace::Organization("octo".into());
        let repository = SweptPlace::Repository {
            owner: "octo".into(),
            repo: "cat".into(),
        };
        let mut marks = SweepMarks::default();
        marks.note([&organization], late);
        assert_eq!(marks.of_all([&organization]), Some(late));
        assert_eq!(marks.of_all([&organization, &repository]), None);
        marks.note([&repository], early);
        assert_eq!(marks.of_all([&organization, &repository]), Some(early));
    }
}
