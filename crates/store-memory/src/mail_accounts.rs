//! The weight of the mailboxes of each owner.

use std::collections::{BTreeSet, HashMap};

use model::{PrincipalId, SessionId, Timestamp};
use ports::MailboxLimits;

/// The accounts of all owners; only mailboxes that count have an entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct MailAccounts(HashMap<PrincipalId, MailAccount>);

#[derive(Clone, Debug, Default)]
struct MailAccount {
    bytes: u64,
    mailboxes: HashMap<SessionId, (u64, Timestamp)>,
    /// The mailboxes by the time of their last change.
    by_time: BTreeSet<(Timestamp, SessionId)>,
}

impl MailAccounts {
    /// Bytes that the other mailboxes of the owner count.
    pub(crate) fn others(&self, owner: &PrincipalId, session: &SessionId) -> u64 {
        let account = self.0.get(owner);
        account.map_or(0, |account| {
            let own = account
                .mailboxes
                .get(session)
                .map_or(0, |(bytes, _)| *bytes);
            account.bytes - own
        })
    }

    /// A mailbox was changed and weighs this much now.
    pub(crate) fn set(
        &mut self,
        owner: &PrincipalId,
        session: &SessionId,
        weight: u64,
        now: Timestamp,
    ) {
        let counts = weight > MailboxLimits::UNCOUNTED_BYTES;
        if !counts && !self.0.contains_key(owner) {
            return;
        }
        let account = self.0.entry(owner.clone()).or_default();
        account.remove(session);
        if counts {
            account.bytes += weight;
            account.mailboxes.insert(session.clone(), (weight, now));
            account.by_time.insert((now, session.clone()));
        } else if account.mailboxes.is_empty() {
            self.0.remove(owner);
        }
    }

    /// A mailbox of the owner that was not changed since `before`: all that it holds is as old.
    pub(crate) fn oldest_before(
        &self,
        owner: &PrincipalId,
        before: Timestamp,
    ) -> Option<SessionId> {
        let (changed_at, session) = self.0.get(owner)?.by_time.first()?;
        (*changed_at <= before).then(|| session.clone())
    }
}

impl MailAccount {
    fn remove(&mut self, session: &SessionId) {
        if let Some((bytes, changed_at)) = self.mailboxes.remove(session) {
            self.bytes -= bytes;
            self.by_time.remove(&(changed_at, session.clone()));
        }
    }
}
