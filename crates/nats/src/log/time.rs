//! The clock of the NATS server.

use async_nats::jetstream::consumer::DeliverPolicy;
use model::Timestamp;
use ports::StoreFailure;

use super::{AttemptError, JetStreamLog};

impl JetStreamLog {
    /// The server's time. Servers before 2.10 tell it nowhere but in the creation time of something new: here
    /// a consumer, which is removed at once.
    ///
    /// One attempt, because the answer to a later one would not be the time of this call.
    pub(super) async fn server_time(&self) -> Result<Timestamp, StoreFailure> {
        const OP: &str = "tell the time";
        let unavailable = |source| StoreFailure::Unavailable { op: OP, source };
        self.time_of_a_new_consumer()
            .await
            .map_err(|error| match error {
                AttemptError::Retryable(source) => unavailable(source),
                AttemptError::Final(error) => error,
            })
    }

    async fn time_of_a_new_consumer(&self) -> Result<Timestamp, AttemptError> {
        let config = self.short_lived(DeliverPolicy::New);
        let consumer = self.main.stream.create_consumer(config).await?;
        self.remove_consumer(&self.main, &consumer).await?;
        let millis = consumer.cached_info().created.unix_timestamp_nanos() / 1_000_000;
        Ok(Timestamp::from_unix_millis(i64::try_from(millis)?))
    }
}
