//! Whether the server takes the requests that the log makes of it.
//!
//! A request that the user's permissions forbid is not answered. So every kind of request is tried: for
//! reads those of one entry at each check, and those of a page from time to time, because they cost the
//! server a consumer; for appends a message that the stream refuses because it is meant for another one.

use std::future::Future;

use async_nats::jetstream::{
    consumer::DeliverPolicy, context::PublishErrorKind, message::PublishMessage,
};
use model::{EventId, Sequence};
use ports::{LogHead, StoreFailure};
use tokio::time::Instant;

use super::{AttemptError, JetStreamLog};
use crate::denials::NatsDenial;

/// A name that no stream has: its dots are not allowed in one.
const OTHER_STREAM: &str = "no.stream";
/// A position that no log reaches: the request for its entry costs the server nothing, whatever the size of the
/// entries.
const NO_ENTRY: Sequence = Sequence(u64::MAX);

impl JetStreamLog {
    /// Whether a denial concerns what the log needs: creating, changing and trimming the stream it does not.
    pub(super) fn concerns(&self, denial: &NatsDenial) -> bool {
        self.concerns_reads(denial) || self.concerns_appends(denial)
    }

    pub(super) fn concerns_reads(&self, denial: &NatsDenial) -> bool {
        is_for_both(denial) || is_request(denial, &["CONSUMER."])
    }

    pub(super) fn concerns_appends(&self, denial: &NatsDenial) -> bool {
        is_for_both(denial) || self.names.is_of_event(denial.subject())
    }

    /// Runs a trial, until it ends or the server refuses something of the log.
    pub(super) async fn permitted<T>(
        &self,
        op: &'static str,
        concerns: impl Fn(&NatsDenial) -> bool,
        trial: impl Future<Output = Result<T, StoreFailure>>,
    ) -> Result<T, StoreFailure> {
        let unavailable = |source| StoreFailure::Unavailable { op, source };
        let began = Instant::now();
        if let Some(refused) = self.refusal_since(began, |_| false) {
            return Err(unavailable(refused));
        }
        tokio::select! {
            biased;
            denial = self.next_denial(began, concerns) => {
                Err(unavailable(denial.into()))
            }
            outcome = trial => outcome,
        }
    }

    /// Reads the ends, one entry, and, if it is time for that, a page.
    pub(super) async fn try_reads(&self) -> Result<LogHead, StoreFailure> {
        const OP: &str = "be read";
        let (began, connection) = (Instant::now(), self.pages().connection.number());
        let concerns = |denial: &NatsDenial| self.concerns_reads(denial);
        let is_refused = self.is_refused(concerns);
        let head = self
            .retry_until_deadline("answer", || self.newest_head())
            .await?;
        self.retry_until_deadline(OP, || self.single(NO_ENTRY))
            .await?;
        if is_refused || self.pages_read.is_due(&(), connection) {
            self.retry_until_deadline(OP, || self.deliver(DeliverPolicy::Last, 1))
                .await?;
            if let Some(denial) = self.denied_since(began, concerns).await {
                let source = denial.into();
                return Err(StoreFailure::Unavailable { op: OP, source });
            }
            self.pages_read.succeeded((), began, connection);
        }
        self.lifted(began, concerns);
        Ok(head)
    }

    /// Reads the ends, the settings and one entry, as an append may have to, and sends a message that the stream
    /// refuses.
    pub(super) async fn try_append(&self) -> Result<(), StoreFailure> {
        const OP: &str = "take events";
        let began = Instant::now();
        self.retry_until_deadline("answer", || self.newest_head())
            .await?;
        // With such settings a message may get no answer.
        self.refused(OP).map_or(Ok(()), Err)?;
        self.retry_until_deadline(OP, || self.single(NO_ENTRY))
            .await?;
        self.retry_until_deadline(OP, || self.send_to_another_stream())
            .await?;
        let concerns = |denial: &NatsDenial| self.concerns_appends(denial);
        self.lifted(began, concerns);
        Ok(())
    }

    async fn send_to_another_stream(&self) -> Result<(), AttemptError> {
        let trial = EventId::new("trial").map_err(|error| error.to_string())?;
        let publish = PublishMessage::build().expected_stream(OTHER_STREAM);
        let subject = self.names.subject(&trial);
        let answer = self.main.context.send_publish(subject, publish).await?;
        match answer.await {
            Err(error) if error.kind() == PublishErrorKind::Other && is_of_stream(&error) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Err("the server stored a message that was meant for another stream".into()),
        }
    }
}

/// Whether a denial concerns reads and appends.
fn is_for_both(denial: &NatsDenial) -> bool {
    denial.is_of_inbox() || is_request(denial, &["STREAM.INFO.", "STREAM.MSG.GET."])
}

fn is_request(denial: &NatsDenial, names: &[&str]) -> bool {
    let request = denial.subject().strip_prefix("$JS.API.");
    request.is_some_and(|request| names.iter().any(|name| request.starts_with(name)))
}

/// Whether the stream refused a message because it was meant for another one.
fn is_of_stream(error: &(dyn std::error::Error + 'static)) -> bool {
    let source = error.source();
    let refusal = source.and_then(|source| source.downcast_ref::<async_nats::jetstream::Error>());
    refusal.is_some_and(|refusal| {
        refusal.error_code() == async_nats::jetstream::ErrorCode::STREAM_NOT_MATCH
    })
}
