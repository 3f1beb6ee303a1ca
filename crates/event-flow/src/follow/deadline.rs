//! The deadline of each call of the log.

use ports::{EventLog, EventLogError, StoreFailure};
use tokio::time::timeout;

/// The answer of a call, or an error once the log's deadline has passed.
pub(super) async fn within<T>(
    log: &dyn EventLog,
    op: &'static str,
    call: impl Future<Output = Result<T, EventLogError>>,
) -> Result<T, EventLogError> {
    timeout(log.deadline(), call)
        .await
        .unwrap_or_else(|elapsed| Err(StoreFailure::unavailable(op, elapsed).into()))
}
