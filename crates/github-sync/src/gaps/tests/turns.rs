//! One replica sweeps at a time, and another one goes on when it is gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use event_flow::follow::Followed;
use model::{LeaseName, ManualClock, RandomIds, Sequence};
use ports::{Lease, LeaseToken, Leases, StoreFailure};
use store_memory::MemorySessionStore;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::world::GapWorld;
use crate::{
    gaps::{status::GapStatus, sweep::GapSweeper, sweep::SweepParts, turns::SweepTurns},
    limits::{SYNC_LEASE, SYNC_LEASE_STEP},
};

struct Replica {
    status: Arc<GapStatus>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    /// A replica that sweeps no place: no request is sent, so that time can be paused.
    fn start(world: &GapWorld, leases: &Arc<dyn Leases>) -> Self {
        let status = Arc::<GapStatus>::default();
        let parts = SweepParts {
            places: Vec::new(),
            status: Arc::clone(&status),
            ids: Arc::new(RandomIds),
            ..world.parts()
        };
        let mirror = Arc::clone(&parts.mirror);
        mirror.apply(Followed::CaughtUp {
            through: Sequence::START,
        });
        let turns = SweepTurns {
            sweeper: GapSweeper::new(parts),
            interval: Duration::from_secs(60),
            leases: Some(Arc::clone(leases)),
            mirror,
            status: Arc::clone(&status),
            marks: None,
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(turns.run(stop.clone()));
        Self { status, stop, task }
    }

    fn sweeper(&self) -> String {
        let view = self.status.view();
        view["sweeper"].as_str().unwrap().to_owned()
    }

    fn fence(&self) -> u64 {
        self.status.view()["fence"].as_u64().unwrap()
    }
}

#[tokio::test]
async fn one_replica_sweeps_and_another_goes_on_when_it_stops_or_dies() {
    let world = GapWorld::new(100).await;
    tokio::time::pause();
    let clock = Arc::new(ManualClock::default());
    let leases: Arc<dyn Leases> = Arc::new(MemorySessionStore::new(clock.clone(), 10));
    let pass = async |seconds: u64| {
        for _ in 0..seconds {
            clock.advance(Duration::from_secs(1));
            sleep(Duration::from_secs(1)).await;
        }
    };
    let first = Replica::start(&world, &leases);
    sleep(Duration::from_millis(1)).await;
    let second = Replica::start(&world, &leases);
    pass(3 * SYNC_LEASE.as_secs()).await;
    assert_eq!(
        (first.sweeper(), second.sweeper()),
        ("this replica".to_owned(), "another replica".to_owned())
    );
    assert_eq!(second.status.whole_sweep_age(), 0);
    // In order: the lease is given back.
    first.stop.cancel();
    first.task.await.unwrap();
    pass(SYNC_LEASE_STEP.as_secs() + 1).await;
    assert_eq!(second.sweeper(), "this replica");
    assert!(second.fence() > 1);
    // Not in order: the lease runs out.
    let third = Replica::start(&world, &leases);
    pass(1).await;
    assert_eq!(third.sweeper(), "another replica");
    second.task.abort();
    pass((SYNC_LEASE + SYNC_LEASE_STEP).as_secs() + 1).await;
    assert_eq!(third.sweeper(), "this replica");
    third.stop.cancel();
    third.task.await.unwrap();
}

/// Leases whose store may be away.
#[derive(Debug)]
struct FrailLeases {
    inner: Arc<dyn Leases>,
    is_away: AtomicBool,
}

impl FrailLeases {
    fn answers(&self) -> Result<(), StoreFailure> {
        match self.is_away.load(Ordering::Relaxed) {
            true => Err(StoreFailure::unavailable("lease", "it is away")),
            false => Ok(()),
        }
    }
}

#[async_trait::async_trait]
impl Leases for FrailLeases {
    async fn acquire(
        &self,
        name: &LeaseName,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<Lease>, StoreFailure> {
        self.answers()?;
        self.inner.acquire(name, ttl, wait).await
    }

    async fn extend(
        &self,
        name: &LeaseName,
        token: &LeaseToken,
        ttl: Duration,
    ) -> Result<bool, StoreFailure> {
        self.answers()?;
        self.inner.extend(name, token, ttl).await
    }

    async fn release(&self, name: &LeaseName, token: &LeaseToken) -> Result<bool, StoreFailure> {
        self.answers()?;
        self.inner.release(name, token).await
    }
}

#[tokio::test]
async fn while_the_leases_are_away_the_last_sweep_grows_older_and_the_dependency_fails() {
    let world = GapWorld::new(100).await;
    tokio::time::pause();
    let clock = Arc::new(ManualClock::default());
    let frail = Arc::new(FrailLeases {
        inner: Arc::new(MemorySessionStore::new(clock.clone(), 10)),
        is_away: AtomicBool::new(false),
    });
    let leases: Arc<dyn Leases> = frail.clone();
    let pass = async |seconds: u64| {
        for _ in 0..seconds {
            clock.advance(Duration::from_secs(1));
            sleep(Duration::from_secs(1)).await;
        }
    };
    let first = Replica::start(&world, &leases);
    pass(1).await;
    let second = Replica::start(&world, &leases);
    pass(SYNC_LEASE.as_secs()).await;
    assert_eq!(first.sweeper(), "this replica");
    frail.is_away.store(true, Ordering::Relaxed);
    // One that starts meanwhile is no better.
    let third = Replica::start(&world, &leases);
    pass(600).await;
    for replica in [&first, &second, &third] {
        assert!(replica.sweeper().starts_with("unknown"));
        let age = replica.status.whole_sweep_age();
        assert!((500..=660).contains(&age), "{age}");
        let (class, reason) = replica.status.failure().unwrap();
        assert_eq!(class.as_str(), "transient", "{reason}");
        assert!(reason.contains("leases"), "{reason}");
    }
    frail.is_away.store(false, Ordering::Relaxed);
    pass((SYNC_LEASE + SYNC_LEASE_STEP).as_secs() + 1).await;
    let all = [&first, &second, &third];
    let sweeping = all.iter().filter(|it| it.sweeper() == "this replica");
    assert_eq!(sweeping.count(), 1);
    for replica in all {
        assert_eq!(replica.status.failure(), None);
        assert!(replica.status.whole_sweep_age() < 120);
    }
    for replica in [first, second, third] {
        replica.stop.cancel();
        replica.task.await.unwrap();
    }
}
