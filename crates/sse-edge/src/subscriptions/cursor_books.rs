//! What is stored about the use of subscriptions, apart from what their streams wait for.

use std::{collections::BTreeMap, ops::Bound};

use model::{LogPosition, PrincipalId, SubscriptionId};
use parking_lot::Mutex;
use subscriptions::{SubscriptionLife, moves_cursor};
use tokio::sync::Notify;

use crate::limits::WAITING_SUBSCRIPTION_USES;

/// What to store about a subscription after its streams were looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum StoredUse {
    /// Its client has the events up to here.
    Advance(LogPosition),
    /// It is used, and nobody has said so for a while.
    Touch(SubscriptionLife),
}

impl StoredUse {
    /// What two streams say together: the client has what either has.
    fn and(self, newer: Self) -> Self {
        match (self, newer) {
            (Self::Advance(before), Self::Advance(now)) if !moves_cursor(before, now) => self,
            // An advance is a use too.
            (Self::Advance(_), Self::Touch(_)) => self,
            _ => newer,
        }
    }
}

#[derive(Debug, Default)]
struct WaitingUses {
    owners: BTreeMap<PrincipalId, BTreeMap<SubscriptionId, StoredUse>>,
    count: usize,
    last: Option<PrincipalId>,
}

/// The uses that wait to be stored: one for each subscription, however many streams follow it.
#[derive(Debug, Default)]
pub(super) struct CursorBooks {
    waiting: Mutex<WaitingUses>,
    pub(super) wake: Notify,
}

impl CursorBooks {
    /// Never blocks. At the bound a new one is left out: its stream says it again, with more, after another time of
    /// proof, and until then its client would get its last events twice.
    pub(super) fn note(
        &self,
        owner: &PrincipalId,
        uses: impl IntoIterator<Item = (SubscriptionId, StoredUse)>,
    ) {
        let mut waiting = self.waiting.lock();
        let WaitingUses { owners, count, .. } = &mut *waiting;
        for (id, newer) in uses {
            let known = owners.get_mut(owner).and_then(|own| own.get_mut(&id));
            if let Some(known) = known {
                *known = known.and(newer);
            } else if *count < WAITING_SUBSCRIPTION_USES {
                *count += 1;
                owners.entry(owner.clone()).or_default().insert(id, newer);
            }
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// The next one; owners take turns.
    pub(super) fn next(&self) -> Option<(PrincipalId, SubscriptionId, StoredUse)> {
        let mut waiting = self.waiting.lock();
        let after = waiting.last.take();
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut later = waiting.owners.range((after, Bound::Unbounded));
        let owner = later.next().or_else(|| waiting.owners.first_key_value());
        let owner = owner?.0.clone();
        let uses = waiting.owners.get_mut(&owner)?;
        let (id, stored) = uses.pop_first()?;
        if uses.is_empty() {
            waiting.owners.remove(&owner);
        }
        waiting.count -= 1;
        waiting.last = Some(owner.clone());
        Some((owner, id, stored))
    }
}

#[cfg(test)]
mod tests {
    use model::{Epoch, Sequence};

    use super::*;

    fn advance(epoch: u64, sequence: u64) -> StoredUse {
        StoredUse::Advance(LogPosition {
            epoch: Epoch(epoch),
            sequence: Sequence(sequence),
            tag: None,
        })
    }

    fn owner(n: usize) -> PrincipalId {
        PrincipalId::new(&format!("owner-{n}")).unwrap()
    }

    fn id(n: usize) -> SubscriptionId {
        SubscriptionId::new(&format!("s-{n:05}")).unwrap()
    }

    #[test]
    fn what_several_streams_say_of_a_subscription_is_stored_once() {
        let books = CursorBooks::default();
        let touch = StoredUse::Touch(SubscriptionLife::WhileUsed);
        for (said, expected) in [
            (
                vec![advance(1, 5), advance(1, 9), advance(1, 7)],
                advance(1, 9),
            ),
            (vec![advance(1, 9), advance(2, 3)], advance(2, 3)),
            (vec![touch, advance(1, 2), touch], advance(1, 2)),
        ] {
            said.into_iter()
                .for_each(|said| books.note(&owner(0), [(id(0), said)]));
            assert_eq!(books.next(), Some((owner(0), id(0), expected)));
            assert_eq!(books.next(), None);
        }
    }

    #[test]
    fn owners_take_turns_and_what_waits_has_a_bound() {
        let books = CursorBooks::default();
        let many = |count| (0..count).map(|n| (id(n), advance(1, 1)));
        books.note(&owner(1), many(1000));
        books.note(&owner(2), many(2));
        books.note(&owner(3), many(1));
        let next = || books.next().unwrap().0;
        let turns: Vec<_> = (0..6).map(|_| next()).collect();
        assert_eq!(turns, [1, 2, 3, 1, 2, 1].map(owner));
        books.note(&owner(4), many(WAITING_SUBSCRIPTION_USES + 10));
        let left = std::iter::from_fn(|| books.next()).count();
        assert_eq!(left, WAITING_SUBSCRIPTION_USES);
        assert_eq!(books.waiting.lock().count, 0);
    }
}
