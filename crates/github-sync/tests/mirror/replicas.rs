//! Several replicas on one store.

use std::{sync::Arc, time::Duration};

use github_sync::SyncConfig;
use ports::{Leases, MirroredKind};

use tokio::time::Instant;

use crate::world::{LONG, MirrorWorld};

fn config(repositories: usize) -> SyncConfig {
    let names = (0..repositories).map(|n| format!("octo/part-{n}"));
    SyncConfig {
        repositories: names.collect(),
        ..MirrorWorld::config()
    }
}

#[tokio::test]
async fn each_place_is_compared_by_one_replica_and_known_to_all() {
    let world = MirrorWorld::new().await;
    world.github.change(|github| {
        for n in 0..12 {
            let repo = github.create_repo(world.organization, &format!("part-{n}"));
            github.open_issue(repo, "It is slow");
        }
    });
    let config = config(12);
    let replicas = [0, 1, 2].map(|_| world.start_one_of_many(&config));
    for replica in &replicas {
        replica.whole(12).await;
    }
    // From empty, each list is read once by whoever came first.
    let requests = world.github.counts().requests;
    let first = requests.get("GET /repos/{owner}/{repo}");
    let alone = MirrorWorld::new().await;
    alone.github.change(|github| {
        for n in 0..12 {
            let repo = github.create_repo(alone.organization, &format!("part-{n}"));
            github.open_issue(repo, "It is slow");
        }
    });
    let single = alone.start(&config);
    single.whole(12).await;
    assert_eq!(
        first,
        alone
            .github
            .counts()
            .requests
            .get("GET /repos/{owner}/{repo}")
    );
    assert_eq!(world.cost().0, alone.cost().0);
    for replica in &replicas {
        let compared = replica.health();
        let compared = compared["places"].as_array().unwrap();
        assert_eq!(compared.len(), 12);
    }
}

#[tokio::test]
async fn what_one_replica_finds_all_have() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(3);
    let config = MirrorWorld::config();
    let one = world.start_one_of_many(&config);
    one.whole(1).await;
    let other = world.start_one_of_many(&config);
    other.whole(1).await;
    assert_eq!(other.all(MirroredKind::Issue).await.len(), 3);
    world.clock.advance(LONG);
    world.github.change(|github| {
        github.comment(issues[0], "Still");
        github.close(issues[1], "completed");
    });
    world.clock.advance(LONG);
    one.compare().await;
    for replica in [&one, &other] {
        replica
            .until("the change is known", async |it| {
                let (first, second) = (
                    it.object(MirroredKind::Issue, 1).await.unwrap(),
                    it.object(MirroredKind::Issue, 2).await.unwrap(),
                );
                first["comments"] == 1 && second["state"] == "closed"
            })
            .await;
    }
    assert_eq!(world.events().await.len(), 1);
}

/// Much less than the time between two looks of a replica at the store, and than the age of a cached answer.
const SOON: Duration = Duration::from_secs(2);

#[tokio::test]
async fn what_no_event_tells_reaches_other_replicas_and_the_caches_of_edges_at_once() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(3);
    let config = MirrorWorld::config();
    let one = world.start_one_of_many(&config);
    one.whole(1).await;
    let other = world.start_one_of_many(&config);
    other.whole(1).await;
    let edge = world.edge_of(&other);
    edge.until("it answers from memory", async |it| {
        it.comments(1).await == 0 && it.hits() > 0
    })
    .await;
    world.clock.advance(LONG);
    world
        .github
        .change(|github| github.comment(issues[0], "Still"));
    world.clock.advance(LONG);
    one.compare().await;
    let compared = Instant::now();
    edge.until("the comment is counted", async |it| {
        it.comments(1).await == 1
    })
    .await;
    assert!(compared.elapsed() < SOON, "{:?}", compared.elapsed());
    // There was no event to tell it by.
    assert_eq!(world.events().await.len(), 0);
}

#[tokio::test]
async fn a_place_whose_replica_died_is_compared_by_another() {
    let world = MirrorWorld::new().await;
    world.open_issues(1);
    // It died while it had the lease.
    let leases: Arc<dyn Leases> = world.store.clone();
    let name = model::LeaseName::new("github-sync:compare:octo/reactor").unwrap();
    let held = leases.acquire(&name, Duration::from_secs(30), Duration::ZERO);
    held.await.unwrap().unwrap();
    let replica = world.start_one_of_many(&MirrorWorld::config());
    replica
        .until("it has caught up", async |it| {
            it.running.health().view()["caughtUp"] == true
        })
        .await;
    assert_eq!(replica.health()["wholePlaces"], 0);
    world.clock.advance(Duration::from_secs(31));
    replica.whole(1).await;
}
