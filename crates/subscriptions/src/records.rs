//! Subscriptions in the store of records.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use edge_records::{of_version, with_version};
use model::{LogPosition, PrincipalId, RecordId, SubscriptionId, Timestamp};
use ports::{
    BoxError, Collection, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits,
    RecordPage, Records, RecordsError, Revision, StoreFailure, StoredRecord,
};
use tracing::debug;

use crate::{
    client_id::ClientId,
    client_key::ClientKey,
    error::SubscriptionRecordsError,
    limits::{CHANGE_ATTEMPTS, MAX_RECORD_BYTES, READ_AT_ONCE, SubscriptionLimits},
    subscription::{Subscription, SubscriptionLife, SubscriptionTransport},
};

/// Where subscriptions are kept.
const SUBSCRIPTIONS: Collection = Collection::new("subscriptions");
/// Life of a record that asks what is under a key. It is stored only where the index of a store still counts one that
/// is gone under this key, and is over at once.
const PROBE_LIFE: Duration = Duration::from_millis(1);
/// The version of their states; see SB-14.
const VERSION: u8 = 1;

/// A living subscription as it is stored.
#[derive(Clone, PartialEq, Debug)]
pub struct VersionedSubscription {
    /// The subscription.
    pub subscription: Subscription,
    /// Its revision.
    pub revision: Revision,
    /// When it ends if it is not used, in the store's time: exactly then if its client chose the end.
    pub expires_at: Timestamp,
}

/// A page of the list of an owner's subscriptions.
#[derive(Clone, PartialEq, Debug)]
pub struct SubscriptionPage {
    /// Subscriptions, ordered by id.
    pub subscriptions: Vec<VersionedSubscription>,
    /// Number of further subscriptions in the same range whose records cannot be read (SB-14).
    pub unreadable: usize,
    /// Bytes of the records that were read for it.
    pub bytes: usize,
    /// Continue the list after this id; `None` at the end.
    pub next: Option<SubscriptionId>,
}

/// A move of a subscription's cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CursorAdvance {
    /// The client has every event of the subscription up to here.
    pub to: LogPosition,
    /// The fencing number of the lease under which they were delivered ([`Subscription::delivery_lease`]);
    /// `None` for a client that reads by itself, which needs no lease.
    pub fence: Option<u64>,
}

/// Whether a position moves a cursor: within a log forward only, and to any position of another log (SB-09).
#[must_use]
pub fn moves_cursor(cursor: LogPosition, to: LogPosition) -> bool {
    to.epoch != cursor.epoch || to.sequence > cursor.sequence
}

#[derive(Debug, thiserror::Error)]
#[error("the subscription under this id is another one")]
struct OtherSubscription;

fn unreadable(source: impl Into<BoxError>) -> SubscriptionRecordsError {
    let source = source.into();
    SubscriptionRecordsError::Unreadable { source }
}

fn encode(subscription: &Subscription) -> Result<Bytes, SubscriptionRecordsError> {
    let json = serde_json::to_vec(subscription);
    let json = json.map_err(|error| StoreFailure::corrupt("encode a subscription", error))?;
    let bytes = json.len();
    match bytes > MAX_RECORD_BYTES {
        true => Err(SubscriptionRecordsError::TooLarge { bytes }),
        false => Ok(with_version(VERSION, &json)),
    }
}

fn decode(stored: StoredRecord) -> Result<VersionedSubscription, SubscriptionRecordsError> {
    let json = of_version(VERSION, stored.state).map_err(unreadable)?;
    let subscription: Subscription = serde_json::from_slice(&json).map_err(unreadable)?;
    if subscription.id.as_str() != stored.id.as_str() || subscription.owner != stored.owner {
        return Err(unreadable(OtherSubscription));
    }
    Ok(VersionedSubscription {
        expires_at: end_of(&subscription, stored.expires_at),
        subscription,
        revision: stored.revision,
    })
}

/// The end that the client chose, or that of the record. The store counts from the moment at which a change reached
/// it, so a record may live for as long as that took beyond the chosen end.
const fn end_of(subscription: &Subscription, of_record: Timestamp) -> Timestamp {
    match subscription.life {
        SubscriptionLife::Until(end) => end,
        SubscriptionLife::WhileUsed => of_record,
    }
}

fn page(listed: RecordPage) -> Result<SubscriptionPage, SubscriptionRecordsError> {
    let RecordPage {
        records,
        unreadable,
        next,
    } = listed;
    let next = next.map(|next| SubscriptionId::new(next.as_str()));
    let next = next.transpose();
    let mut page = SubscriptionPage {
        subscriptions: Vec::with_capacity(records.len()),
        unreadable,
        bytes: records.iter().map(|record| record.state.len()).sum(),
        next: next.map_err(|error| StoreFailure::corrupt("list subscriptions", error))?,
    };
    for record in records {
        let id = record.id.clone();
        match decode(record) {
            Ok(found) => page.subscriptions.push(found),
            Err(error) => {
                debug!(subscription = %id, %error, "a subscription is left out of the list");
                page.unreadable += 1;
            }
        }
    }
    Ok(page)
}

fn record_id(id: &SubscriptionId) -> RecordId {
    RecordId::new(id.as_str())
        .expect("a subscription's id has the characters and length of a record's")
}

fn key(id: &SubscriptionId) -> RecordKey {
    RecordKey {
        collection: SUBSCRIPTIONS,
        id: record_id(id),
    }
}

/// The subscriptions of all owners, shared by all processes. Each call names the owner, so that no caller can
/// forget to check it.
///
/// # Contract
/// - **SB-01** `create` stores a subscription; `load` returns it unchanged, with its revision and its end.
/// - **SB-02** of several `create` calls for one id exactly one succeeds; the others get `Exists`.
/// - **SB-03** a subscription belongs to its owner alone: for any other it does not exist to any call, and no call
///   changes it.
/// - **SB-04** a subscription with an end of its own is missing to every call from then on; one without is, when
///   it was not used for [`UNUSED_LIFE`](crate::limits::UNUSED_LIFE). No call revives it, and it cannot be
///   created if its end has passed.
/// - **SB-05** `renew` sets the end anew, earlier or later, and changes nothing else.
/// - **SB-06** `end` is sticky: afterwards the subscription is missing to every call. It returns whether there was
///   one to end.
/// - **SB-07** `list` returns the living subscriptions of its owner once, in pages of up to `limit`, ordered by id;
///   `of_owner` returns them all, and `load_many` those of the given ids that live.
/// - **SB-08** a `create` that would exceed a limit of number or bytes, of the owner or of all, is `NoRoom` and
///   changes nothing, even if several run concurrently. Ended and expired subscriptions do not count.
/// - **SB-09** `advance` moves the cursor forward within a log, and to any position of another log; it never moves
///   it back, and never moves the end that a client chose. To a subscription without one it is a use.
/// - **SB-10** an `advance` with a fencing number lower than that of an earlier one is `Fenced` and changes nothing.
/// - **SB-11** (durable) every acknowledged change is still there after a reopen, and what ended stays ended.
/// - **SB-12** (shared) what one handle changed, another sees at once; no concurrent change is lost.
/// - **SB-13** (goes back) after the store went back to an earlier state, the cursor is the one of then: what is
///   delivered next was delivered before, and nothing is left out. The cursor can be moved again.
/// - **SB-14** a state carries a version. One that this build does not write, or that is damaged, concerns its
///   subscription alone: `load` is `Unreadable`, the lists leave it out and count it, and `end` ends it.
/// - **SB-15** a subscription whose transport nothing delivers is `Undeliverable`, and one that is longer than
///   [`MAX_RECORD_BYTES`] is `TooLarge`: neither is stored.
/// - **SB-17** `list_client` returns, as `list` does, those living subscriptions of an owner that were made under a
///   client's name, and reads the records of no other client. One whose id is not of its client is `Misnamed` and
///   not stored.
/// - **SB-18** `was_ended` tells a subscription that was ended, for as long as it would have lived, from one that the
///   store does not have or has lost. It changes nothing.
/// - **SB-16** `check` succeeds while changes of subscriptions are accepted.
#[derive(Clone, Debug)]
pub struct SubscriptionRecords {
    records: Arc<dyn Records>,
}

impl SubscriptionRecords {
    /// The subscriptions in a store.
    #[must_use]
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// Stores a new subscription, as of `now` by the store's clock; see SB-01, SB-02, SB-08, SB-15. It is durable
    /// when this returns.
    ///
    /// # Errors
    /// `Exists`, `Over`, `Undeliverable`, `NoRoom`, `TooLarge`, `Unreadable` if what is there is damaged, or the
    /// store failed.
    pub async fn create(
        &self,
        subscription: &Subscription,
        now: Timestamp,
        limits: SubscriptionLimits,
    ) -> Result<VersionedSubscription, SubscriptionRecordsError> {
        if subscription.transport == SubscriptionTransport::Webhook {
            return Err(SubscriptionRecordsError::Undeliverable);
        }
        let key_of = |client| ClientKey::new(&subscription.owner, client);
        let is_misnamed = |client| !key_of(client).is_of(&subscription.id);
        if subscription.client.as_ref().is_some_and(is_misnamed) {
            return Err(SubscriptionRecordsError::Misnamed);
        }
        let ttl = subscription.life.left(now);
        let ttl = ttl.ok_or(SubscriptionRecordsError::Over)?;
        let record = NewRecord {
            key: key(&subscription.id),
            owner: subscription.owner.clone(),
            state: encode(subscription)?,
            ttl,
        };
        match self.records.create(&record, limits.of_records()).await? {
            RecordCreation::Created(revision) => Ok(VersionedSubscription {
                expires_at: end_of(subscription, now.plus(ttl)),
                subscription: subscription.clone(),
                revision,
            }),
            RecordCreation::Exists(_) | RecordCreation::Ended => {
                Err(SubscriptionRecordsError::Exists)
            }
        }
    }

    /// Whether a subscription that is missing was ended; see SB-18. One that is there after all counts as ended.
    ///
    /// # Errors
    /// The store failed.
    pub async fn was_ended(
        &self,
        owner: &PrincipalId,
        id: &SubscriptionId,
    ) -> Result<bool, SubscriptionRecordsError> {
        // A key that is in use is told before a bound, and these bounds leave no room for another one.
        const NO_ROOM: RecordLimits = RecordLimits {
            max_records: 0,
            max_records_per_owner: 0,
            max_bytes: 0,
            max_bytes_per_owner: 0,
            spare_ttl: Duration::ZERO,
        };
        let probe = NewRecord {
            key: key(id),
            owner: owner.clone(),
            state: with_version(VERSION, b"null"),
            ttl: PROBE_LIFE,
        };
        match self.records.create(&probe, NO_ROOM).await {
            Ok(RecordCreation::Ended | RecordCreation::Exists(_)) => Ok(true),
            Err(RecordsError::Unreadable { .. }) => Ok(true),
            Ok(RecordCreation::Created(_)) | Err(RecordsError::NoRoom { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Loads a living subscription of an owner.
    ///
    /// # Errors
    /// `Unreadable`, or the store failed. A subscription that the owner does not have is `None`.
    pub async fn load(
        &self,
        owner: &PrincipalId,
        id: &SubscriptionId,
    ) -> Result<Option<VersionedSubscription>, SubscriptionRecordsError> {
        let found = self.records.load(&key(id)).await?;
        let found = found.filter(|found| found.owner == *owner);
        found.map(decode).transpose()
    }

    /// Loads the living subscriptions of an owner among these; see SB-07. One that cannot be read is left out.
    ///
    /// # Errors
    /// The store failed.
    pub async fn load_many(
        &self,
        owner: &PrincipalId,
        ids: &[SubscriptionId],
    ) -> Result<Vec<VersionedSubscription>, SubscriptionRecordsError> {
        let mut loaded = Vec::new();
        for ids in ids.chunks(READ_AT_ONCE) {
            let records: Vec<_> = ids.iter().map(record_id).collect();
            let found = match self.records.load_many(SUBSCRIPTIONS, &records).await {
                Ok(found) => found.into_iter().flatten().collect(),
                // One of them is damaged, and it is not said which.
                Err(RecordsError::Unreadable { .. }) => self.load_each(&records).await?,
                Err(error) => return Err(error.into()),
            };
            let of_owner = found.into_iter().filter(|found| found.owner == *owner);
            loaded.extend(of_owner.filter_map(|found| decode(found).ok()));
        }
        Ok(loaded)
    }

    async fn load_each(
        &self,
        ids: &[RecordId],
    ) -> Result<Vec<StoredRecord>, SubscriptionRecordsError> {
        let mut found = Vec::new();
        for id in ids {
            let key = RecordKey {
                collection: SUBSCRIPTIONS,
                id: id.clone(),
            };
            match self.records.load(&key).await {
                Ok(record) => found.extend(record),
                Err(RecordsError::Unreadable { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// A page of the subscriptions of an owner after an id; see SB-07. A page has fewer than `limit` if its bytes,
    /// or records that cannot be read, fill it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(
        &self,
        owner: &PrincipalId,
        after: Option<&SubscriptionId>,
        limit: usize,
    ) -> Result<SubscriptionPage, SubscriptionRecordsError> {
        let after = after.map(record_id);
        let listed = self
            .records
            .list(SUBSCRIPTIONS, Some(owner), after.as_ref(), limit);
        page(listed.await?)
    }

    /// A page of the subscriptions of a client after an id; see SB-17. It has fewer than `limit` as [`Self::list`].
    ///
    /// # Errors
    /// The store failed.
    pub async fn list_client(
        &self,
        (owner, client): (&PrincipalId, &ClientId),
        after: Option<&SubscriptionId>,
        limit: usize,
    ) -> Result<SubscriptionPage, SubscriptionRecordsError> {
        let (prefix, after) = (ClientKey::new(owner, client).prefix(), after.map(record_id));
        let under = (owner, &prefix);
        let listed = self
            .records
            .list_under(SUBSCRIPTIONS, under, after.as_ref(), limit);
        let mut page = page(listed.await?)?;
        // The same digest does not make it the same client.
        page.subscriptions
            .retain(|found| found.subscription.client.as_ref() == Some(client));
        Ok(page)
    }

    /// All subscriptions of an owner.
    ///
    /// # Errors
    /// The store failed.
    pub async fn of_owner(
        &self,
        owner: &PrincipalId,
    ) -> Result<Vec<VersionedSubscription>, SubscriptionRecordsError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.list(owner, after.as_ref(), READ_AT_ONCE).await?;
            all.extend(page.subscriptions);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// Sets the end of a subscription anew, as of `now` by the store's clock; see SB-05.
    ///
    /// # Errors
    /// `Missing`, `Over` if the new end has passed, `Busy`, `Unreadable`, or the store failed.
    pub async fn renew(
        &self,
        (owner, id): (&PrincipalId, &SubscriptionId),
        life: SubscriptionLife,
        now: Timestamp,
    ) -> Result<VersionedSubscription, SubscriptionRecordsError> {
        let ttl = life.left(now).ok_or(SubscriptionRecordsError::Over)?;
        self.change((owner, id), |subscription| {
            subscription.life = life;
            Ok(Some(RecordLife::For(ttl)))
        })
        .await
    }

    /// Moves the cursor of a subscription; see SB-09, SB-10.
    ///
    /// # Errors
    /// `Missing`, `Fenced`, `Busy`, `Unreadable`, or the store failed.
    pub async fn advance(
        &self,
        of: (&PrincipalId, &SubscriptionId),
        advance: CursorAdvance,
        now: Timestamp,
    ) -> Result<VersionedSubscription, SubscriptionRecordsError> {
        let CursorAdvance { to, fence } = advance;
        self.change(of, |subscription| {
            let newest = subscription.fence;
            if fence.is_some_and(|fence| fence < newest) {
                return Err(SubscriptionRecordsError::Fenced { newest });
            }
            let is_ahead = moves_cursor(subscription.cursor, to);
            if is_ahead {
                subscription.cursor = to;
            }
            subscription.fence = fence.unwrap_or(newest);
            if !is_ahead && subscription.fence == newest {
                return Ok(None);
            }
            Ok(Some(match subscription.life {
                SubscriptionLife::Until(_) => RecordLife::Unchanged,
                life @ SubscriptionLife::WhileUsed => match life.left(now) {
                    Some(ttl) => RecordLife::For(ttl),
                    None => RecordLife::Unchanged,
                },
            }))
        })
        .await
    }

    /// Records that a subscription without an end of its own is used, as of `now`.
    ///
    /// # Errors
    /// The store failed. `false` if the owner has no such subscription.
    pub async fn touch(
        &self,
        id: &SubscriptionId,
        life: SubscriptionLife,
        now: Timestamp,
    ) -> Result<bool, SubscriptionRecordsError> {
        let key = key(id);
        Ok(match (life, life.left(now)) {
            (SubscriptionLife::WhileUsed, Some(ttl)) => self.records.touch(&key, ttl).await?,
            _ => self.records.expires_at(&key).await?.is_some(),
        })
    }

    /// Changes a subscription, again if another caller changes it meanwhile. `None` from `change` means that
    /// nothing changes.
    async fn change(
        &self,
        (owner, id): (&PrincipalId, &SubscriptionId),
        mut change: impl FnMut(
            &mut Subscription,
        ) -> Result<Option<RecordLife>, SubscriptionRecordsError>,
    ) -> Result<VersionedSubscription, SubscriptionRecordsError> {
        // The weight of a state does not rise by a few digits beyond its step, or the change has room anyway.
        let limits = RecordLimits {
            max_records: u64::MAX,
            max_records_per_owner: u32::MAX,
            max_bytes: u64::MAX,
            max_bytes_per_owner: u64::MAX,
            spare_ttl: Duration::ZERO,
        };
        for _ in 0..CHANGE_ATTEMPTS {
            let found = self.load(owner, id).await?;
            let mut found = found.ok_or(SubscriptionRecordsError::Missing)?;
            let Some(life) = change(&mut found.subscription)? else {
                return Ok(found);
            };
            let state = encode(&found.subscription)?;
            let key = key(id);
            let replaced = self
                .records
                .replace(&key, state, found.revision, life, limits);
            match replaced.await {
                Ok(revision) => {
                    found.revision = revision;
                    if life != RecordLife::Unchanged {
                        let end = self.records.expires_at(&key).await?;
                        let end = end.ok_or(SubscriptionRecordsError::Missing)?;
                        found.expires_at = end_of(&found.subscription, end);
                    }
                    return Ok(found);
                }
                Err(RecordsError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SubscriptionRecordsError::Busy)
    }

    /// Ends a subscription of an owner for good; see SB-06.
    ///
    /// # Errors
    /// The store failed.
    pub async fn end(
        &self,
        owner: &PrincipalId,
        id: &SubscriptionId,
    ) -> Result<bool, SubscriptionRecordsError> {
        let key = key(id);
        let is_own = match self.records.load(&key).await {
            Ok(Some(found)) => found.owner == *owner,
            Ok(None) => false,
            Err(error) => return Err(error.into()),
        };
        Ok(is_own && self.records.end(&key).await?)
    }

    /// Checks whether the store accepts changes of subscriptions now; used for readiness.
    ///
    /// # Errors
    /// The store does not answer, or refuses changes.
    pub async fn check(&self) -> Result<(), StoreFailure> {
        self.records.check(SUBSCRIPTIONS).await
    }
}

#[cfg(test)]
mod tests {
    use model::{Epoch, FilterSet, ManualClock, Sequence};
    use store_memory::MemorySessionStore;

    use super::*;

    fn position(sequence: u64) -> LogPosition {
        LogPosition {
            epoch: Epoch(1),
            sequence: Sequence(sequence),
            tag: None,
        }
    }

    fn subscription(owner: &PrincipalId) -> Subscription {
        Subscription {
            id: SubscriptionId::new("s").unwrap(),
            owner: owner.clone(),
            client: None,
            filters: FilterSet::all(),
            transport: SubscriptionTransport::Sse,
            since: position(1),
            named_at: None,
            cursor: position(1),
            created_at: Timestamp::default(),
            life: SubscriptionLife::WhileUsed,
            fence: 0,
            session: None,
            metadata: serde_json::Map::new(),
        }
    }

    #[tokio::test]
    async fn use_puts_off_the_end_that_no_client_chose() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1)));
        let store: Arc<dyn Records> = Arc::new(MemorySessionStore::new(clock.clone(), 1));
        let (records, owner) = (
            SubscriptionRecords::new(store),
            PrincipalId::new("o").unwrap(),
        );
        let limits = SubscriptionLimits::of(&owner);
        let made = subscription(&owner);
        let now = model::Clock::now(&*clock);
        let first = records.create(&made, now, limits).await.unwrap();
        clock.advance(Duration::from_secs(60));
        let now = model::Clock::now(&*clock);
        assert!(records.touch(&made.id, made.life, now).await.unwrap());
        let found = records.load(&owner, &made.id).await.unwrap().unwrap();
        assert_eq!(
            found.expires_at,
            first.expires_at.plus(Duration::from_secs(60))
        );
        assert_eq!(found.revision, first.revision);
    }
}
