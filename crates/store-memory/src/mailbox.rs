//! [`ports::Mailbox`] in memory.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::{PrincipalId, Sequence, SessionId, StreamId, Timestamp};
use ports::{Mailbox, MailboxError, MailboxLimits, MailboxPage, StoreFailure};

use crate::{
    MemorySessionStore,
    mailbox_state::{MailboxState, payload_bytes},
    mailbox_table::MailboxTable,
};

/// Maximum bytes of payload over all mailboxes. At this bound `append` is refused as overloaded
/// until clients read or mailboxes end.
const MAX_TOTAL_BYTES: u64 = 256 << 20;

impl MemorySessionStore {
    /// Runs `work` on the mailboxes that have not expired.
    fn with_mailboxes<T>(&self, work: impl FnOnce(&mut MailboxTable, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let mut mailboxes = self.mailboxes.lock();
        mailboxes.forget_expired(now);
        work(&mut mailboxes, now)
    }

    /// Runs `work` on a living mailbox.
    fn with_mailbox<T>(
        &self,
        session: &SessionId,
        work: impl FnOnce(&mut MailboxState, Timestamp) -> T,
    ) -> Result<T, MailboxError> {
        self.with_mailboxes(|mailboxes, now| {
            mailboxes.with(session, now, |mailbox, _| work(mailbox, now))
        })
    }
}

#[async_trait]
impl Mailbox for MemorySessionStore {
    async fn open(
        &self,
        session: &SessionId,
        owner: &PrincipalId,
        ttl: Duration,
    ) -> Result<(), MailboxError> {
        self.with_mailboxes(|mailboxes, now| {
            mailboxes.open((session, owner), (now, ttl), self.max_sessions)
        })
    }

    async fn touch(&self, session: &SessionId, ttl: Duration) -> Result<bool, MailboxError> {
        Ok(self.with_mailboxes(|mailboxes, now| mailboxes.touch(session, now.plus(ttl))))
    }

    async fn end(&self, session: &SessionId) -> Result<bool, MailboxError> {
        Ok(self.with_mailboxes(|mailboxes, now| mailboxes.remove(session, now)))
    }

    async fn open_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        self.with_mailbox(session, |mailbox, now| mailbox.open(stream, now, limits))?
    }

    async fn append(
        &self,
        session: &SessionId,
        stream: &StreamId,
        payload: Bytes,
        limits: MailboxLimits,
    ) -> Result<Sequence, MailboxError> {
        MailboxError::check_payload(&payload)?;
        self.with_mailboxes(|mailboxes, now| {
            mailboxes.forget_old_mail(session, limits.max_age, now);
            mailboxes.with(session, now, |mailbox, held| {
                if held.in_all + payload_bytes(&payload) > MAX_TOTAL_BYTES {
                    let what = "the payloads of all mailboxes together";
                    return Err(StoreFailure::full(what).into());
                }
                // A slice of a larger buffer would keep the whole buffer alive, uncounted.
                let payload = Bytes::copy_from_slice(&payload);
                let room = limits.room(held.by_owners_others, payload.len());
                let room = room.ok_or_else(MailboxError::owner_is_full)?;
                mailbox.append(stream, (payload, now), (limits, room))
            })?
        })
    }

    async fn read_after(
        &self,
        session: &SessionId,
        stream: &StreamId,
        after: Sequence,
        limit: usize,
    ) -> Result<MailboxPage, MailboxError> {
        self.with_mailbox(session, |mailbox, _| mailbox.page(stream, after, limit))
    }

    async fn trim(
        &self,
        session: &SessionId,
        stream: &StreamId,
        through: Sequence,
    ) -> Result<u64, MailboxError> {
        self.with_mailbox(session, |mailbox, _| mailbox.remove(stream, through))
    }

    async fn close_stream(
        &self,
        session: &SessionId,
        stream: &StreamId,
    ) -> Result<(), MailboxError> {
        self.with_mailbox(session, |mailbox, _| mailbox.close(stream))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::ManualClock;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn stream(name: &str) -> StreamId {
        StreamId::new(name).unwrap()
    }

    fn id(n: u64) -> SessionId {
        contract::session(n).id
    }

    async fn open(store: &MemorySessionStore, n: u64) -> Result<(), MailboxError> {
        Mailbox::open(store, &id(n), &PrincipalId::anonymous(), MINUTE).await
    }

    fn is_refused<T: std::fmt::Debug>(outcome: &Result<T, MailboxError>) {
        assert!(
            matches!(
                outcome,
                Err(MailboxError::Failed(StoreFailure::Overloaded { .. }))
            ),
            "{outcome:?}"
        );
    }

    #[tokio::test]
    async fn all_mailboxes_together_have_a_bound_and_give_room_back() {
        let clock = Arc::new(ManualClock::default());
        let store = MemorySessionStore::new(clock.clone(), 100);
        let (ended, expired) = (id(1), id(2));
        for n in 1..3 {
            open(&store, n).await.unwrap();
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
            is_refused(&append(id).await);
        }
        store.trim(&ended, &stream("a"), oldest).await.unwrap();
        append(&expired).await.unwrap();
        assert!(Mailbox::end(&store, &ended).await.unwrap());
        append(&expired).await.unwrap();
        clock.advance(MINUTE);
        open(&store, 3).await.unwrap();
        assert_eq!(store.mailboxes.lock().held(), (1, 0));
    }

    #[tokio::test]
    async fn the_number_of_mailboxes_has_a_bound() {
        let clock = Arc::new(ManualClock::default());
        let store = MemorySessionStore::new(clock.clone(), 2);
        for n in [0, 1, 0] {
            open(&store, n).await.unwrap();
        }
        is_refused(&open(&store, 2).await);
        assert!(Mailbox::end(&store, &id(0)).await.unwrap());
        open(&store, 2).await.unwrap();
        is_refused(&open(&store, 0).await);
        clock.advance(MINUTE);
        open(&store, 0).await.unwrap();
        assert_eq!(store.mailboxes.lock().held().0, 1);
    }
}
