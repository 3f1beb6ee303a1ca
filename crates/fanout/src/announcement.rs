//! A message to many clients at once, which no client can resume: each stream that it is for writes it when its
//! client can take it.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use mcp::{connection::BroadcastMessage, method, notification::ListKind};
use serde::Deserialize;
use tokio::sync::Notify;

/// A message, and how many of the clients that it was offered to have taken it.
#[derive(Debug)]
pub struct Announcement {
    message: BroadcastMessage,
    list: Option<ListKind>,
    resource: Option<String>,
    /// Streams that still have to write it, or have written it.
    offered: AtomicU64,
    taken: AtomicU64,
    changed: Notify,
}

#[derive(Deserialize)]
struct Rpc {
    method: String,
    #[serde(default)]
    params: Params,
}

#[derive(Default, Deserialize)]
struct Params {
    uri: Option<String>,
}

impl Announcement {
    /// A message for [`Hub::announce`](crate::hub::Hub::announce).
    #[must_use]
    pub fn new(message: BroadcastMessage) -> Self {
        let rpc: Option<Rpc> = serde_json::from_slice(&message.rpc).ok();
        let named = rpc.as_ref().map(|rpc| rpc.method.as_str());
        let list = ListKind::ALL
            .into_iter()
            .find(|list| Some(list.method()) == named);
        let is_update = named == Some(method::RESOURCES_UPDATED);
        let resource = rpc.and_then(|rpc| rpc.params.uri).filter(|_| is_update);
        Self {
            message,
            list,
            resource,
            offered: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    pub(crate) const fn message(&self) -> &BroadcastMessage {
        &self.message
    }

    /// The list of which it says that it changed.
    pub(crate) const fn list(&self) -> Option<ListKind> {
        self.list
    }

    /// The resource of which it says that it changed.
    pub(crate) fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    /// Clients whose connection has taken it.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// Waits until every client that it was offered to has taken it or has left.
    pub async fn settled(&self) {
        loop {
            let changed = self.changed.notified();
            if self.taken.load(Ordering::Acquire) >= self.offered.load(Ordering::Acquire) {
                return;
            }
            changed.await;
        }
    }
}

/// An announcement that one stream has to write. Dropped before that, it is not delivered.
#[derive(Debug)]
pub(crate) struct WaitingAnnouncement {
    announcement: Arc<Announcement>,
    is_taken: bool,
}

impl WaitingAnnouncement {
    pub(crate) fn new(announcement: &Arc<Announcement>) -> Self {
        announcement.offered.fetch_add(1, Ordering::AcqRel);
        Self {
            announcement: Arc::clone(announcement),
            is_taken: false,
        }
    }

    /// The stream has written it.
    pub(crate) fn taken(mut self) {
        self.is_taken = true;
        self.announcement.taken.fetch_add(1, Ordering::AcqRel);
    }
}

impl Deref for WaitingAnnouncement {
    type Target = Announcement;

    fn deref(&self) -> &Announcement {
        &self.announcement
    }
}

impl Drop for WaitingAnnouncement {
    fn drop(&mut self) {
        if !self.is_taken {
            self.announcement.offered.fetch_sub(1, Ordering::AcqRel);
        }
        // One permit: who is about to wait sees this change too.
        self.announcement.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp::envelope;
    use serde_json::{json, value::to_raw_value};

    fn announcement(message: &serde_json::Value) -> Arc<Announcement> {
        let raw = to_raw_value(message).unwrap();
        let message = BroadcastMessage::read(&raw, model::Timestamp::default()).unwrap();
        Arc::new(Announcement::new(message))
    }

    #[test]
    fn changes_of_lists_and_resources_are_recognised() {
        let changed = announcement(&json!({ "method": "notifications/tools/list_changed" }));
        assert_eq!(
            (changed.list(), changed.resource()),
            (Some(ListKind::Tools), None)
        );
        let updated =
            json!({ "method": "notifications/resources/updated", "params": { "uri": "u" } });
        let updated = announcement(&updated);
        assert_eq!((updated.list(), updated.resource()), (None, Some("u")));
        let other = announcement(&json!({ "method": "notifications/x", "params": { "uri": "u" } }));
        assert_eq!((other.list(), other.resource()), (None, None));
        let rpc = envelope::notification::<()>("notifications/tools/list_changed", None);
        assert_eq!(changed.message().rpc, rpc);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_settled_when_each_client_has_taken_it_or_has_left() {
        let announcement = announcement(&json!({ "method": "notifications/x" }));
        announcement.settled().await;
        let [first, second] = [(); 2].map(|()| WaitingAnnouncement::new(&announcement));
        let settled = announcement.settled();
        tokio::pin!(settled);
        assert!(futures_util::poll!(&mut settled).is_pending());
        first.taken();
        assert!(futures_util::poll!(&mut settled).is_pending());
        drop(second);
        settled.await;
        assert_eq!(announcement.delivered(), 1);
    }
}
