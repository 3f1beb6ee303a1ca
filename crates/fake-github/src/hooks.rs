//! Webhooks, and GitHub's memory of what it sent to them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use model::Timestamp;
use testkit::fake_github::signature;

use crate::keys::{AccountKey, RepoKey};

/// How long deliveries are kept and can be asked for: three days on github.com.
pub const DELIVERIES_KEPT: Duration = Duration::from_secs(3 * 86_400);
/// How long a receiver may take to answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A webhook, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FakeHookKey(pub u64);

/// Where a webhook is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FakeHookOwner {
    /// On a repository: its events alone, and none of projects.
    Repo(RepoKey),
    /// On an organization: its events and those of its repositories.
    Organization(AccountKey),
    /// The app's: what its installations see.
    App,
}

/// A webhook.
#[derive(Clone)]
pub struct FakeHook {
    /// Its id.
    pub id: u64,
    /// Where it is configured.
    pub owner: FakeHookOwner,
    /// Where it sends to.
    pub url: String,
    pub(crate) secret: String,
    /// The events that it wants; `*` for all.
    pub events: Vec<String>,
    /// When it was configured.
    pub created_at: Timestamp,
    /// Switched on: what happens is never sent, as if GitHub had lost it.
    pub never_sends: bool,
}

impl std::fmt::Debug for FakeHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("FakeHook");
        text.field("id", &self.id)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeAttempt {
    /// The receiver's status; 0 if it was not reached, 504 if it took too long.
    pub status_code: u16,
    /// GitHub's word: `OK`, `failed to connect`, `timed out`, `Invalid HTTP Response: 500`.
    pub status: String,
    /// How long it took.
    pub duration: Duration,
    /// The receiver's headers.
    pub headers: BTreeMap<String, String>,
    /// The receiver's body.
    pub body: String,
}

impl FakeAttempt {
    /// Whether the receiver took it.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status_code)
    }
}

/// One attempt to deliver, waiting or made.
#[derive(Debug, Clone)]
pub struct FakeDelivery {
    /// The id of this attempt.
    pub id: u64,
    /// The webhook.
    pub hook: FakeHookKey,
    /// The GUID of what happened: the same for all webhooks and all attempts.
    pub guid: String,
    /// `X-GitHub-Event`.
    pub event: &'static str,
    /// The action, if the event has any.
    pub action: Option<&'static str>,
    /// Id of the repository.
    pub repository: Option<u64>,
    /// The installation that it goes through.
    pub installation: Option<u64>,
    /// The body, byte for byte as it is signed.
    pub payload: Arc<str>,
    /// Its signature, with the secret that the webhook had.
    pub(crate) signature: String,
    /// When it was made.
    pub delivered_at: Timestamp,
    /// Whether it repeats another.
    pub redelivery: bool,
    /// How it ended; `None` while it is under way.
    pub attempt: Option<FakeAttempt>,
}

pub(crate) struct NewDelivery {
    pub(crate) id: u64,
    pub(crate) hook: FakeHookKey,
    pub(crate) guid: String,
    pub(crate) event: &'static str,
    pub(crate) action: Option<&'static str>,
    pub(crate) repository: Option<u64>,
    pub(crate) installation: Option<u64>,
    pub(crate) payload: Arc<str>,
    pub(crate) queued_at: Timestamp,
}

/// All webhooks and their deliveries.
#[derive(Debug, Default)]
pub struct FakeHooks {
    hooks: BTreeMap<FakeHookKey, FakeHook>,
    /// By id: ids rise with time.
    deliveries: BTreeMap<u64, FakeDelivery>,
    outbox: VecDeque<u64>,
    most_kept: Option<usize>,
}

impl FakeHooks {
    pub(crate) fn insert(&mut self, hook: FakeHook) -> FakeHookKey {
        let key = FakeHookKey(hook.id);
        self.hooks.insert(key, hook);
        key
    }

    /// A webhook.
    #[must_use]
    pub fn get(&self, key: FakeHookKey) -> Option<&FakeHook> {
        self.hooks.get(&key)
    }

    /// Makes a webhook lose everything from now on, or nothing any more.
    pub fn set_never_sends(&mut self, key: FakeHookKey, never: bool) {
        if let Some(hook) = self.hooks.get_mut(&key) {
            hook.never_sends = never;
        }
    }

    /// Gives a webhook another secret.
    pub fn set_secret(&mut self, key: FakeHookKey, secret: &str) {
        if let Some(hook) = self.hooks.get_mut(&key) {
            secret.clone_into(&mut hook.secret);
        }
    }

    fn sign(&self, key: FakeHookKey, payload: &str) -> String {
        let secret = self.get(key).map_or("", |hook| hook.secret.as_str());
        signature(secret, payload.as_bytes())
    }

    pub(crate) fn of(&self, owner: FakeHookOwner) -> impl Iterator<Item = &FakeHook> {
        self.hooks.values().filter(move |hook| hook.owner == owner)
    }

    /// The webhooks that want an event and send it.
    pub(crate) fn listening(
        &self,
        event: &str,
        hears: impl Fn(FakeHookOwner) -> bool,
    ) -> Vec<FakeHookKey> {
        let wants = |hook: &FakeHook| hook.events.iter().any(|it| it == "*" || it == event);
        let all = self.hooks.iter();
        let all = all.filter(|(_, hook)| wants(hook) && hears(hook.owner) && !hook.never_sends);
        all.map(|(key, _)| *key).collect()
    }

    pub(crate) fn is_of_app(&self, key: FakeHookKey) -> bool {
        self.get(key)
            .is_some_and(|hook| hook.owner == FakeHookOwner::App)
    }

    pub(crate) fn queue(&mut self, new: NewDelivery) {
        let signature = self.sign(new.hook, &new.payload);
        let delivery = FakeDelivery {
            id: new.id,
            hook: new.hook,
            guid: new.guid,
            event: new.event,
            action: new.action,
            repository: new.repository,
            installation: new.installation,
            payload: new.payload,
            signature,
            delivered_at: new.queued_at,
            redelivery: false,
            attempt: None,
        };
        self.outbox.push_back(new.id);
        self.deliveries.insert(new.id, delivery);
        self.forget(new.queued_at);
    }

    /// Forgets the oldest deliveries beyond this many, as GitHub does not: for a demo that runs for days.
    pub fn keep_at_most(&mut self, count: usize) {
        self.most_kept = Some(count);
    }

    fn forget(&mut self, now: Timestamp) {
        while self
            .most_kept
            .is_some_and(|most| self.deliveries.len() > most)
        {
            self.deliveries.pop_first();
        }
        let oldest = now.minus(DELIVERIES_KEPT);
        while let Some(first) = self.deliveries.first_entry() {
            if first.get().delivered_at >= oldest {
                break;
            }
            first.remove();
        }
    }

    /// The next delivery that is to be sent.
    pub(crate) fn next_to_send(&mut self) -> Option<FakeDelivery> {
        loop {
            let id = self.outbox.pop_front()?;
            if let Some(delivery) = self.deliveries.get(&id) {
                return Some(delivery.clone());
            }
        }
    }

    /// Writes down how an attempt ended. GitHub makes no other by itself.
    pub(crate) fn attempted(&mut self, id: u64, at: Timestamp, attempt: FakeAttempt) {
        if let Some(delivery) = self.deliveries.get_mut(&id) {
            delivery.delivered_at = at;
            delivery.attempt = Some(attempt);
        }
    }

    /// Sends a delivery again: another id, the same GUID.
    pub(crate) fn redeliver(&mut self, id: u64, new_id: u64, now: Timestamp) -> bool {
        let Some(delivery) = self.deliveries.get(&id) else {
            return false;
        };
        let again = FakeDelivery {
            id: new_id,
            signature: self.sign(delivery.hook, &delivery.payload),
            redelivery: true,
            attempt: None,
            delivered_at: now,
            ..delivery.clone()
        };
        self.deliveries.insert(new_id, again);
        self.outbox.push_back(new_id);
        true
    }

    /// What was attempted for a webhook, newest first. What is under way is not listed yet.
    pub fn attempts_of(
        &self,
        hook: FakeHookKey,
        now: Timestamp,
    ) -> impl Iterator<Item = &FakeDelivery> {
        let oldest = now.minus(DELIVERIES_KEPT);
        let all = self.deliveries.values().rev();
        all.filter(move |it| it.hook == hook && it.attempt.is_some() && it.delivered_at >= oldest)
    }

    /// How many deliveries are waiting to be sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// How many deliveries have been queued and not been attempted.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.deliveries
            .values()
            .filter(|it| it.attempt.is_none())
            .count()
    }
}
