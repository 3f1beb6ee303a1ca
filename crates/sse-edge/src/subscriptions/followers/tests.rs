//! Looks at streams of a hub that follow subscriptions, without a store and without sockets.

use std::{num::NonZeroUsize, sync::Arc};

use access::Principal;
use event_flow::follow::Followed;
use fanout::{
    bounds::{MaxAge, StreamBounds},
    feed::Feed,
    format::StreamFormat,
    hub::{Hub, HubParts, StreamRequest, StreamStart},
    lag::LagLimits,
    metrics::{FanoutMetrics, StreamKind},
    news::NewsSelection,
};
use model::{
    CursorKeys, CursorScope, Epoch, FilterSet, PrincipalId, RandomIds, Sequence, SystemClock,
};
use ports::{EventLog, Revision};
use service_kit::{descriptors::Descriptors, metrics::MetricsRegistry};
use store_layers::StoredLog;
use store_memory::MemoryLogStore;
use subscriptions::{ClientKey, SubscriptionLife};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    limits::{
        CONCURRENT_SUBSCRIPTION_CHECKS, SOURCES_PER_ROUND, SUBSCRIPTION_CHECK_INTERVAL,
        SUBSCRIPTION_PAUSE, SUBSCRIPTION_RETRY_PAUSE,
    },
    subscriptions::look_schedule::{DueLook, SubscriptionFollowers},
};

const PROOF: Duration = Duration::from_secs(70);
/// Where the hub is in the log.
pub(in crate::subscriptions) const HEAD: u64 = 9;
const NOW: Timestamp = Timestamp::from_unix_millis(1_000_000);

pub(in crate::subscriptions) async fn hub() -> Arc<Hub> {
    let log = StoredLog::new(MemoryLogStore::new(&RandomIds, NonZeroUsize::MIN));
    let head = log.head().await.unwrap();
    let age = MaxAge::new(0, 15);
    let hub = Hub::new(HubParts {
        log: Arc::new(log),
        names: Arc::default(),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        metrics: FanoutMetrics::new(&mut MetricsRegistry::default()),
        cursor_keys: CursorKeys::new(&[], Epoch(0), true),
        bounds: StreamBounds::new(1000, Descriptors::UNLIMITED, age, LagLimits::default()),
        has_channels: true,
        draining: CancellationToken::new(),
    });
    hub.apply(Followed::Started {
        epoch: head.epoch,
        position: Sequence(HEAD),
        head: Sequence(HEAD),
        tag: None,
    });
    Arc::new(hub)
}

/// A stream at the head of the log.
pub(in crate::subscriptions) async fn stream(hub: &Arc<Hub>) -> (Feed, FollowedStream) {
    let principal = Arc::new(Principal::anonymous());
    let open = StreamRequest {
        wants: NewsSelection::default(),
        ages: false,
        kind: StreamKind::Events,
        format: StreamFormat::Events,
        scope: CursorScope::events(&principal.id),
        session: None,
        labels: None,
        inbox: Sequence::START,
        interest: hub.interest_in([], 0, 0),
        principal,
        begin: StreamStart::Head,
    };
    let mut feed = hub.open(open, |_| bytes::Bytes::new()).await.unwrap();
    let followed = feed.follow_subscriptions();
    (feed, followed)
}

fn found(hub: &Hub, id: &str, cursor: u64, life: SubscriptionLife) -> VersionedSubscription {
    let position = LogPosition {
        epoch: hub.epoch(),
        sequence: Sequence(cursor),
        tag: None,
    };
    let subscription = Subscription {
        id: SubscriptionId::new(id).unwrap(),
        owner: PrincipalId::anonymous(),
        client: Some(ClientId::new("planner").unwrap()),
        filters: FilterSet::all(),
        transport: SubscriptionTransport::Sse,
        since: position,
        named_at: None,
        cursor: position,
        created_at: NOW,
        life,
        fence: 0,
        session: None,
        metadata: serde_json::Map::new(),
    };
    VersionedSubscription {
        expires_at: NOW.plus(life.left(NOW).unwrap()),
        subscription,
        revision: Revision(1),
    }
}

fn at(hub: &Hub, began: Instant, seconds: u64) -> LookMoment {
    let passed = Duration::from_secs(seconds);
    LookMoment {
        at: began + passed,
        store_time: NOW.plus(passed),
        generation: hub.generation(),
        proof: Some(PROOF),
    }
}

fn client() -> FollowedSource {
    FollowedSource::Client(ClientId::new("planner").unwrap())
}

fn one(id: &str) -> FollowedSource {
    FollowedSource::One(SubscriptionId::new(id).unwrap())
}

/// A look at a source whose subscriptions are these; returns what is to be stored.
fn look(
    followers: &SubscriptionFollowers,
    source: &FollowedSource,
    loaded: &[VersionedSubscription],
    moment: LookMoment,
) -> Vec<(SubscriptionId, StoredUse)> {
    look_without(followers, source, (loaded, &BTreeSet::new()), moment)
}

/// As [`look`], where some were not ended.
fn look_without(
    followers: &SubscriptionFollowers,
    source: &FollowedSource,
    (loaded, unended): (&[VersionedSubscription], &BTreeSet<SubscriptionId>),
    moment: LookMoment,
) -> Vec<(SubscriptionId, StoredUse)> {
    let owner = PrincipalId::anonymous();
    let mut taken = followers.take(&owner, source, u64::MAX);
    let uses = update_all(source, &mut taken, StoredNow { loaded, unended }, moment);
    followers.put_back(&owner, source, taken);
    uses
}

#[tokio::test]
async fn the_cursor_follows_a_stream_when_its_client_has_what_was_sent_and_not_before() {
    let hub = hub().await;
    let (feed, stream) = stream(&hub).await;
    let owner = PrincipalId::anonymous();
    let followers = SubscriptionFollowers::default();
    let hour = SubscriptionLife::Until(NOW.plus(Duration::from_secs(3600)));
    let known = found(&hub, "s", 3, hour);
    let mut follower = Follower::new(stream);
    // As an open stream begins that knows it.
    let of = &known.subscription;
    follower.known.insert(
        of.id.clone(),
        KnownSubscription {
            after: of.cursor,
            revision: 0,
            expires_at: known.expires_at,
            cursor: of.cursor,
        },
    );
    follower.knows_until = knows_all_by(NOW);
    followers.add(&owner, client(), follower);
    let began = Instant::now();
    let look = |seconds, loaded: &[VersionedSubscription]| {
        look(&followers, &client(), loaded, at(&hub, began, seconds))
    };
    let one = std::slice::from_ref(&known);
    assert_eq!(look(0, one), []);
    assert_eq!(look(60, one), []);
    let head = LogPosition {
        sequence: Sequence(HEAD),
        ..of.cursor
    };
    let moved = (of.id.clone(), StoredUse::Advance(head));
    assert_eq!(look(70, one), std::slice::from_ref(&moved));
    // One that was added since is not covered by where the stream is: it may have to go back for it.
    let both = [known.clone(), found(&hub, "t", 5, hour)];
    assert_eq!(look(71, &both), []);
    assert_eq!(look(141, &both), [moved]);
    drop(feed);
    let (due, _) = followers.due(Instant::now(), NOW);
    assert_eq!(due, [], "no stream is left");
    assert!(followers.all.lock().owners.is_empty());
}

#[tokio::test]
async fn a_use_is_stored_once_a_day_and_a_chosen_end_is_not_put_off() {
    let hub = hub().await;
    let (_feed, stream) = stream(&hub).await;
    let owner = PrincipalId::anonymous();
    let followers = SubscriptionFollowers::default();
    let day = 24 * 3600;
    let kept = found(&hub, "kept", HEAD, SubscriptionLife::WhileUsed);
    let month = SubscriptionLife::Until(NOW.plus(Duration::from_secs(30 * day)));
    let ends = found(&hub, "ends", HEAD, month);
    followers.add(&owner, client(), Follower::new(stream));
    let both = [kept.clone(), ends];
    let look = |seconds| {
        let moment = at(&hub, Instant::now(), seconds);
        look(&followers, &client(), &both, moment)
    };
    assert_eq!(look(0), []);
    assert_eq!(look(day), []);
    let touch = StoredUse::Touch(SubscriptionLife::WhileUsed);
    assert_eq!(look(day + 1), [(kept.subscription.id, touch)]);
}

fn sources(due: &[DueLook]) -> Vec<FollowedSource> {
    due.iter().flat_map(|due| due.sources.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn changes_that_come_together_are_one_look() {
    let hub = hub().await;
    let followers = SubscriptionFollowers::default();
    let owner = PrincipalId::anonymous();
    let due = |after: Duration| followers.due(Instant::now() + after, NOW).0;
    followers.changed(&owner, None);
    assert_eq!(due(Duration::ZERO), [], "no stream follows any");
    let mut feeds = Vec::new();
    for id in ["a", "b", "b"] {
        let (feed, stream) = stream(&hub).await;
        feeds.push(feed);
        followers.add(&owner, one(id), Follower::new(stream));
    }
    (0..1000).for_each(|_| followers.changed(&owner, None));
    let first = due(Duration::ZERO);
    assert_eq!(
        (first.len(), sources(&first)),
        (1, vec![one("a"), one("b")])
    );
    // One at a time, and what changes meanwhile is the next.
    let a = SubscriptionId::new("a").unwrap();
    (0..1000).for_each(|_| followers.changed(&owner, Some(&a)));
    assert_eq!(due(Duration::ZERO), []);
    // What was loaded before a stream began says nothing about it.
    let (_feed, late) = stream(&hub).await;
    followers.add(&owner, one("b"), Follower::new(late));
    let hour = SubscriptionLife::Until(NOW.plus(Duration::from_secs(3600)));
    let loaded = [found(&hub, "a", HEAD, hour)];
    for source in &first[0].sources {
        let mut taken = followers.take(&owner, source, first[0].newest);
        let stored = StoredNow {
            loaded: &loaded,
            unended: &BTreeSet::new(),
        };
        update_all(source, &mut taken, stored, at(&hub, Instant::now(), 0));
        followers.put_back(&owner, source, taken);
    }
    let now = Instant::now();
    followers.looked(&first[0], Vec::new(), now, now);
    assert_eq!(due(Duration::ZERO), [], "after a pause");
    let second = due(SUBSCRIPTION_PAUSE);
    assert_eq!(
        sources(&second),
        [one("a"), one("b")],
        "the late one goes on"
    );
    let after = now + SUBSCRIPTION_PAUSE;
    followers.looked(&second[0], vec![one("b")], after, after);
    assert_eq!(due(SUBSCRIPTION_PAUSE * 2), []);
    let again = due(SUBSCRIPTION_PAUSE + SUBSCRIPTION_RETRY_PAUSE);
    assert_eq!(sources(&again), [one("b")], "what failed");
    followers.looked(&again[0], Vec::new(), after, after);
    // At an end, and at the interval.
    let (first, second) = (after + SUBSCRIPTION_PAUSE, after + SUBSCRIPTION_PAUSE * 2);
    let (due, _) = followers.due(first, loaded[0].expires_at);
    assert_eq!(sources(&due), [one("a")]);
    followers.looked(&due[0], Vec::new(), first, first);
    // While the store still has it, it is looked at after a pause, and not without end.
    let (due, next) = followers.due(first, loaded[0].expires_at);
    assert_eq!((due, next), (vec![], second));
    let (due, _) = followers.due(second, loaded[0].expires_at);
    assert_eq!(sources(&due), [one("a")]);
    followers.looked(&due[0], Vec::new(), second, second);
    let (due, _) = followers.due(now + SUBSCRIPTION_CHECK_INTERVAL * 2, NOW);
    assert_eq!(sources(&due), [one("a"), one("b")]);
}

#[tokio::test(start_paused = true)]
async fn a_change_waits_for_no_look_at_another_owner() {
    let hub = hub().await;
    let followers = SubscriptionFollowers::default();
    let owner = |n: usize| PrincipalId::new(&format!("owner-{n}")).unwrap();
    let mut feeds = Vec::new();
    const OWNERS: usize = CONCURRENT_SUBSCRIPTION_CHECKS * 3;
    for n in 0..OWNERS {
        let (feed, stream) = stream(&hub).await;
        feeds.push(feed);
        followers.add(&owner(n), one("s"), Follower::new(stream));
    }
    let now = Instant::now();
    let at = |after| followers.due(now + after, NOW).0;
    let first = at(Duration::ZERO);
    assert_eq!(first.len(), OWNERS, "each has a look of its own");
    // All but one are still at it: the one is looked at whenever it changes.
    let of_first = first.iter().find(|due| due.owner == owner(0)).unwrap();
    followers.looked(of_first, Vec::new(), now, now);
    for round in 1..100 {
        followers.changed(&owner(0), None);
        let due = at(SUBSCRIPTION_PAUSE * round);
        assert_eq!(due.len(), 1, "{due:?}");
        assert_eq!(due[0].owner, owner(0));
        let ended = now + SUBSCRIPTION_PAUSE * (round - 1);
        followers.looked(&due[0], Vec::new(), ended, ended);
    }
    for due in &first {
        followers.looked(due, Vec::new(), now, now);
    }
    // At the interval few at once, and a change waits for none of them.
    let later = SUBSCRIPTION_CHECK_INTERVAL * 2;
    let round = at(later);
    assert_eq!(round.len(), CONCURRENT_SUBSCRIPTION_CHECKS);
    let waiting = (0..OWNERS).map(owner);
    let waiting = waiting.filter(|owner| round.iter().all(|due| due.owner != *owner));
    let waiting: Vec<_> = waiting.collect();
    assert_eq!(at(later), []);
    followers.changed(&waiting[0], None);
    let due = at(later);
    assert_eq!((due.len(), &due[0].owner), (1, &waiting[0]));
    // As they end, the others have theirs.
    for due in &round {
        followers.looked(due, Vec::new(), now, now);
    }
    assert_eq!(at(later).len(), CONCURRENT_SUBSCRIPTION_CHECKS);
}

#[tokio::test(start_paused = true)]
async fn a_change_concerns_the_client_that_it_names() {
    let hub = hub().await;
    let followers = SubscriptionFollowers::default();
    let owner = PrincipalId::anonymous();
    let names: Vec<_> = (0..400)
        .map(|n| ClientId::new(&format!("user-{n:03}")).unwrap())
        .collect();
    let (_feed, open) = stream(&hub).await;
    for name in &names {
        let source = FollowedSource::Client(name.clone());
        followers.add(&owner, source, Follower::new(open.clone()));
    }
    let now = Instant::now();
    let (first, _) = followers.due(now, NOW);
    assert_eq!(sources(&first).len(), names.len());
    followers.looked(&first[0], Vec::new(), now, now);
    let id = ClientKey::new(&owner, &names[7]).id("x");
    followers.changed(&owner, Some(&id));
    let (due, _) = followers.due(now + SUBSCRIPTION_PAUSE, NOW);
    assert_eq!(sources(&due), [FollowedSource::Client(names[7].clone())]);
    followers.looked(&due[0], Vec::new(), now, now);
    // One of a client that no stream follows.
    followers.changed(&owner, Some(&SubscriptionId::new("bare").unwrap()));
    assert_eq!(followers.due(now + SUBSCRIPTION_PAUSE * 2, NOW).0, []);
    // The check at the interval comes in parts, between which a change has its turn.
    let later = now + SUBSCRIPTION_CHECK_INTERVAL * 2;
    let part = followers.due(later, NOW).0;
    assert_eq!(sources(&part).len(), SOURCES_PER_ROUND);
    followers.changed(&owner, Some(&id));
    followers.looked(&part[0], Vec::new(), now, now);
    let due = followers.due(later, NOW).0;
    assert_eq!(sources(&due), [FollowedSource::Client(names[7].clone())]);
}

#[tokio::test]
async fn a_stream_ends_with_what_became_of_its_subscription() {
    let hub = hub().await;
    let life = SubscriptionLife::WhileUsed;
    let began = Instant::now();
    for source in [one("a"), client()] {
        for (seconds, is_lost, ending) in [
            (1, false, StreamEnd::SubscriptionDeleted),
            (1, true, StreamEnd::SubscriptionLost),
            (1_000_000_000, true, StreamEnd::SubscriptionExpired),
        ] {
            let followers = SubscriptionFollowers::default();
            let (_feed, followed) = stream(&hub).await;
            let owner = PrincipalId::anonymous();
            followers.add(&owner, source.clone(), Follower::new(followed));
            let loaded = [found(&hub, "a", 0, life)];
            look(&followers, &source, &loaded, at(&hub, began, 0));
            let taken = followers.take(&owner, &source, u64::MAX);
            assert!(missing(&source, &taken, &loaded, NOW).is_empty());
            let lost = missing(&source, &taken, &[], NOW);
            assert_eq!(lost, [loaded[0].subscription.id.clone()].into());
            let end = taken[0].known.values().next().unwrap().expires_at;
            let over = missing(&source, &taken, &[], end);
            assert!(over.is_empty(), "it is over");
            let moment = at(&hub, began, seconds);
            let unended = if is_lost { lost } else { BTreeSet::new() };
            let ends = end_of(&taken[0], &BTreeMap::new(), &unended, moment.store_time);
            assert_eq!(ends, Some(ending), "{source:?}");
            followers.put_back(&owner, &source, taken);
            look_without(&followers, &source, (&[], &unended), moment);
            assert!(followers.take(&owner, &source, u64::MAX).is_empty());
        }
    }
}

#[tokio::test]
async fn one_of_several_ends_the_stream_of_a_client_if_it_was_lost_and_not_if_it_was_ended() {
    let hub = hub().await;
    let began = Instant::now();
    let minute = SubscriptionLife::Until(NOW.plus(Duration::from_secs(60)));
    for (seconds, is_lost, goes_on) in [
        (1, false, true),
        (1, true, false),
        // It may have reached its end while it was asked for.
        (58, true, true),
        (60, false, true),
    ] {
        let followers = SubscriptionFollowers::default();
        let (_feed, followed) = stream(&hub).await;
        let owner = PrincipalId::anonymous();
        followers.add(&owner, client(), Follower::new(followed));
        let kept = found(&hub, "kept", 0, SubscriptionLife::WhileUsed);
        let gone = found(&hub, "gone", 0, minute);
        let both = [gone.clone(), kept.clone()];
        look(&followers, &client(), &both, at(&hub, began, 0));
        let unended = if is_lost {
            BTreeSet::from([gone.subscription.id])
        } else {
            BTreeSet::new()
        };
        let stored = (std::slice::from_ref(&kept), &unended);
        look_without(&followers, &client(), stored, at(&hub, began, seconds));
        let left = followers.take(&owner, &client(), u64::MAX);
        assert_eq!(!left.is_empty(), goes_on, "{seconds} {is_lost}");
        let known = left.iter().flat_map(|follower| follower.known.keys());
        assert!(known.eq(goes_on.then_some(&kept.subscription.id)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_is_certain_until_a_change_is_told_that_was_not_loaded() {
    let hub = hub().await;
    let followers = SubscriptionFollowers::default();
    let owner = PrincipalId::anonymous();
    let (_feed, followed) = stream(&hub).await;
    followers.add(&owner, one("a"), Follower::new(followed));
    let mut now = Instant::now();
    let mut look = |is_loaded: bool, tell: bool| {
        now += SUBSCRIPTION_RETRY_PAUSE + SUBSCRIPTION_PAUSE;
        let (due, _) = followers.due(now, NOW);
        if tell {
            followers.changed(&owner, None);
        }
        let failed = if is_loaded {
            Vec::new()
        } else {
            vec![one("a")]
        };
        followers.looked(&due[0], failed, now, now);
        followers.is_certain(&owner, &one("a"))
    };
    assert!(look(true, false));
    followers.changed(&owner, None);
    assert!(!look(false, false), "it was not loaded");
    assert!(!look(false, false));
    assert!(look(true, false));
    followers.all_changed();
    assert!(!look(true, true), "a change while it was loaded");
    assert!(look(true, false));
}
