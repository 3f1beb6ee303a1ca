//! The stream itself: its name, its configuration, its identity, its first and last positions.
//!
//! The stream may be deleted and made anew while a process runs: a server restarted with an empty
//! volume, or an operator deleted it. The handle then takes the new one, with another epoch.

use std::{fmt::Write, time::Duration};

use async_nats::jetstream::{
    Context, ErrorCode,
    context::GetStreamErrorKind,
    stream::{Config, DiscardPolicy, Info, RetentionPolicy, State, StorageType},
};
use model::{EntryDigest, Epoch, EventId, Sequence, Timestamp};
use parking_lot::Mutex;
use ports::{BoxError, EntryName, LogHead, StoreFailure};
use sha2::{Digest, Sha256};
use tokio::time::sleep;
use tracing::warn;

use super::{AttemptError, JetStreamLog, settings, stored_at::stored_at};
use crate::{LogConfig, NatsConnection, NatsError};

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
        EntryDigest::of(id)
            .bytes()
            .iter()
            .fold(self.subjects.clone(), |mut subject, byte| {
                // Writing to a string cannot fail.
                let _ = write!(subject, "{byte:02x}");
                subject
            })
    }

    /// The name of the entry with this subject of its own.
    pub(super) fn entry_name(&self, subject: &str) -> EntryName {
        let digest = subject.strip_prefix(&self.subjects);
        let digest = digest.and_then(Self::digest);
        digest.map_or(EntryName::Unknown, EntryName::Digest)
    }

    fn digest(text: &str) -> Option<EntryDigest> {
        let is_digest = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_digest.then(|| u128::from_str_radix(text, 16));
        Some(EntryDigest::from_bytes(number?.ok()?.to_be_bytes()))
    }

    /// Whether a subject is that of an event, or the pattern of them.
    pub(super) fn is_of_event(&self, subject: &str) -> bool {
        subject.starts_with(&self.subjects)
    }

    /// The pattern of all events' subjects.
    pub(super) fn all_subjects(&self) -> String {
        format!("{}*", self.subjects)
    }

    pub(super) fn refused(&self, source: impl Into<BoxError>) -> NatsError {
        NatsError::Stream {
            stream: self.stream.clone(),
            source: source.into(),
        }
    }

    pub(super) fn config(&self, log: &LogConfig) -> Config {
        Config {
            name: self.stream.clone(),
            description: Some("Forgewire's event log".to_owned()),
            subjects: vec![self.all_subjects()],
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

/// The stream as the server describes it; `None` if there is no such stream.
pub(super) async fn look_up(
    context: &Context,
    names: &StreamNames,
) -> Result<Option<Info>, AttemptError> {
    match context.get_stream(&names.stream).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(refusal)
                if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            _ => Err(error.into()),
        },
    }
}

/// The identity of the stream that a handle uses. The stream may be deleted and made anew while the
/// handle is open; its clones then change to the new one together.
#[derive(Debug, Default)]
pub(super) struct CurrentEpoch(Mutex<Option<Epoch>>);

impl CurrentEpoch {
    pub(super) fn get(&self) -> Option<Epoch> {
        *self.0.lock()
    }
}

impl JetStreamLog {
    /// Both ends of the log, according to the stream's leader. After the stream was made anew these are
    /// those of the new one, with its epoch, and from then on this handle reads the new one.
    pub(super) async fn newest_head(&self) -> Result<LogHead, AttemptError> {
        let info = self.info().await?;
        let epoch = self.names.epoch(&info);
        if self.epoch.get() == Some(epoch) {
            return Ok(ends(epoch, &info.state));
        }
        // While a server creates a stream it may report a creation time that differs from the final one
        // (observed with NATS 2.9): an epoch counts once it is reported twice.
        sleep(RECHECK_PAUSE).await;
        let info = self.info().await?;
        if self.names.epoch(&info) != epoch {
            return Err("the stream is being created".into());
        }
        if let Err(refused) = settings::check(&self.names, &info.config) {
            let source = refused.into();
            let op = "answer";
            return Err(AttemptError::Final(StoreFailure::Unavailable {
                op,
                source,
            }));
        }
        let old = self.epoch.0.lock().replace(epoch);
        // Another call may have found the same at the same time.
        if let Some(old) = old.filter(|old| *old != epoch) {
            warn!(
                stream = self.names.stream,
                was = %old,
                is = %epoch,
                "the event log's stream was made anew; this process now uses the new one"
            );
        }
        Ok(ends(epoch, &info.state))
    }

    /// As [`Self::newest_head`], but fails if the stream was made anew: the caller's position is of the
    /// old one. A caller of `head` learns of the new epoch first.
    pub(super) async fn current_head(&self) -> Result<LogHead, AttemptError> {
        Ok(self.current_head_and_oldest().await?.0)
    }

    /// As [`current_head`](Self::current_head), and when the server stored the oldest message that is left, if any is.
    pub(super) async fn current_head_and_oldest(
        &self,
    ) -> Result<(LogHead, Option<Timestamp>), AttemptError> {
        let known = match self.epoch.get() {
            Some(known) => known,
            None => self.newest_head().await?.epoch,
        };
        let info = self.info().await?;
        let epoch = self.names.epoch(&info);
        if epoch != known {
            let source = "the stream was made anew, and the caller's position is of the old one";
            return Err(AttemptError::Final(StoreFailure::Unavailable {
                op: "answer",
                source: source.into(),
            }));
        }
        let oldest = stored_at(info.state.first_timestamp.unix_timestamp_nanos());
        let oldest = (info.state.messages > 0).then_some(oldest);
        Ok((ends(epoch, &info.state), oldest))
    }

    async fn info(&self) -> Result<Info, AttemptError> {
        let found = look_up(&self.main.context, &self.names).await?;
        let found = found.ok_or_else(|| {
            let stream = &self.names.stream;
            format!("there is no stream {stream}; the ingest role creates it")
        })?;
        self.settings.look(&self.names, &found.config);
        Ok(found)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_of_an_entry_tells_its_digest() {
        let names = StreamNames {
            stream: "EVENTS".to_owned(),
            subjects: "forgewire.events.".to_owned(),
        };
        let id = EventId::new("e1").unwrap();
        let name = names.entry_name(&names.subject(&id));
        assert_eq!(name, EntryName::Digest(EntryDigest::of(&id)));
        let planted = ["forgewire.events.one", "forgewire.events.+0000000", "other"];
        let names = planted.map(|subject| names.entry_name(subject));
        assert_eq!(names, [const { EntryName::Unknown }; 3]);
    }
}
