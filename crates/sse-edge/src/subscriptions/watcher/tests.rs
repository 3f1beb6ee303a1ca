//! Owners beside each other, over a store that takes its time; the clock is paused.

use std::{num::NonZeroUsize, sync::atomic::Ordering};

use model::{Clock, ManualClock, RandomIds, SystemClock};
use ports::Records;
use service_kit::metrics::MetricsRegistry;
use store_memory::InProcessBus;
use subscriptions::{ClientId, SubscriptionLife, SubscriptionRecords};
use tokio::time::sleep;

use super::*;
use crate::{
    limits::SUBSCRIPTION_PAUSE,
    metrics::{ClockMetrics, SubscriptionMetrics},
    store_clock::StoreClock,
    subscriptions::{
        cursor_keeper::keep_cursor_books,
        followers::{
            KnownSubscription, knows_all_by,
            tests::{HEAD, hub, stream},
        },
        loads::tests::{READ_TIME, SlowRecords, make},
    },
};

const MANY: usize = 1000;
const STREAMS: usize = 20;
const PROOF: Duration = Duration::from_secs(70);

fn subscriptions(store: &Arc<SlowRecords>) -> Arc<Subscriptions> {
    subscriptions_by(store, Arc::new(SystemClock))
}

fn subscriptions_by(store: &Arc<SlowRecords>, own: Arc<dyn Clock>) -> Arc<Subscriptions> {
    let mut registry = MetricsRegistry::default();
    let records: Arc<dyn Records> = store.clone();
    let metrics = ClockMetrics::new(&mut registry);
    let clock = StoreClock::new(own, Arc::clone(&records), metrics);
    Arc::new(Subscriptions::new(
        SubscriptionRecords::new(records),
        Arc::new(InProcessBus::new(NonZeroUsize::MIN)),
        Arc::new(clock),
        Arc::new(RandomIds),
        SubscriptionMetrics::new(&mut registry),
    ))
}

#[tokio::test(start_paused = true)]
async fn a_thousand_subscriptions_of_one_owner_delay_no_stream_of_another() {
    let (store, hub) = (SlowRecords::new(), hub().await);
    let subscriptions = subscriptions(&store);
    let [busy, other] = ["busy", "other"].map(|name| PrincipalId::new(name).unwrap());
    let big = ClientId::new("big").unwrap();
    let records = &subscriptions.records;
    make(records, (&busy, &big), MANY, 100).await;
    let loaded = subscriptions.loads.of_client(&busy, &big).await.unwrap();
    let followers = &subscriptions.followers;
    let mut feeds = Vec::new();
    for _ in 0..STREAMS {
        let (feed, stream) = stream(&hub).await;
        feeds.push(feed);
        // As a stream begins that knows all of them.
        let mut follower = Follower::new(stream);
        follower.knows_until = knows_all_by(subscriptions.now().await.unwrap());
        let known = loaded.found.iter().map(|found| {
            let cursor = found.subscription.cursor;
            let known = KnownSubscription {
                after: cursor,
                revision: 0,
                expires_at: found.expires_at,
                cursor,
            };
            (found.subscription.id.clone(), known)
        });
        follower.known = known.collect();
        followers.add(&busy, FollowedSource::Client(big.clone()), follower);
    }
    drop(loaded);
    let stop = CancellationToken::new();
    let watch = SubscriptionWatch {
        hub: Arc::clone(&hub),
        proof: Some(PROOF),
    };
    tokio::spawn(watch_subscriptions(
        Arc::clone(&subscriptions),
        watch,
        stop.clone(),
    ));
    tokio::spawn(keep_cursor_books(Arc::clone(&subscriptions), stop.clone()));
    // The busy one changes its subscriptions without a pause, and its cursors are stored meanwhile.
    let changing = Arc::clone(&subscriptions);
    let of_busy = busy.clone();
    let changes = tokio::spawn(async move {
        loop {
            changing.followers.changed(&of_busy, None);
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut longest = Duration::ZERO;
    for round in 0..40 {
        // An id that has ended is not made again.
        let small = ClientId::new(&format!("small-{round}")).unwrap();
        make(records, (&other, &small), 1, 10).await;
        let (feed, stream) = stream(&hub).await;
        let page = records
            .list_client((&other, &small), None, 10)
            .await
            .unwrap();
        let id = page.subscriptions[0].subscription.id.clone();
        let source = FollowedSource::One(id.clone());
        followers.add(&other, source.clone(), Follower::new(stream));
        sleep(Duration::from_secs(4)).await;
        let began = Instant::now();
        assert!(subscriptions.end(&other, &id).await.unwrap());
        let follows = || {
            let all = followers.all.lock();
            all.owners
                .get(&other)
                .is_some_and(|of_owner| of_owner.follows(&source))
        };
        while follows() {
            assert!(began.elapsed() < Duration::from_secs(5), "round {round}");
            sleep(Duration::from_millis(1)).await;
        }
        longest = longest.max(began.elapsed());
        drop(feed);
    }
    changes.abort();
    stop.cancel();
    let bound = SUBSCRIPTION_PAUSE + READ_TIME * 5;
    assert!(
        longest <= bound,
        "{longest:?} beside the looks of another owner"
    );
    // However many streams there are, the cursor of each was stored once: it is where all of them are.
    let stored = store.changes.load(Ordering::SeqCst);
    assert_eq!(stored, MANY, "stores of cursors");
    let first = records.list_client((&busy, &big), None, 1).await.unwrap();
    assert_eq!(first.subscriptions[0].subscription.cursor.sequence.0, HEAD);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_kept_while_the_store_is_away_unless_it_may_have_been_put_off() {
    let (store, hub) = (SlowRecords::new(), hub().await);
    let own = Arc::new(ManualClock::at(SystemClock.now()));
    let subscriptions = subscriptions_by(&store, own.clone());
    let owner = PrincipalId::new("owner").unwrap();
    let (client, records) = (ClientId::new("c").unwrap(), &subscriptions.records);
    make(records, (&owner, &client), 3, 10).await;
    let page = records.list_client((&owner, &client), None, 10).await;
    let ids = page.unwrap().subscriptions.into_iter();
    let ids: Vec<_> = ids.map(|found| found.subscription.id).collect();
    let now = subscriptions.now().await.unwrap();
    let mut feeds = Vec::new();
    // The third ends much later.
    for (id, seconds) in ids.iter().zip([60, 60, 600]) {
        let life = SubscriptionLife::Until(now.plus(Duration::from_secs(seconds)));
        records.renew((&owner, id), life, now).await.unwrap();
        let (feed, stream) = stream(&hub).await;
        feeds.push(feed);
        let source = FollowedSource::One(id.clone());
        subscriptions
            .followers
            .add(&owner, source, Follower::new(stream));
    }
    let watch = SubscriptionWatch {
        hub: Arc::clone(&hub),
        proof: Some(PROOF),
    };
    let watching = watch_subscriptions(Arc::clone(&subscriptions), watch, CancellationToken::new());
    tokio::spawn(watching);
    let pass = async |seconds: u64| {
        let step = Duration::from_millis(200);
        for _ in 0..seconds * 5 {
            own.advance(step);
            sleep(step).await;
        }
    };
    let follows = || {
        let all = subscriptions.followers.all.lock();
        let of_owner = &all.owners[&owner];
        let follows = |id: &SubscriptionId| of_owner.follows(&FollowedSource::One(id.clone()));
        ids.iter().map(follows).collect::<Vec<_>>()
    };
    pass(5).await;
    store.is_away.store(true, Ordering::SeqCst);
    // Somebody put the second one off, as far as this edge was told.
    subscriptions.followers.changed(&owner, Some(&ids[1]));
    pass(50).await;
    assert_eq!(follows(), [true, true, true]);
    pass(15).await;
    assert_eq!(follows(), [false, true, true]);
}
