//! [`ports::SessionStore`].

use std::{fmt, future::Future, time::Duration};

use async_trait::async_trait;
use fred::{
    error::Error,
    interfaces::{ClientLike, HashesInterface},
    types::{MultipleKeys, scripts::Script},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use model::{Session, SessionId};
use ports::{Expected, Revision, SessionPage, SessionStore, SessionStoreError, Source, Versioned};
use tokio::time::timeout;
use tracing::debug;

use crate::{
    RedisConfig, RedisError,
    config::{MAX_PAGE_SESSIONS, MAX_TTL, PIPELINED},
    connection::Connection,
    index::Index,
    record,
    scripts::Scripts,
};

/// Sessions on a Redis server or cluster. Dropping it closes the connection.
pub struct RedisSessionStore {
    connection: Connection,
    scripts: Scripts,
    index: Index,
    call_timeout: Duration,
}

impl fmt::Debug for RedisSessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisSessionStore")
    }
}

fn unavailable(op: &'static str, source: impl Into<Source>) -> SessionStoreError {
    SessionStoreError::Unavailable {
        op,
        source: source.into(),
    }
}

/// Milliseconds, at least one: nothing lives for ever, and zero would mean "delete".
fn millis(ttl: Duration) -> String {
    ttl.min(MAX_TTL).as_millis().max(1).to_string()
}

impl RedisSessionStore {
    /// Connects; tries until `startup_timeout` is over.
    ///
    /// # Errors
    /// The configuration is unusable, the credentials are refused, or the server does not answer in
    /// time.
    pub async fn connect(config: RedisConfig) -> Result<Self, RedisError> {
        let connection = Connection::open(&config).await?;
        let (index, call_timeout) = (Index::new(config.key_prefix), config.call_timeout);
        Ok(Self {
            connection,
            scripts: Scripts::new(),
            index,
            call_timeout,
        })
    }

    /// Bounds a whole call: the driver's own timeouts are per command, and do not cover all of its
    /// waits.
    async fn bounded<T>(
        &self,
        op: &'static str,
        call: impl Future<Output = Result<T, SessionStoreError>>,
    ) -> Result<T, SessionStoreError> {
        match timeout(self.call_timeout, call).await {
            Ok(outcome) => outcome,
            Err(elapsed) => Err(unavailable(op, elapsed)),
        }
    }

    /// Runs a script on one session; a server that restarted is given the script again.
    async fn run<R: fred::types::FromValue>(
        &self,
        script: &Script,
        id: &SessionId,
        arguments: Vec<String>,
    ) -> Result<R, Error> {
        let keys = MultipleKeys::from(self.index.session_key(id.as_str()));
        script
            .evalsha_with_reload(&self.connection.client, keys, arguments)
            .await
    }

    async fn find(
        &self,
        op: &'static str,
        id: &str,
    ) -> Result<Option<Versioned>, SessionStoreError> {
        let fields = vec!["revision", "session"];
        let found: (Option<u64>, Option<String>) = self
            .connection
            .client
            .hmget(self.index.session_key(id), fields)
            .await
            .map_err(|error| unavailable(op, error))?;
        let (Some(revision), Some(json)) = found else {
            return Ok(None);
        };
        let session = record::decode(&json)?;
        Ok(Some(Versioned {
            session,
            revision: Revision(revision),
        }))
    }

    /// Reads on in the index until the page is full or the index ends.
    async fn page(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<SessionPage, SessionStoreError> {
        const OP: &str = "list";
        let client = &self.connection.client;
        let limit = limit.clamp(1, MAX_PAGE_SESSIONS);
        let mut after = after.map(|id| id.as_str().to_owned());
        let mut sessions = Vec::new();
        loop {
            let wanted = limit - sessions.len();
            // One more than wanted: it says whether there is a next page.
            let ids = self.index.ids_after(client, after.as_deref(), wanted + 1);
            let ids = ids.await.map_err(|error| unavailable(OP, error))?;
            let at_end = ids.len() <= wanted;
            let mut finds = Vec::with_capacity(wanted);
            for id in ids.iter().take(wanted) {
                finds.push(self.find(OP, id));
            }
            let found: Vec<_> = stream::iter(finds)
                .buffered(PIPELINED)
                .try_collect()
                .await?;
            let gone = ids.iter().zip(&found).filter(|(_, found)| found.is_none());
            let gone = gone.map(|(id, _)| id.clone()).collect();
            self.index
                .remove(client, gone)
                .await
                .map_err(|error| unavailable(OP, error))?;
            sessions.extend(found.into_iter().flatten());
            if at_end {
                return Ok(SessionPage {
                    sessions,
                    next: None,
                });
            }
            if sessions.len() == limit {
                let next = sessions
                    .last()
                    .map(|last: &Versioned| last.session.id.clone());
                return Ok(SessionPage { sessions, next });
            }
            after = ids.into_iter().nth(wanted - 1);
        }
    }
}

#[async_trait]
impl SessionStore for RedisSessionStore {
    async fn create(
        &self,
        session: &Session,
        ttl: Duration,
    ) -> Result<Revision, SessionStoreError> {
        const OP: &str = "create a session";
        let client = &self.connection.client;
        let arguments = vec![record::encode(session)?, millis(ttl)];
        self.bounded(OP, async {
            let created: i64 = self
                .run(&self.scripts.create, &session.id, arguments)
                .await
                .map_err(|error| unavailable(OP, error))?;
            if created == 0 {
                return Err(SessionStoreError::Exists);
            }
            self.index
                .add(client, &session.id)
                .await
                .map_err(|error| unavailable(OP, error))?;
            if let Err(error) = self.index.sweep(client).await {
                debug!(%error, "expired sessions stay in the index for now");
            }
            Ok(Revision(1))
        })
        .await
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Versioned>, SessionStoreError> {
        const OP: &str = "load a session";
        self.bounded(OP, self.find(OP, id.as_str())).await
    }

    async fn replace(
        &self,
        session: &Session,
        expected: Expected,
        ttl: Duration,
    ) -> Result<Revision, SessionStoreError> {
        const OP: &str = "replace a session";
        let arguments = vec![
            expected.0.to_string(),
            record::encode(session)?,
            millis(ttl),
        ];
        self.bounded(OP, async {
            let outcome: (i64, u64) = self
                .run(&self.scripts.replace, &session.id, arguments)
                .await
                .map_err(|error| unavailable(OP, error))?;
            match outcome {
                (2, revision) => Ok(Revision(revision)),
                (1, current) => Err(SessionStoreError::Conflict {
                    current: Revision(current),
                }),
                _ => Err(SessionStoreError::Missing),
            }
        })
        .await
    }

    async fn end(&self, id: &SessionId) -> Result<bool, SessionStoreError> {
        const OP: &str = "end a session";
        self.bounded(OP, async {
            let ended: i64 = self
                .run(&self.scripts.end, id, Vec::new())
                .await
                .map_err(|error| unavailable(OP, error))?;
            let client = &self.connection.client;
            // Whoever lists finds out anyway: that the session has ended is what counts.
            if let Err(error) = self.index.remove(client, vec![id.to_string()]).await {
                debug!(%error, "an ended session stays in the index for now");
            }
            Ok(ended == 1)
        })
        .await
    }

    async fn touch(&self, id: &SessionId, ttl: Duration) -> Result<bool, SessionStoreError> {
        const OP: &str = "touch a session";
        self.bounded(OP, async {
            let touched: Result<i64, _> =
                self.run(&self.scripts.touch, id, vec![millis(ttl)]).await;
            touched
                .map(|touched| touched == 1)
                .map_err(|error| unavailable(OP, error))
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
        const OP: &str = "answer";
        self.bounded(OP, async {
            let answer: Result<String, _> = self.connection.client.ping(None).await;
            answer.map(|_| ()).map_err(|error| unavailable(OP, error))
        })
        .await
    }
}
