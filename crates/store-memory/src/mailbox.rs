//! [`ports::Mailbox`]: a mailbox is a part of the entry of its session.

use async_trait::async_trait;
use bytes::Bytes;
use model::{Sequence, SessionId, StreamId};
use ports::{Mailbox, MailboxError, MailboxLimits, MailboxPage, StoreFailure};

use crate::{MemorySessionStore, mailbox_state::payload_bytes};

/// Maximum bytes of payload over all sessions. At this bound `append` is refused as overloaded
/// until clients read or sessions end.
const MAX_TOTAL_BYTES: u64 = 256 << 20;

#[async_trait]
impl Mailbox for MemorySessionStore {
    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        self.with_mailbox(session, |mailbox, now, _| mailbox.open(stream, now, limits))?
    }

    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        MailboxError::check_payload(&payload)?;
        self.forget_old_mail(session, limits.max_age);
        self.with_mailbox(session, |mailbox, now, held| {
            if held.in_all + payload_bytes(&payload) > MAX_TOTAL_BYTES {
                let what = "the payloads of all sessions together";
                return Err(StoreFailure::full(what).into());
            }
            // A slice of a larger buffer would keep the whole buffer alive, uncounted.
            let payload = Bytes::copy_from_slice(&payload);
            let room = limits.room(held.by_owners_others, payload.len());
            let room = room.ok_or_else(MailboxError::owner_is_full)?;
            mailbox.append(stream, (payload, now), (limits, room))
        })?
    }

    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError> {
        self.with_mailbox(session, |mailbox, _, _| mailbox.page(stream, after, limit))
    }

    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError> {
        self.with_mailbox(session, |mailbox, _, _| mailbox.remove(stream, through))
    }

    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError> {
        self.with_mailbox(session, |mailbox, _, _| mailbox.close(stream))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use model::ManualClock;
    use ports::{SessionLimits, SessionStore};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn stream(name: &str) -> StreamId {
        StreamId::new(name).unwrap()
    }

    #[tokio::test]
    async fn all_mailboxes_together_have_a_bound_and_give_room_back() {
        let clock = Arc::new(ManualClock::default());
        let store = MemorySessionStore::new(clock.clone(), 100);
        let (ended, expired) = (contract::session(1).id, contract::session(2).id);
        for n in 1..3 {
            store
                .create(&contract::session(n), MINUTE, SessionLimits::default())
                .await
                .unwrap();
        }
        let limits = MailboxLimits {
            max_bytes: u64::MAX,
            max_owner_bytes: u64::MAX,
            ..MailboxLimits::default()
        };
        let payload = Bytes::from(vec![7; MailboxLimits::MAX_PAYLOAD_BYTES]);
        let append = async |id: &SessionId| {
            let payload = payload.clone();
            store.append(id, &stream("a"), payload, limits).await
        };
        let oldest = append(&ended).await.unwrap();
        for n in 1..MAX_TOTAL_BYTES >> 20 {
            let id = if n % 2 == 0 { &ended } else { &expired };
            append(id).await.unwrap();
        }
        for id in [&ended, &expired] {
            let refused = append(id).await;
            assert!(
                matches!(
                    refused,
                    Err(MailboxError::Failed(StoreFailure::Overloaded { .. }))
                ),
                "{refused:?}"
            );
        }
        store.trim(&ended, &stream("a"), oldest).await.unwrap();
        append(&expired).await.unwrap();
        store.end(&ended).await.unwrap();
        append(&expired).await.unwrap();
        clock.advance(MINUTE);
        store
            .create(&contract::session(3), MINUTE, SessionLimits::default())
            .await
            .unwrap();
        assert_eq!(store.mailbox_bytes(), 0);
    }
}
