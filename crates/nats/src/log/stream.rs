//! The stream itself: its name, its configuration, its identity, its first and last positions.

use std::{fmt::Write, time::Duration};

use async_nats::jetstream::{
    Context,
    context::GetStreamErrorKind,
    stream::{Config, DiscardPolicy, Info, RetentionPolicy, State, StorageType},
};
use model::{Epoch, EventId, Sequence};
use ports::{BoxError, EventLogError, LogHead};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::{AttemptError, JetStreamLog};
use crate::{LogConfig, NatsConnection, NatsError, config::RETRY_PAUSE};

/// Maximum time that `open` keeps trying; a server that has just started needs a moment until
/// JetStream answers.
const SETUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two checks of a stream that may be new.
const RECHECK_PAUSE: Duration = Duration::from_millis(100);
/// The append uses no message ids, so the server need not remember any; it requires a window above
/// zero.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// The names of the stream and of its subjects.
#[derive(Clone)]
pub(super) struct StreamNames {
    pub(super) stream: String,
    subjects: String,
}

impl StreamNames {
    pub(super) fn new(connection: &NatsConnection) -> Self {
        Self {
            stream: connection.stream_name("FORGEWIRE_EVENTS"),
            subjects: connection.subject("forgewire.events."),
        }
    }

    /// The event's own subject. An id may contain characters with a special meaning in a subject,
    /// so the subject uses 128 bits of its SHA-256: two ids do not collide by chance or by intent.
    pub(super) fn subject(&self, id: &EventId) -> String {
        let digest = Sha256::digest(id.as_str().as_bytes());
        digest[..16]
            .iter()
            .fold(self.subjects.clone(), |mut subject, byte| {
                // Writing to a string cannot fail.
                let _ = write!(subject, "{byte:02x}");
                subject
            })
    }

    pub(super) fn refused(&self, source: impl Into<BoxError>) -> NatsError {
        NatsError::Stream {
            stream: self.stream.clone(),
            source: source.into(),
        }
    }

    fn config(&self, log: &LogConfig) -> Config {
        Config {
            name: self.stream.clone(),
            description: Some("Forgewire's event log".to_owned()),
            subjects: vec![format!("{}*", self.subjects)],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            max_age: log.retention.unwrap_or_default(),
            num_replicas: log.replicas,
            duplicate_window: DUPLICATE_WINDOW,
            allow_direct: true,
            max_messages: -1,
            max_messages_per_subject: -1,
            max_bytes: -1,
            max_consumers: -1,
            ..Config::default()
        }
    }

    /// Identifies the log. The creation time survives restarts; the name distinguishes streams
    /// created at the same time.
    fn epoch(&self, info: &Info) -> Epoch {
        let mut digest = Sha256::new();
        digest.update(info.created.unix_timestamp_nanos().to_be_bytes());
        digest.update(self.stream.as_bytes());
        let digest = digest.finalize();
        Epoch(
            digest[..8]
                .iter()
                .fold(0, |epoch, byte| (epoch << 8) | u64::from(*byte)),
        )
    }
}

/// Creates the stream or updates it, and returns its epoch.
pub(super) async fn set_up(
    context: &Context,
    names: &StreamNames,
    log: &LogConfig,
) -> Result<Epoch, NatsError> {
    let deadline = Instant::now() + SETUP_TIMEOUT;
    let mut seen = None;
    loop {
        match create_or_update(context, names, log).await {
            // While a server creates a stream it may report a creation time that differs from the
            // final one (observed with NATS 2.9): the epoch counts once it is reported twice.
            Ok(info) => {
                let epoch = names.epoch(&info);
                if seen.replace(epoch) == Some(epoch) || Instant::now() >= deadline {
                    return Ok(epoch);
                }
                sleep(RECHECK_PAUSE).await;
            }
            // Refused: the server would give the same answer again.
            Err(AttemptError::Final(error)) => return Err(names.refused(error)),
            Err(AttemptError::Retryable(error)) if Instant::now() >= deadline => {
                return Err(names.refused(error));
            }
            Err(AttemptError::Retryable(_)) => sleep(RETRY_PAUSE).await,
        }
    }
}

async fn create_or_update(
    context: &Context,
    names: &StreamNames,
    log: &LogConfig,
) -> Result<Info, AttemptError> {
    let wanted = names.config(log);
    let stream = match context.get_stream(&names.stream).await {
        Ok(stream) => stream,
        Err(error) => {
            return match error.kind() {
                // Several handles may get here at once: creating the same stream twice is not an
                // error.
                GetStreamErrorKind::JetStream(_) => {
                    Ok(context.create_stream(wanted).await?.cached_info().clone())
                }
                _ => Err(error.into()),
            };
        }
    };
    let found = stream.cached_info();
    let mut config = found.config.clone();
    if config.max_age == wanted.max_age && config.num_replicas == wanted.num_replicas {
        return Ok(found.clone());
    }
    // Change only these settings: an operator may have set placement or limits.
    config.max_age = wanted.max_age;
    config.num_replicas = wanted.num_replicas;
    Ok(context.update_stream(config).await?)
}

impl JetStreamLog {
    /// Both ends of the log, according to the stream's leader.
    pub(super) async fn current_head(&self) -> Result<LogHead, AttemptError> {
        let info = self.stream.get_info().await?;
        let epoch = self.names.epoch(&info);
        if epoch != self.epoch {
            // The stream was deleted and recreated: the epoch and the sequences of this handle do
            // not apply to it.
            let source = "the stream was deleted and recreated; restart to use it".into();
            return Err(AttemptError::Final(EventLogError::Unavailable {
                op: "answer",
                source,
            }));
        }
        Ok(ends(epoch, &info.state))
    }
}

fn ends(epoch: Epoch, state: &State) -> LogHead {
    let last = Sequence(state.last_sequence);
    let trimmed_through = match state.messages {
        0 => last,
        _ => Sequence(state.first_sequence.saturating_sub(1)),
    };
    LogHead {
        epoch,
        trimmed_through,
        last,
    }
}
