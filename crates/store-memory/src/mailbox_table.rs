//! All mailboxes of a store, by their sessions' ids and by the time at which they end.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use model::{PrincipalId, Sequence, SessionId, Timestamp, next_number};
use ports::{MailboxError, StoreFailure};

use crate::{mail_accounts::MailAccounts, mailbox_state::MailboxState};

/// The mailboxes that have not expired.
#[derive(Clone, Default)]
pub(crate) struct MailboxTable {
    mailboxes: HashMap<SessionId, MailboxEntry>,
    /// Every mailbox by its expiry time.
    by_expiry: BTreeSet<(Timestamp, SessionId)>,
    /// Bytes of payload over all mailboxes.
    bytes: u64,
    /// What the mailboxes of each owner weigh.
    accounts: MailAccounts,
    /// The highest sequence of a mailbox that was removed: a later one under the same id begins after it.
    removed_through: Sequence,
}

#[derive(Clone)]
struct MailboxEntry {
    owner: PrincipalId,
    expires_at: Timestamp,
    state: MailboxState,
}

/// What mailboxes hold beside the one in question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldMail {
    /// Bytes of payload in all of them, including that one.
    pub(crate) in_all: u64,
    /// What the others of its owner count.
    pub(crate) by_owners_others: u64,
}

impl MailboxTable {
    /// Removes the mailboxes whose time to live is over.
    pub(crate) fn forget_expired(&mut self, now: Timestamp) {
        while let Some((expires_at, id)) = self.by_expiry.first()
            && *expires_at <= now
        {
            let id = id.clone();
            self.remove(&id, now);
        }
    }

    /// Opens a mailbox, of which there may be up to `most`.
    pub(crate) fn open(
        &mut self,
        (id, owner): (&SessionId, &PrincipalId),
        (now, ttl): (Timestamp, Duration),
        most: usize,
    ) -> Result<(), MailboxError> {
        if self.touch(id, now.plus(ttl)) {
            return Ok(());
        }
        if self.mailboxes.len() >= most {
            return Err(StoreFailure::full("the number of mailboxes").into());
        }
        let began = Sequence(next_number(self.removed_through.0, now));
        let entry = MailboxEntry {
            owner: owner.clone(),
            expires_at: now.plus(ttl),
            state: MailboxState::begin(began),
        };
        self.by_expiry.insert((entry.expires_at, id.clone()));
        self.mailboxes.insert(id.clone(), entry);
        Ok(())
    }

    /// Sets the time at which a mailbox ends; returns whether it is living.
    pub(crate) fn touch(&mut self, id: &SessionId, expires_at: Timestamp) -> bool {
        let Some(entry) = self.mailboxes.get_mut(id) else {
            return false;
        };
        self.by_expiry.remove(&(entry.expires_at, id.clone()));
        entry.expires_at = expires_at;
        self.by_expiry.insert((expires_at, id.clone()));
        true
    }

    /// Removes a mailbox; returns whether there was one.
    pub(crate) fn remove(&mut self, id: &SessionId, now: Timestamp) -> bool {
        let Some(gone) = self.mailboxes.remove(id) else {
            return false;
        };
        self.by_expiry.remove(&(gone.expires_at, id.clone()));
        self.bytes -= gone.state.bytes();
        self.accounts.set(&gone.owner, id, 0, now);
        self.removed_through = self.removed_through.max(gone.state.last());
        true
    }

    /// Runs `work` on a living mailbox.
    pub(crate) fn with<T>(
        &mut self,
        id: &SessionId,
        now: Timestamp,
        work: impl FnOnce(&mut MailboxState, HeldMail) -> T,
    ) -> Result<T, MailboxError> {
        let entry = self.mailboxes.get_mut(id).ok_or(MailboxError::Missing)?;
        let held = HeldMail {
            in_all: self.bytes,
            by_owners_others: self.accounts.others(&entry.owner, id),
        };
        let before = entry.state.bytes();
        let done = work(&mut entry.state, held);
        self.bytes = held.in_all - before + entry.state.bytes();
        let (weight, newest) = (entry.state.weight(), entry.state.newest_at());
        self.accounts
            .set(&entry.owner, id, weight, newest.unwrap_or(now));
        Ok(done)
    }

    /// Empties the mailboxes of this mailbox's owner whose messages are all older than `max_age`.
    pub(crate) fn forget_old_mail(&mut self, id: &SessionId, max_age: Duration, now: Timestamp) {
        let Some(owner) = self.mailboxes.get(id).map(|entry| entry.owner.clone()) else {
            return;
        };
        while let Some(old) = self.accounts.oldest_before(&owner, now.minus(max_age)) {
            if let Some(entry) = self.mailboxes.get_mut(&old) {
                self.bytes -= entry.state.bytes();
                entry.state.clear();
            }
            self.accounts.set(&owner, &old, 0, now);
        }
    }

    /// Number of mailboxes and bytes of payload.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, u64) {
        assert_eq!(self.mailboxes.len(), self.by_expiry.len());
        (self.mailboxes.len(), self.bytes)
    }
}
