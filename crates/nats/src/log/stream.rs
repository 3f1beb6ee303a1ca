//! The stream itself: its name, its configuration, its identity, its ends.

use std::{fmt::Write, time::Duration};

use async_nats::jetstream::{
    Context,
    context::GetStreamErrorKind,
    stream::{Config, DiscardPolicy, Info, RetentionPolicy, State, StorageType},
};
use model::{Epoch, EventId, Sequence};
use ports::{EventLogError, Head, Source};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::{Failure, JetStreamLog};
use crate::{LogConfig, NatsConnection, NatsError, config::RETRY_PAUSE};

/// How long `open` tries; a server that just started needs a moment until JetStream answers.
const SETUP_PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two looks at a stream that may be new.
const SECOND_LOOK: Duration = Duration::from_millis(100);
/// We use no message ids, so the server needs to remember none; it wants more than zero.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// What the stream and its subjects are called.
#[derive(Clone)]
pub(super) struct Names {
    pub(super) stream: String,
    subjects: String,
}

impl Names {
    pub(super) fn new(connection: &NatsConnection) -> Self {
        Self {
            stream: connection.stream_name("FORGEWIRE_EVENTS"),
            subjects: connection.subject("forgewire.events."),
        }
    }

    /// The event's own subject. Ids may hold characters that mean something in a subject, so it is
    /// 128 bits of their SHA-256: two ids do not meet by chance or by intent.
    pub(super) fn subject(&self, id: &EventId) -> String {
        let digest = Sha256::digest(id.as_str().as_bytes());
        digest[..16]
            .iter()
            .fold(self.subjects.clone(), |mut subject, byte| {
                // Writing into a string cannot fail.
                let _ = write!(subject, "{byte:02x}");
                subject
            })
    }

    pub(super) fn refused(&self, source: impl Into<Source>) -> NatsError {
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

    /// Which log this is. The creation time survives restarts; the name tells apart what was made
    /// at the same time.
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

/// Makes the stream, or brings it up to date, and says which log it is.
pub(super) async fn set_up(
    context: &Context,
    names: &Names,
    log: &LogConfig,
) -> Result<Epoch, NatsError> {
    let deadline = Instant::now() + SETUP_PATIENCE;
    let mut seen = None;
    loop {
        match create_or_update(context, names, log).await {
            // While a server makes a stream it may tell another time of creation than the stream has
            // in the end (seen with NATS 2.9): what counts is what it says twice.
            Ok(info) => {
                let epoch = names.epoch(&info);
                if seen.replace(epoch) == Some(epoch) || Instant::now() >= deadline {
                    return Ok(epoch);
                }
                sleep(SECOND_LOOK).await;
            }
            // Refused: the server would say the same again.
            Err(Failure::Final(error)) => return Err(names.refused(error)),
            Err(Failure::Again(error)) if Instant::now() >= deadline => {
                return Err(names.refused(error));
            }
            Err(Failure::Again(_)) => sleep(RETRY_PAUSE).await,
        }
    }
}

async fn create_or_update(
    context: &Context,
    names: &Names,
    log: &LogConfig,
) -> Result<Info, Failure> {
    let wanted = names.config(log);
    let stream = match context.get_stream(&names.stream).await {
        Ok(stream) => stream,
        Err(error) => {
            return match error.kind() {
                // Several handles may get here at once: making the same stream twice is no error.
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
    // Only what we mean to change: an operator may have set placement or limits.
    config.max_age = wanted.max_age;
    config.num_replicas = wanted.num_replicas;
    Ok(context.update_stream(config).await?)
}

impl JetStreamLog {
    /// Both ends of the log, as the stream's leader knows them.
    pub(super) async fn current_head(&self) -> Result<Head, Failure> {
        let info = self.stream.get_info().await?;
        let epoch = self.names.epoch(&info);
        if epoch != self.epoch {
            // Somebody deleted the stream and made it anew: our epoch and sequences mean nothing in
            // it.
            let source = "the stream was made anew; restart to use it".into();
            return Err(Failure::Final(EventLogError::Unavailable {
                op: "answer",
                source,
            }));
        }
        Ok(ends(epoch, &info.state))
    }
}

fn ends(epoch: Epoch, state: &State) -> Head {
    let last = Sequence(state.last_sequence);
    let trimmed_through = match state.messages {
        0 => last,
        _ => Sequence(state.first_sequence.saturating_sub(1)),
    };
    Head {
        epoch,
        trimmed_through,
        last,
    }
}
