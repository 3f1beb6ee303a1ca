//! [`ports::LogStore`] on one JetStream stream.
//!
//! - The stream's sequences are the log's sequences. JetStream assigns them when it stores a
//!   message, and delivers a message only after it is stored, so no reader sees a message while a
//!   lower sequence can still appear (EL-05).
//! - Each entry has its own subject, `forgewire.events.<token>`; an append expects that the subject
//!   has no message yet. An event is therefore stored once for as long as the stream keeps it,
//!   whichever handle wrote it (EL-02). JetStream's own message ids would only work within their
//!   window of two minutes.
//! - A few events are read one by one, pages through short-lived pull consumers, which a reader of the next page
//!   continues; see `read.rs`.
//! - Where the server syncs each message, concurrent appends are batches; see `adr/002`.
//! - Every call is idempotent: it is retried within its deadline, immediately after a reconnection,
//!   and then fails as `Unavailable`.
//!
//! A subject per event costs one entry in the server's in-memory subject index for each event that
//! the stream keeps.

mod append;
mod check;
mod connections;
mod frame;
mod groups;
mod open_consumers;
mod pace;
mod publish;
mod read;
mod seek;
mod settings;
mod setup;
mod stored_at;
mod stream;
mod time;

use std::{future::Future, sync::Arc, time::Duration};

use async_nats::jetstream::context::ContextBuilder;
use async_trait::async_trait;
use model::{EventId, Sequence, Timestamp};
use ports::{
    AppendResult, BoxError, EntryPage, LogEntry, LogHead, LogStore, ReadEntry, SeekResult,
    StoreFailure,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use self::connections::LogConnection;
use crate::{
    LogConfig, NatsConnection, NatsError,
    config::{REQUEST_TIMEOUT, RETRY_PAUSE},
    denials::NatsDenial,
    payload,
    trials::Trials,
};

/// The event log of a cluster.
#[derive(Clone)]
pub struct JetStreamLog {
    main: LogConnection,
    /// If pages come over another connection.
    pages: Option<LogConnection>,
    /// Name of the stream, and prefix of the events' subjects.
    names: stream::StreamNames,
    epoch: Arc<stream::CurrentEpoch>,
    settings: Arc<settings::SeenSettings>,
    groups: groups::AppendGroups,
    open: Arc<open_consumers::OpenConsumers>,
    /// Pages that a check read, which cost the server a consumer each.
    pages_read: Trials<()>,
    /// Creates the stream again when it is gone; ends with the last clone.
    _keeper: Option<Arc<AbortOnDropHandle<()>>>,
    deadline: Duration,
}

impl std::fmt::Debug for JetStreamLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JetStreamLog")
            .field("stream", &self.names.stream)
            .field("epoch", &self.epoch.get())
            .finish_non_exhaustive()
    }
}

/// The settings of the stream around a call of [`JetStreamLog::apply_settings`], as sentences.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsChange {
    /// The stream's name.
    pub stream: String,
    /// What it kept before.
    pub before: String,
    /// What it keeps now.
    pub after: String,
}

/// The error of one attempt.
enum AttemptError {
    /// Another attempt may succeed.
    Retryable(BoxError),
    /// No further attempt will succeed.
    Final(StoreFailure),
}

/// Errors of the driver are worth another attempt unless the code decides otherwise.
impl<E: Into<BoxError>> From<E> for AttemptError {
    fn from(error: E) -> Self {
        Self::Retryable(error.into())
    }
}

impl JetStreamLog {
    /// Opens the log. With [`LogConfig::creates_stream`], creates the stream if it does not exist, now or
    /// later, and strengthens its retention and replicas; otherwise every call fails as `Unavailable`
    /// until another process has created it.
    ///
    /// # Errors
    /// The server does not answer in time, has no JetStream, rejects the stream, or has one that cannot
    /// keep the log's promises.
    pub async fn open(connection: NatsConnection, config: LogConfig) -> Result<Self, NatsError> {
        let names = stream::StreamNames::new(&connection);
        let main = LogConnection::new(connection, &names).await?;
        let began = Instant::now();
        let set_up = setup::set_up(&main.context, &names, &config).await;
        let found =
            set_up.map_err(
                |error| match main.connection.refusal_since(began, |_| true) {
                    Some(refused) => names.refused(refused),
                    None => error,
                },
            )?;
        let settings = settings::SeenSettings::default();
        if let Some(found) = found {
            settings.look(&names, &found);
        }
        let groups = groups::AppendGroups::new(main.clone(), config.batches);
        let deadline = config.deadline;
        let keeper = config.creates_stream.then(|| {
            let keeping = setup::keep(main.context.clone(), names.clone(), config);
            Arc::new(AbortOnDropHandle::new(tokio::spawn(keeping)))
        });
        Ok(Self {
            main,
            pages: None,
            names,
            epoch: Arc::default(),
            settings: Arc::new(settings),
            groups,
            open: Arc::default(),
            pages_read: Trials::default(),
            _keeper: keeper,
            deadline,
        })
    }

    /// Sets the retention and replicas of the stream to those of the configuration, also where this
    /// weakens it: for an operator's command, not for a start.
    ///
    /// # Errors
    /// There is no stream, or the server does not answer or refuses the change.
    pub async fn apply_settings(
        connection: NatsConnection,
        config: LogConfig,
    ) -> Result<SettingsChange, NatsError> {
        let context = ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .build(connection.client().clone());
        let names = stream::StreamNames::new(&connection);
        setup::apply(&context, &names, &config).await
    }

    /// The error if the stream has settings, changed while this process runs, with which it cannot keep events.
    fn refused(&self, op: &'static str) -> Option<StoreFailure> {
        let source = self.settings.refusal()?.into();
        Some(StoreFailure::Unavailable { op, source })
    }

    /// Retries until the attempt succeeds, fails finally, or the deadline has passed. The attempt
    /// has to be idempotent: it is abandoned as soon as the connection was lost and re-established,
    /// because its answer will no longer arrive.
    async fn retry_until_deadline<T, F>(
        &self,
        op: &'static str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, StoreFailure>
    where
        F: Future<Output = Result<T, AttemptError>>,
    {
        let (began, mut last) = (Instant::now(), None::<BoxError>);
        let tries = async {
            loop {
                let connected_again = self.connected_again();
                let outcome = tokio::select! {
                    outcome = attempt() => outcome,
                    () = connected_again => continue,
                };
                match outcome {
                    Ok(value) => return Ok(value),
                    Err(AttemptError::Final(error)) => return Err(error),
                    Err(AttemptError::Retryable(source)) => last = Some(source),
                }
                sleep(RETRY_PAUSE).await;
            }
        };
        match timeout(self.deadline, tries).await {
            Ok(outcome) => outcome,
            Err(elapsed) => {
                // What is not permitted is not answered.
                let refused = self.refusal_since(began, |denial| self.concerns(denial));
                let source = refused.or(last).unwrap_or_else(|| elapsed.into());
                Err(StoreFailure::Unavailable { op, source })
            }
        }
    }
}

#[async_trait]
impl LogStore for JetStreamLog {
    async fn append(&self, entries: Vec<LogEntry>) -> Result<Vec<AppendResult>, StoreFailure> {
        let batch = append::AppendBatch::new(&self.names, self.main.connection.trust(), &entries);
        batch.check_sizes(self.main.connection.client().max_payload())?;
        let appended = self.retry_until_deadline("append", || self.append_batch(&batch));
        let appended = appended.await;
        // The server does not say which of its settings is the reason.
        appended.map_err(|error| self.refused("append").unwrap_or(error))
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EntryPage, StoreFailure> {
        self.retry_until_deadline("read", || self.page_after(after, limit))
            .await
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<ReadEntry>, StoreFailure> {
        self.retry_until_deadline("read", || self.page_before(before, limit))
            .await
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, StoreFailure> {
        let found = self
            .retry_until_deadline("seek", || self.scan(time, seek::MAX_SCANNED_EVENTS))
            .await?;
        Ok(SeekResult {
            position: found.position,
            truncated: found.truncated,
            read_bytes: found.read_bytes,
        })
    }

    async fn position_of(&self, id: &EventId) -> Result<Option<Sequence>, StoreFailure> {
        let subject = self.names.subject(id);
        let find = || self.newest_of_subject(&subject);
        self.retry_until_deadline("find an entry", find).await
    }

    async fn head(&self) -> Result<LogHead, StoreFailure> {
        self.retry_until_deadline("answer", || self.newest_head())
            .await
    }

    async fn trim(&self, time: Timestamp) -> Result<u64, StoreFailure> {
        self.trim_before(time).await
    }

    async fn time(&self) -> Result<Option<Timestamp>, StoreFailure> {
        self.server_time().await.map(Some)
    }

    async fn check_append(&self) -> Result<(), StoreFailure> {
        let what = payload::TOO_SMALL;
        let checked = self.main.connection.check_payload();
        checked.map_err(|_| StoreFailure::full(what))?;
        let concerns = |denial: &NatsDenial| self.concerns_appends(denial);
        self.permitted("take events", concerns, self.try_append())
            .await
    }

    async fn check_read(&self) -> Result<LogHead, StoreFailure> {
        let concerns = |denial: &NatsDenial| self.concerns_reads(denial);
        self.permitted("be read", concerns, self.try_reads()).await
    }

    fn max_body_bytes(&self) -> usize {
        self.main.connection.max_body_bytes()
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }
}
