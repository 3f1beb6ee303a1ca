//! [`ports::SessionStore`].

use std::time::Duration;

use async_trait::async_trait;
use fred::{
    interfaces::HashesInterface,
    types::{FromValue, Value, scripts::Script},
};
use futures_util::{StreamExt, stream};
use model::{Session, SessionId, Timestamp};
use ports::{
    Revision, SessionLimits, SessionPage, SessionStore, SessionStoreError, StoreFailure,
    VersionedSession,
};
use tokio::time::Instant;
use tracing::debug;

use crate::{
    RedisSessionStore,
    config::{MAX_PAGE_SESSIONS, PIPELINED},
    index::IndexEntry,
    session_record,
    shared_keys::names,
    store::millis,
};

impl RedisSessionStore {
    /// Runs a script on one session.
    async fn on_session<R: FromValue>(
        &self,
        op: &'static str,
        script: &Script,
        id: &SessionId,
        arguments: Vec<String>,
    ) -> Result<R, SessionStoreError> {
        let arguments = arguments.into_iter().map(Value::from).collect();
        let keys = vec![self.index.session_key(id.as_str())];
        Ok(self.run(op, script, keys, arguments).await?)
    }

    async fn find(
        &self,
        op: &'static str,
        id: &str,
    ) -> Result<Option<VersionedSession>, SessionStoreError> {
        let (began, fields) = (Instant::now(), vec!["revision", "session"]);
        let found = self
            .connection
            .client()
            .hmget(self.index.session_key(id), fields)
            .await
            .map_err(|error| match self.failed(op, began, error) {
                StoreFailure::Corrupt { source, .. } => session_record::unreadable(source),
                failed => failed.into(),
            })?;
        let (revision, json): (u64, String) = match found {
            (Some(revision), Some(json)) => (revision, json),
            (None, None) => return Ok(None),
            (Some(_), None) | (None, Some(_)) => return Err(session_record::incomplete()),
        };
        Ok(Some(VersionedSession {
            session: session_record::decode(id, &json)?,
            revision: Revision(revision),
        }))
    }

    /// Updates the index if the script returned the owner of a session that has less time left.
    async fn note_shortened_ttl(
        &self,
        op: &'static str,
        id: &SessionId,
        owner: &str,
        ttl: Duration,
    ) {
        if !owner.is_empty() {
            self.make_due_earlier(op, IndexEntry::of(id.as_str(), owner), ttl)
                .await;
        }
    }

    /// Reads from the index until the page is full or the index ends.
    async fn page(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<SessionPage, SessionStoreError> {
        const OP: &str = "list";
        let client = &self.connection.client();
        let limit = limit.min(MAX_PAGE_SESSIONS);
        let mut after = after.map(|id| id.as_str().to_owned());
        let (mut sessions, mut unreadable) = (Vec::new(), 0);
        if after.is_none() {
            self.mend_index(OP).await?;
        }
        loop {
            let wanted = limit - sessions.len();
            // One more than wanted, which shows whether there is a next page.
            let entries = self
                .index
                .entries_after(client, after.as_deref(), wanted + 1);
            let began = Instant::now();
            let entries = match entries.await {
                Ok(entries) => entries,
                Err(error) => {
                    let failure = self.failed(OP, began, error);
                    let keys = self.index.keys();
                    return Err(self.name_foreign_key(OP, &keys, failure).await.into());
                }
            };
            let at_end = entries.len() <= wanted;
            let mut finds = Vec::with_capacity(wanted);
            for entry in entries.iter().take(wanted) {
                finds.push(self.find(OP, entry.id()));
            }
            let mut found = stream::iter(finds).buffered(PIPELINED);
            let (mut gone, mut looked_at) = (Vec::new(), entries.iter());
            while let (Some(found), Some(entry)) = (found.next().await, looked_at.next()) {
                match found {
                    Ok(Some(session)) => sessions.push(session),
                    Ok(None) => gone.push((entry.clone(), None)),
                    Err(SessionStoreError::Unreadable { source }) => {
                        debug!(session = entry.id(), %source, "a session is left out of the list");
                        unreadable += 1;
                    }
                    Err(failed) => return Err(failed),
                }
            }
            drop(found);
            self.reschedule_entries(OP, gone).await?;
            if at_end || sessions.len() == limit {
                let last = sessions.last().filter(|_| !at_end);
                let next = last.map(|last: &VersionedSession| last.session.id.clone());
                return Ok(SessionPage {
                    sessions,
                    unreadable,
                    next,
                });
            }
            after = entries.get(wanted - 1).map(|last| last.id().to_owned());
        }
    }
}

#[async_trait]
impl SessionStore for RedisSessionStore {
    async fn create(
        &self,
        session: &Session,
        ttl: Duration,
        limits: SessionLimits,
    ) -> Result<Revision, SessionStoreError> {
        const OP: &str = "create a session";
        let owner = session.owner.as_str();
        let arguments = vec![
            session_record::encode(session)?,
            millis(ttl),
            owner.to_owned(),
        ];
        let entry = IndexEntry::new(&session.id, &session.owner);
        self.bounded(OP, async {
            self.reserve_entry(OP, &entry, ttl, limits).await?;
            let created: i64 = self
                .on_session(OP, &self.session_scripts.create, &session.id, arguments)
                .await?;
            self.sweep(OP).await;
            // If the create failed, its entry stays until it is due: by now it may belong to the
            // create that succeeded.
            match created {
                0 => Err(SessionStoreError::Exists),
                _ => Ok(Revision(1)),
            }
        })
        .await
    }

    async fn load(&self, id: &SessionId) -> Result<Option<VersionedSession>, SessionStoreError> {
        const OP: &str = "load a session";
        self.bounded(OP, self.find(OP, id.as_str())).await
    }

    async fn replace(
        &self,
        session: &Session,
        expected: Revision,
        ttl: Duration,
    ) -> Result<Revision, SessionStoreError> {
        const OP: &str = "replace a session";
        let arguments = vec![
            expected.0.to_string(),
            session_record::encode(session)?,
            millis(ttl),
        ];
        self.bounded(OP, async {
            let (outcome, stored, owner): (i64, u64, String) = self
                .on_session(OP, &self.session_scripts.replace, &session.id, arguments)
                .await?;
            self.note_shortened_ttl(OP, &session.id, &owner, ttl).await;
            let stored = Revision(stored);
            match outcome {
                2 => Ok(stored),
                1 => Err(SessionStoreError::Conflict { current: stored }),
                _ => Err(SessionStoreError::Missing),
            }
        })
        .await
    }

    async fn end(&self, id: &SessionId) -> Result<bool, SessionStoreError> {
        const OP: &str = "end a session";
        self.bounded(OP, async {
            let (ended, owner): (i64, String) = self
                .on_session(OP, &self.session_scripts.end, id, Vec::new())
                .await?;
            if ended == 1 {
                self.remove_entry(OP, IndexEntry::of(id.as_str(), &owner))
                    .await;
            }
            Ok(ended == 1)
        })
        .await
    }

    async fn touch(&self, id: &SessionId, ttl: Duration) -> Result<bool, SessionStoreError> {
        const OP: &str = "touch a session";
        self.bounded(OP, async {
            let arguments = vec![millis(ttl)];
            let (touched, owner): (i64, String) = self
                .on_session(OP, &self.session_scripts.touch, id, arguments)
                .await?;
            self.note_shortened_ttl(OP, id, &owner, ttl).await;
            Ok(touched == 1)
        })
        .await
    }

    async fn list(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<SessionPage, SessionStoreError> {
        self.bounded("list", self.page(after, limit)).await
    }

    async fn check(&self) -> Result<(), SessionStoreError> {
        const OP: &str = "store anything";
        let (kinds, index) = (self.index.key_of_each_kind(), self.index.keys());
        Ok(self
            .bounded(OP, self.check_access(OP, kinds, &index))
            .await?)
    }

    async fn time(&self) -> Result<Option<Timestamp>, SessionStoreError> {
        const OP: &str = "tell the time";
        let (script, keys) = (&self.session_scripts.time, names(&self.index.keys()));
        let millis = self.run::<i64>(OP, script, keys, Vec::new());
        let millis = self.bounded(OP, millis).await?;
        Ok(Some(Timestamp::from_unix_millis(millis)))
    }
}
