//! Versioned state of any kind, shared by all processes.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use model::{PrincipalId, RecordId, Timestamp};

use crate::{
    NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, RecordPage, RecordsError,
    Revision, StoreFailure, StoredRecord, record::Collection,
};

/// Records of any kind: sessions, tasks, subscriptions and whatever else a few keys can find. The store does not
/// look into their states: a typed façade per kind, written once, has its rules.
///
/// # Contract
/// - **RC-01** `create` stores a record for its `ttl`; `load` returns its owner and its state byte for byte,
///   even if it is empty, with its revision and the time at which it ends.
/// - **RC-02** of several `create` calls for one key exactly one succeeds; the others get the record that is
///   there, the same for all of them.
/// - **RC-03** `replace` with the current revision stores the state and returns a higher revision; with any
///   other revision it is refused with `Conflict`, which carries the current one, and changes nothing. The
///   owner stays.
/// - **RC-04** of several concurrent `replace` calls with the same revision exactly one succeeds.
/// - **RC-05** `end` is sticky: afterwards the record is missing to every call, `create` answers `Ended`, and no
///   call can revive it for as long as it would have lived. `end` returns whether there was a record to end.
/// - **RC-06** when the `ttl` is over, the record is missing to every call and its key is free; the revisions of
///   a record that is created again are higher than those before.
/// - **RC-07** `touch` restarts the `ttl` without changing the revision, and returns whether the record is
///   living. `replace` restarts it, or leaves its end unchanged, as the caller asks.
/// - **RC-08** collections are independent of each other: they have their own ids, lists and bounds.
/// - **RC-09** `list` returns every living record of a collection once, in pages of up to `limit`, ordered by id;
///   with an owner, those of this owner alone, at a cost that depends on how many these are and not on the others.
/// - **RC-10** `load_many` returns what `load` would, in the order of the ids.
/// - **RC-11** when a collection has `max_records` living records, or the owner has `max_records_per_owner`,
///   `create` is `NoRoom` and changes nothing: the key stays free. No other call is ever refused because of these
///   limits. The caller passes the limits, and they may change from call to call.
/// - **RC-12** a `create`, or a `replace` by a state of more weight, that would take the weight of the collection
///   beyond `max_bytes`, or that of the owner's records beyond `max_bytes_per_owner`, is `NoRoom` and changes
///   nothing. A `replace` by a state of no more weight is never refused because of these limits.
///   What counts is the state as it is stored: a layer may make it lighter, or a few bytes longer.
/// - **RC-13** ended and expired records do not count; they make room for the next `create`.
/// - **RC-14** concurrent calls do not exceed the limits.
/// - **RC-15** a create at `max_records_per_owner` removes the record of its owner that would expire first, if it
///   has at most `spare_ttl` left, and takes its place; records with more time left and those of other owners
///   stay. A create that stores nothing removes nothing.
/// - **RC-16** a state longer than `max_state_bytes` is `TooLarge` and changes nothing.
/// - **RC-17** (durable) every acknowledged change is still there after a reopen, and ended records stay ended.
/// - **RC-18** (shared) what one handle changed, another sees at once; winners and limits hold across handles.
/// - **RC-19** (goes back) after the store went back to an earlier state, a revision that it gave out in the
///   lost time is not given out again, not even to a record that was created meanwhile: a caller that still holds
///   one gets `Conflict`, as long as the store's clock goes on.
/// - **RC-20** `time` is the clock by which the store lets records expire, the same through every handle;
///   `expires_at` returns the end of a record in this time, and `None` if `load` would.
/// - **RC-21** `check` succeeds while changes of a collection are accepted, and fails while the store refuses
///   them, though it may answer: it is read-only, has no room, or something foreign is where the collection's
///   records are counted. It leaves nothing that another call sees.
/// - **RC-22** (foreign bytes) a record that is damaged concerns itself alone: `load` is `Unreadable`, `list`
///   leaves it out and counts it, and `end` ends it.
/// - **RC-23** `list_under` returns, as `list` does, the living records of an owner whose ids begin with a prefix
///   and are longer; it reads no other record, so that its cost depends on how many these are.
#[async_trait]
pub trait Records: fmt::Debug + Send + Sync + 'static {
    /// Stores a new record, or returns the one that is there; see RC-01, RC-02, RC-11 to RC-16. It is durable
    /// when this returns.
    ///
    /// # Errors
    /// `NoRoom`, `TooLarge`, `Unreadable` if what is there is damaged, or the store failed.
    async fn create(
        &self,
        record: &NewRecord,
        limits: RecordLimits,
    ) -> Result<RecordCreation, RecordsError>;

    /// Loads a living record.
    ///
    /// # Errors
    /// `Unreadable`, or the store failed. A record that does not exist is `None`.
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, RecordsError>;

    /// Loads several records of a collection; see RC-10.
    ///
    /// # Errors
    /// As [`Self::load`], for the first of them.
    async fn load_many(
        &self,
        collection: Collection,
        ids: &[RecordId],
    ) -> Result<Vec<Option<StoredRecord>>, RecordsError>;

    /// The time at which a record ends, without its state; see RC-20.
    ///
    /// # Errors
    /// `Unreadable`, or the store failed. A record that does not exist is `None`.
    async fn expires_at(&self, key: &RecordKey) -> Result<Option<Timestamp>, RecordsError>;

    /// Stores a changed state; see RC-03, RC-04, RC-07, RC-12.
    ///
    /// # Errors
    /// `Missing`, `Conflict`, `NoRoom`, `TooLarge`, `Unreadable`, or the store failed.
    async fn replace(
        &self,
        key: &RecordKey,
        state: Bytes,
        expected: Revision,
        life: RecordLife,
        limits: RecordLimits,
    ) -> Result<Revision, RecordsError>;

    /// Restarts the `ttl`; see RC-07.
    ///
    /// # Errors
    /// `Unreadable`, or the store failed.
    async fn touch(&self, key: &RecordKey, ttl: Duration) -> Result<bool, RecordsError>;

    /// Ends a record for good; see RC-05.
    ///
    /// # Errors
    /// The store failed.
    async fn end(&self, key: &RecordKey) -> Result<bool, RecordsError>;

    /// A page of the living records of a collection, or of one owner in it, after an id; see RC-09.
    ///
    /// # Errors
    /// The store failed.
    async fn list(
        &self,
        collection: Collection,
        owner: Option<&PrincipalId>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError>;

    /// A page of the living records `under` an owner and a prefix of ids, after an id; see RC-23.
    ///
    /// # Errors
    /// The store failed.
    async fn list_under(
        &self,
        collection: Collection,
        under: (&PrincipalId, &RecordId),
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<RecordPage, RecordsError>;

    /// Checks whether the store takes changes of a collection now; used for readiness. See RC-21.
    ///
    /// # Errors
    /// The store does not answer, or refuses changes.
    async fn check(&self, collection: Collection) -> Result<(), StoreFailure>;

    /// The store's own time, by which all processes judge what they share; see RC-20.
    ///
    /// # Errors
    /// The store failed.
    async fn time(&self) -> Result<Timestamp, StoreFailure>;

    /// Longest state that the store takes, in bytes; see RC-16. A layer may add a few bytes to each state, and then
    /// takes as many fewer.
    fn max_state_bytes(&self) -> usize {
        RecordLimits::MAX_STATE_BYTES
    }
}
