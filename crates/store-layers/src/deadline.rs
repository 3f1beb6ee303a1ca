//! Calls are bounded in time.

mod leases;
mod log;
mod records;

use std::time::Duration;

use ports::StoreFailure;
use tokio::time::timeout;

/// A port whose calls end in time: one that does not is `Unavailable`, and dropped, which every port allows.
///
/// For services that do not bound calls themselves, and against a driver whose own bound fails.
#[derive(Clone, Debug)]
pub struct Deadline<P> {
    port: P,
    limit: Duration,
}

impl<P> Deadline<P> {
    /// Bounds every call by `limit`.
    #[must_use]
    pub const fn new(port: P, limit: Duration) -> Self {
        Self { port, limit }
    }

    /// The answer of a call, if it comes in time.
    async fn bounded<T, E: From<StoreFailure>>(
        &self,
        op: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let answer = timeout(self.limit, call).await;
        answer.unwrap_or_else(|elapsed| Err(StoreFailure::unavailable(op, elapsed).into()))
    }
}

#[cfg(test)]
#[path = "deadline_tests.rs"]
mod tests;
