//! Cases for [`subscriptions::SubscriptionRecords`].

mod bounds;
mod client;
mod cursor;
mod handles;
mod life;
mod list;
mod unreadable;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use model::{
    Epoch, Filter, FilterSet, LogPosition, PrincipalId, ResourceType, Sequence, SubscriptionId,
    Timestamp,
};
use ports::Records;
use serde_json::json;
use subscriptions::{
    ClientId, ClientKey, Subscription, SubscriptionLife, SubscriptionLimits, SubscriptionRecords,
    SubscriptionTransport, VersionedSubscription,
};

use crate::{Harness, RecordsFixture};

crate::case::cases! {
    "SB-01" Nothing life::what_was_made_is_loaded_as_it_was;
    "SB-02" Nothing life::of_several_creates_one_wins;
    "SB-03" Nothing life::a_subscription_is_its_owners_alone;
    "SB-04" Nothing life::a_subscription_is_gone_at_its_end;
    "SB-04" Nothing life::one_whose_end_has_passed_is_not_made;
    "SB-05" Nothing life::a_renewal_moves_the_end_and_nothing_else;
    "SB-06" Nothing life::what_was_ended_stays_ended;
    "SB-07" Nothing list::every_subscription_of_an_owner_once_in_pages_by_id;
    "SB-08" Nothing bounds::beyond_a_bound_a_subscription_is_refused;
    "SB-08" Nothing bounds::creates_at_once_do_not_pass_the_bound;
    "SB-08" Shared bounds::creates_at_once_over_handles_do_not_pass_the_bound;
    "SB-09" Nothing cursor::the_cursor_only_rises_within_a_log;
    "SB-09" Nothing cursor::an_advance_is_a_use_and_no_renewal;
    "SB-10" Nothing cursor::a_delivery_that_lost_its_lease_moves_nothing;
    "SB-11" Durable handles::what_was_acknowledged_outlives_a_reopen;
    "SB-12" Nothing handles::no_concurrent_change_is_lost;
    "SB-12" Shared handles::what_one_handle_changed_another_sees_at_once;
    "SB-12" Shared handles::no_concurrent_change_over_handles_is_lost;
    "SB-13" GoesBack cursor::a_cursor_of_a_lost_time_is_the_one_of_before;
    "SB-14" Nothing unreadable::a_subscription_of_another_version_concerns_itself_alone;
    "SB-15" Nothing bounds::what_cannot_be_delivered_or_is_too_large_is_not_stored;
    "SB-17" Nothing client::the_subscriptions_of_a_client_and_no_other_are_read;
    "SB-17" Nothing client::one_that_its_client_would_not_find_is_not_made;
    "SB-18" Nothing life::what_was_ended_is_told_from_what_was_never_there;
    "SB-16" Nothing life::a_check_accepts_and_leaves_nothing;
}

/// Bounds that only the cases about bounds reach.
const ROOMY: SubscriptionLimits = SubscriptionLimits {
    max_subscriptions: 1_000_000,
    max_per_owner: 1_000_000,
    max_bytes: 1 << 40,
    max_bytes_per_owner: 1 << 40,
};

/// Subscriptions for one case.
struct SubscriptionFixture {
    store: Arc<SubscriptionRecords>,
    of: RecordsFixture,
}

fn subscriptions_of(store: &Arc<dyn Records>) -> Arc<SubscriptionRecords> {
    Arc::new(SubscriptionRecords::new(Arc::clone(store)))
}

async fn fixture(harness: &Arc<dyn Harness>) -> Result<SubscriptionFixture> {
    let of = harness.records().await?;
    let store = subscriptions_of(&of.store);
    Ok(SubscriptionFixture { store, of })
}

impl SubscriptionFixture {
    /// The store's time.
    async fn now(&self) -> Result<Timestamp> {
        Ok(self.of.store.time().await?)
    }

    async fn peer(&self) -> Result<Arc<SubscriptionRecords>> {
        Ok(subscriptions_of(&self.of.handles.peer().await?))
    }

    async fn reopen(&mut self) -> Result<()> {
        self.of.store = self.of.handles.reopen().await?;
        self.store = subscriptions_of(&self.of.store);
        Ok(())
    }

    /// Stores subscriptions, each as of now; returns them as they are loaded.
    async fn make(&self, made: &[Subscription]) -> Result<Vec<VersionedSubscription>> {
        let mut stored = Vec::new();
        for subscription in made {
            let now = self.now().await?;
            self.store.create(subscription, now, ROOMY).await?;
            stored.push(self.load(subscription).await?);
        }
        Ok(stored)
    }

    /// A subscription as it is stored.
    async fn load(&self, subscription: &Subscription) -> Result<VersionedSubscription> {
        let found = self
            .store
            .load(&subscription.owner, &subscription.id)
            .await?;
        found.with_context(|| format!("{} is stored", subscription.id))
    }
}

/// An owner; odd numbers have characters that a store could handle wrongly in a key.
fn owner(n: u64) -> PrincipalId {
    let name = match n % 2 {
        0 => format!("user:{n}@example.org"),
        _ => format!("}}a{{{n}}}%7d"),
    };
    PrincipalId::new(&name).expect("visible ASCII")
}

/// A position; its epoch needs all 64 bits.
fn position(sequence: u64) -> LogPosition {
    LogPosition {
        epoch: Epoch(u64::MAX - 7),
        sequence: Sequence(sequence),
        tag: None,
    }
}

fn planner() -> ClientId {
    ClientId::new("planner é").expect("a name")
}

fn id_of(owner: &PrincipalId, client: Option<&ClientId>, unique: &str) -> SubscriptionId {
    match client {
        Some(client) => ClientKey::new(owner, client).id(unique),
        None => SubscriptionId::new(unique).expect("a token"),
    }
}

/// The `n`-th subscription of an owner: every field is filled. Ids sort like numbers up to 9999 among those with an
/// even number, which have a client, and among the others.
fn subscription(of: u64, n: u64) -> Subscription {
    let bugs = Filter {
        resource_type: Some(ResourceType::ISSUE),
        owner: Some("Octo".into()),
        tags: vec!["b\u{fc}g".into()],
        ..Filter::default()
    };
    let metadata = [("for".to_owned(), json!({ "n": n, "é": [null] }))];
    let since = position(40 + n);
    let client = n.is_multiple_of(2).then(planner);
    let (owner, unique) = (owner(of), format!("sub_{of}_{n:04}-x"));
    Subscription {
        id: id_of(&owner, client.as_ref(), &unique),
        owner,
        client,
        filters: FilterSet::new(vec![bugs, Filter::default()]).expect("few filters"),
        transport: match n % 3 {
            0 => SubscriptionTransport::Internal,
            _ => SubscriptionTransport::Sse,
        },
        since,
        cursor: since,
        created_at: Timestamp::from_unix_millis(1_790_000_000_123),
        life: SubscriptionLife::WhileUsed,
        fence: 0,
        session: None,
        named_at: None,
        metadata: metadata.into_iter().collect(),
    }
}

/// The same with an end.
fn until(end: Timestamp, subscription: Subscription) -> Subscription {
    Subscription {
        life: SubscriptionLife::Until(end),
        ..subscription
    }
}

/// A time that exceeds the duration of every case.
const LONG: Duration = Duration::from_secs(3600);
