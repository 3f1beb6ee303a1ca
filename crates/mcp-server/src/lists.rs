//! Announces that the lists of tools, prompts or resources changed.

use std::time::Duration;

use ports::{Bus, EdgeNews, ListChanges, Topic};
use tokio::time::timeout;
use tracing::warn;

/// Maximum wait for the bus. A client that misses the announcement sees the change when its cached
/// list expires.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(5);

/// Announces to every edge that lists changed, for clients that asked to be notified.
pub async fn announce_lists(bus: &dyn Bus, lists: ListChanges) {
    let news = EdgeNews::ListsChanged(lists);
    let published = bus.publish(&Topic::Broadcast, news.into(), None);
    match timeout(ANNOUNCE_TIMEOUT, published).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "a list change was not announced to other edges"),
        Err(_) => warn!("a list change was not announced to other edges: the bus is slow"),
    }
}
