//! Leases.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use model::LeaseName;
use ports::{Lease, LeaseToken, Leases, StoreFailure};
use tokio::time::timeout;

use super::Deadline;

/// An acquire may take as long as it waits, and the limit. A lease that it gets after that ends with its time to
/// live.
#[async_trait]
impl Leases for Deadline<Arc<dyn Leases>> {
    async fn acquire(
        &self,
        name: &LeaseName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<Lease>, StoreFailure> {
        let limit = self.limit.saturating_add(wait);
        let answer = timeout(limit, self.port.acquire(name, ttl, wait)).await;
        answer.unwrap_or_else(|elapsed| Err(StoreFailure::unavailable("give the lease", elapsed)))
    }

    async fn extend(
        &self,
        name: &LeaseName,
        token: &LeaseToken,
        ttl: Duration,
    ) -> Result<bool, StoreFailure> {
        let call = self.port.extend(name, token, ttl);
        self.bounded("extend the lease", call).await
    }

    async fn release(&self, name: &LeaseName, token: &LeaseToken) -> Result<bool, StoreFailure> {
        let call = self.port.release(name, token);
        self.bounded("release the lease", call).await
    }
}
