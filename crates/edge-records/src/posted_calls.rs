//! Calls whose answers go into a stream of a session's mailbox, from whichever edge runs them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use model::{LeaseName, PostedCallId, PrincipalId, RecordId, SessionId, StreamId};
use ports::{
    Collection, NewRecord, RecordCreation, RecordKey, RecordLife, RecordLimits, RecordPage,
    Records, RecordsError, Revision, StoredRecord,
};
use serde::{Deserialize, Serialize};

use crate::state_version::{of_version, with_version};

/// Where posted calls are kept.
const POSTED_CALLS: Collection = Collection::new("posted-calls");
/// The version of their states.
const VERSION: u8 = 1;
/// Time for which a call is kept after the last word on it.
const TIME_TO_LIVE: Duration = Duration::from_secs(3600);
/// Time for which a call is kept that its own edge has answered: nobody asks for it.
const ANSWERED_TIME_TO_LIVE: Duration = Duration::from_secs(1);
/// 50,000 calls of one owner, and four times as many in all. A record weighs 4 KiB at least.
const LIMITS: RecordLimits = RecordLimits {
    max_records: 200_000,
    max_records_per_owner: 50_000,
    max_bytes: 1 << 30,
    max_bytes_per_owner: 256 << 20,
    spare_ttl: ANSWERED_TIME_TO_LIVE,
};

/// A call that an edge runs, as the others have to know it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PostedCallState {
    /// The lease of the edge.
    pub edge: LeaseName,
    /// The stream of the mailbox for the answer.
    pub to: StreamId,
    /// What is stored there if the edge is lost.
    pub lost: String,
}

/// The name of a call: its session, which is its owner's, and its id among the session's calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostedCallName {
    /// The owner of the session.
    pub owner: PrincipalId,
    /// The session.
    pub session: SessionId,
    /// The id.
    pub id: PostedCallId,
}

/// A call that has not ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenPostedCall {
    /// Its name.
    pub name: PostedCallName,
    /// Which edge runs it.
    pub state: PostedCallState,
    /// Its revision.
    pub revision: Revision,
}

/// What became of a call that an edge says it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PostedCallClaim {
    /// This edge runs it, with this revision.
    Own(Revision),
    /// Another edge has answered in its place.
    Answered,
}

/// Posted calls, shared by all edges.
///
/// # Contract
/// - **PC-01** `claim` says that an edge runs a call; `open` has the calls of a session that have not ended, with the state
///   and the revision that the last `claim` stored, and those of no other session.
/// - **PC-02** after `end` a call is not open any more. If another edge ended it, a `claim` of the edge that ran it is
///   `Answered` for an hour.
/// - **PC-03** a claim or an end whose outcome was unknown is made again with the same result.
/// - **PC-04** a call that the store does not have is claimed anew: it was lost with the store's last changes, which
///   `has_claim` tells.
/// - **PC-05** what another build stored, or is damaged, concerns its own call alone.
#[derive(Clone, Debug)]
pub struct PostedCallRecords {
    records: Arc<dyn Records>,
}

impl PostedCallRecords {
    /// The calls in a store.
    #[must_use]
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// Says that an edge runs a call: for the first time, or with the revision of the last time.
    ///
    /// # Errors
    /// The store failed, or has no room; then nobody may know of the call.
    pub async fn claim(
        &self,
        name: &PostedCallName,
        state: &PostedCallState,
        last: Option<Revision>,
    ) -> Result<PostedCallClaim, RecordsError> {
        let record = NewRecord {
            key: name.key(),
            owner: name.owner.clone(),
            state: encode(Some(state)),
            ttl: TIME_TO_LIVE,
        };
        if let Some(last) = last
            && let Some(revision) = self.claim_again(&record, last).await?
        {
            return Ok(PostedCallClaim::Own(revision));
        }
        let found = match self.records.create(&record, LIMITS).await? {
            RecordCreation::Created(revision) => return Ok(PostedCallClaim::Own(revision)),
            RecordCreation::Exists(found) => found,
            RecordCreation::Ended => return Ok(PostedCallClaim::Answered),
        };
        if has_ended(&found.state) {
            return Ok(PostedCallClaim::Answered);
        }
        // An earlier attempt, whose outcome was unknown; or the store went back to an earlier claim.
        let is_stored = found.state == record.state;
        let revision = match is_stored {
            true => Some(found.revision),
            false => self.claim_again(&record, found.revision).await?,
        };
        Ok(revision.map_or(PostedCallClaim::Answered, PostedCallClaim::Own))
    }

    async fn claim_again(
        &self,
        record: &NewRecord,
        last: Revision,
    ) -> Result<Option<Revision>, RecordsError> {
        let (state, life) = (record.state.clone(), RecordLife::For(record.ttl));
        self.replace(&record.key, state, last, life).await
    }

    /// `None` if the store has another revision, or no record.
    async fn replace(
        &self,
        key: &RecordKey,
        state: Bytes,
        last: Revision,
        life: RecordLife,
    ) -> Result<Option<Revision>, RecordsError> {
        let replaced = self.records.replace(key, state, last, life, LIMITS).await;
        match replaced {
            Ok(revision) => Ok(Some(revision)),
            Err(RecordsError::Missing | RecordsError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the claim of an edge is stored, or has ended: false if the store has lost it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn has_claim(
        &self,
        name: &PostedCallName,
        edge: &LeaseName,
    ) -> Result<bool, RecordsError> {
        let Some(stored) = self.records.load(&name.key()).await? else {
            return Ok(false);
        };
        let has_ended = has_ended(&stored.state);
        let open = decode(&name.session, &prefix(&name.session), stored);
        Ok(has_ended || open.is_some_and(|open| open.state.edge == *edge))
    }

    /// The calls of a session that have not ended.
    ///
    /// # Errors
    /// The store failed.
    pub async fn open(
        &self,
        owner: &PrincipalId,
        session: &SessionId,
    ) -> Result<Vec<OpenPostedCall>, RecordsError> {
        let prefix = prefix(session);
        let (mut open, mut after) = (Vec::new(), None);
        loop {
            let (under, most) = ((owner, &prefix), RecordPage::MAX_RECORDS);
            let page = self
                .records
                .list_under(POSTED_CALLS, under, after.as_ref(), most)
                .await?;
            let found = page.records.into_iter();
            open.extend(found.filter_map(|stored| decode(session, &prefix, stored)));
            after = page.next;
            if after.is_none() {
                return Ok(open);
            }
        }
    }

    /// Says that a call has ended: its answer is stored. `by_its_edge`: by the edge that ran it, which will not ask for it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn end(
        &self,
        name: &PostedCallName,
        last: Revision,
        by_its_edge: bool,
    ) -> Result<(), RecordsError> {
        let life = RecordLife::For(match by_its_edge {
            true => ANSWERED_TIME_TO_LIVE,
            false => TIME_TO_LIVE,
        });
        // Nothing to do if another edge claimed or ended it meanwhile, or an earlier attempt did.
        self.replace(&name.key(), encode(None), last, life).await?;
        Ok(())
    }
}

impl PostedCallName {
    fn key(&self) -> RecordKey {
        let id = format!("{}{}", prefix(&self.session), self.id);
        RecordKey {
            collection: POSTED_CALLS,
            id: RecordId::new(&id).expect("two short ids of visible ASCII"),
        }
    }
}

/// No id has a `/`, so a call is one session's alone.
fn prefix(session: &SessionId) -> RecordId {
    RecordId::new(&format!("{session}/")).expect("an id is visible ASCII")
}

/// `None`: it has ended.
fn encode(state: Option<&PostedCallState>) -> Bytes {
    let state = serde_json::to_vec(&state).expect("texts are JSON");
    with_version(VERSION, &state)
}

/// What another build stored has not ended, as far as this one can tell.
fn has_ended(stored: &Bytes) -> bool {
    let body = of_version(VERSION, stored.clone());
    body.is_ok_and(|body| body == b"null".as_slice())
}

fn decode(session: &SessionId, prefix: &RecordId, stored: StoredRecord) -> Option<OpenPostedCall> {
    let body = of_version(VERSION, stored.state).ok()?;
    let state = serde_json::from_slice::<Option<PostedCallState>>(&body).ok()??;
    let id = stored.id.as_str().strip_prefix(prefix.as_str())?;
    Some(OpenPostedCall {
        name: PostedCallName {
            owner: stored.owner,
            session: session.clone(),
            id: PostedCallId::new(id).ok()?,
        },
        state,
        revision: stored.revision,
    })
}
