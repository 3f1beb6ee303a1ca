//! From empty, again, and after a restart.

use fake_github::world::AccountKey;
use ports::MirroredKind;

use crate::world::{LONG, MirrorWorld};

/// A bit of everything.
fn furnish(world: &MirrorWorld) -> AccountKey {
    world.github.change(|github| {
        let repo = world.repo;
        github.add_branch(repo, "topic");
        github.open_pull(repo, "Faster", ["topic", "main"]);
        let milestone = github.create_milestone(repo, "1.0");
        github.create_label(repo, "slow", "ff0000");
        github.publish_release(repo, "v1");
        github.start_run(repo, "ci", "main");
        let issue = github.open_issue(repo, "It is slow");
        github.set_milestone(issue, Some(milestone));
        github.label(issue, "slow");
        github.actor()
    })
}

#[tokio::test]
async fn everything_that_github_has_is_in_the_mirror_and_is_no_news() {
    let world = MirrorWorld::new().await;
    furnish(&world);
    world.open_issues(250);
    let replica = world.mirrored().await;
    assert_eq!(replica.all(MirroredKind::Issue).await.len(), 251);
    for (kind, count) in [
        (MirroredKind::Repository, 1),
        (MirroredKind::PullRequest, 1),
        (MirroredKind::Milestone, 1),
        (MirroredKind::Release, 1),
        (MirroredKind::WorkflowRun, 1),
    ] {
        let all = replica.all(kind).await;
        assert_eq!(all.len(), count, "{kind}");
    }
    let labels = replica.all(MirroredKind::Label).await;
    let is_slow = |label: &ports::MirroredState| label.json.windows(6).any(|it| it == b"\"slow\"");
    assert!(labels.iter().any(is_slow));
    let issue = replica.object(MirroredKind::Issue, 2).await.unwrap();
    assert_eq!(issue["milestone"]["title"], "1.0");
    assert_eq!(world.told().await, []);
    let progress = replica.reads.progress(None).await.unwrap();
    assert!(
        progress.iter().all(|list| list.as_of.is_some()),
        "{progress:?}"
    );
}

#[tokio::test]
async fn a_comparison_of_what_is_known_costs_nothing_of_the_limit() {
    let world = MirrorWorld::new().await;
    furnish(&world);
    world.open_issues(120);
    let replica = world.mirrored().await;
    // Asked for the first time, GitHub finds out whether a pull request can be merged.
    world.clock.advance(LONG);
    replica.compare().await;
    let (_, points) = world.cost();
    world.clock.advance(LONG);
    let tally = replica.compare().await;
    assert_eq!(world.cost().1 - points, 0, "{tally}");
    assert_eq!(tally["unmodified"], tally["requests"]);
    assert_eq!(tally["end"], "whole");
}

#[tokio::test]
async fn a_restart_has_the_stored_mirror_without_a_request() {
    let world = MirrorWorld::new().await;
    furnish(&world);
    world.open_issues(120);
    world.mirrored().await.stop().await;
    let before = world.cost();
    let replica = world.start(&MirrorWorld::config());
    replica.whole(1).await;
    assert_eq!(replica.all(MirroredKind::Issue).await.len(), 121);
    let issue = replica.object(MirroredKind::Issue, 2).await.unwrap();
    assert_eq!(issue["milestone"]["title"], "1.0");
    assert_eq!(world.cost(), before);
}

#[tokio::test]
async fn without_a_time_for_it_nothing_is_compared() {
    let world = MirrorWorld::new().await;
    let config = github_sync::SyncConfig {
        initial_timeout_seconds: 0,
        ..MirrorWorld::config()
    };
    let replica = world.start(&config);
    replica
        .until("it has caught up", async |it| {
            it.running.health().view()["caughtUp"] == true
        })
        .await;
    assert_eq!(replica.health()["compared"], false);
    assert!(!replica.reads.compare_now(None, None).await.unwrap());
    assert_eq!(world.cost().0, 0);
}

#[tokio::test]
async fn only_the_named_kinds_are_read() {
    let world = MirrorWorld::new().await;
    furnish(&world);
    let config = github_sync::SyncConfig {
        resources: vec!["milestone".to_owned()],
        ..MirrorWorld::config()
    };
    let replica = world.start(&config);
    replica.whole(1).await;
    assert_eq!(replica.all(MirroredKind::Milestone).await.len(), 1);
    assert_eq!(replica.all(MirroredKind::Issue).await.len(), 0);
}

#[tokio::test]
async fn an_organization_has_its_projects_and_its_repositories() {
    let world = MirrorWorld::new().await;
    furnish(&world);
    world.github.change(|github| {
        github.create_repo(world.organization, "second");
        github.create_project(world.organization, "Board");
    });
    let config = github_sync::SyncConfig {
        repositories: Vec::new(),
        organizations: vec!["Octo".to_owned()],
        ..MirrorWorld::config()
    };
    let replica = world.start(&config);
    replica.whole(3).await;
    assert_eq!(replica.all(MirroredKind::Project).await.len(), 1);
    assert_eq!(replica.all(MirroredKind::Issue).await.len(), 1);
}
