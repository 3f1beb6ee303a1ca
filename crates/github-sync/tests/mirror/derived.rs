//! What no webhook says.

use std::time::Duration;

use fake_github::world::TicketKey;
use github_sync::SyncConfig;
use model::Clock;
use ports::MirroredKind;

use crate::world::{LONG, MirrorWorld, Replica};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn open_pull(world: &MirrorWorld) -> TicketKey {
    world
        .github
        .change(|github| github.open_pull(world.repo, "Faster", ["topic", "main"]))
}

/// Compares three times, with a restart between them.
async fn thrice(world: &MirrorWorld, replica: Replica) -> Replica {
    for _ in 0..2 {
        world.clock.advance(LONG);
        replica.compare().await;
    }
    replica.stop().await;
    let replica = world.start(&MirrorWorld::config());
    replica.whole(1).await;
    replica.compare().await;
    replica
}

/// Our events, with the numbers of their resources.
async fn derived(world: &MirrorWorld) -> Vec<(String, Option<u64>)> {
    let events = world.events().await.into_iter();
    let ours = events.filter(|event| {
        let name = event.metadata.event.as_deref();
        name.is_some_and(|name| name.starts_with("forgewire_"))
    });
    ours.map(|event| (event.action, event.resource.number))
        .collect()
}

fn told(action: &str, number: u64) -> (String, Option<u64>) {
    (action.to_owned(), Some(number))
}

#[tokio::test]
async fn a_conflict_begins_and_ends_each_once() {
    let world = MirrorWorld::new().await;
    let pull = open_pull(&world);
    let replica = world.mirrored().await;
    let replica = thrice(&world, replica).await;
    assert_eq!(derived(&world).await, []);
    world
        .github
        .change(|github| github.move_base(world.repo, "main", &[pull]));
    let replica = thrice(&world, replica).await;
    assert_eq!(derived(&world).await, [told("merge_conflict_began", 1)]);
    let event = world.events().await.pop().unwrap();
    assert_eq!(event.source.to_string(), "sync");
    assert_eq!(event.metadata.related["condition"]["base"], "main");
    assert!(event.metadata.is_pull_request);
    // The branch is put in order.
    world.github.change(|github| github.take_in_base(pull));
    let replica = thrice(&world, replica).await;
    let both = [
        told("merge_conflict_began", 1),
        told("merge_conflict_ended", 1),
    ];
    assert_eq!(derived(&world).await, both);
    // And again.
    world
        .github
        .change(|github| github.move_base(world.repo, "main", &[pull]));
    let replica = thrice(&world, replica).await;
    assert_eq!(derived(&world).await.len(), 3);
    // The end of a pull request is no end of its conflict.
    world
        .github
        .change(|github| github.close(pull, "completed"));
    thrice(&world, replica).await;
    assert_eq!(derived(&world).await.len(), 3);
}

#[tokio::test]
async fn checks_that_do_not_end_are_told_of_once() {
    let world = MirrorWorld::new().await;
    let pull = open_pull(&world);
    let replica = world.mirrored().await;
    let start = |github: &mut fake_github::world::FakeWorld| {
        let sha = github.head_of(pull);
        github.start_check(world.repo, &sha, "ci")
    };
    let check = world.github.change(start);
    world.github.change(|github| github.label(pull, "slow"));
    world.clock.advance(LONG);
    replica.compare().await;
    assert_eq!(derived(&world).await, [], "it has an hour");
    world.clock.advance(Duration::from_secs(3600));
    let replica = thrice(&world, replica).await;
    assert_eq!(derived(&world).await, [told("checks_pending", 1)]);
    let event = world.events().await.pop().unwrap();
    let condition = &event.metadata.related["condition"];
    assert_eq!(condition["checks"], serde_json::json!(["ci"]));
    // They end, and those of the next commit do not.
    world
        .github
        .change(|github| github.complete_check(check, "success"));
    let replica = thrice(&world, replica).await;
    world.github.change(|github| {
        github.push(pull);
        start(github);
    });
    world.clock.advance(LONG);
    replica.compare().await;
    world.clock.advance(Duration::from_secs(3600));
    thrice(&world, replica).await;
    let both = [told("checks_pending", 1), told("checks_pending", 1)];
    assert_eq!(derived(&world).await, both);
}

#[tokio::test]
async fn a_review_that_waits_is_told_of_once_for_each_request() {
    let world = MirrorWorld::new().await;
    let pull = open_pull(&world);
    let replica = world.mirrored().await;
    let mira = world.github.change(|github| {
        let mira = github.add_user("mira");
        github.request_review(pull, mira);
        mira
    });
    world.clock.advance(DAY);
    replica.compare().await;
    assert_eq!(derived(&world).await, []);
    world.clock.advance(DAY);
    let replica = thrice(&world, replica).await;
    assert_eq!(derived(&world).await, [told("review_waiting", 1)]);
    let event = world.events().await.pop().unwrap();
    assert_eq!(event.metadata.related["condition"]["reviewer"], "mira");
    world.github.change(|github| {
        github.withdraw_request(pull, mira);
        github.request_review(pull, mira);
    });
    let replica = thrice(&world, replica).await;
    world.clock.advance(2 * DAY);
    thrice(&world, replica).await;
    let both = [told("review_waiting", 1), told("review_waiting", 1)];
    assert_eq!(derived(&world).await, both);
}

#[tokio::test]
async fn a_milestone_is_due_and_then_overdue() {
    let world = MirrorWorld::new().await;
    let due = world.clock.now().plus(3 * DAY);
    let milestone = world.github.change(|github| {
        let milestone = github.create_milestone(world.repo, "1.0");
        github.set_due(milestone, Some(due));
        milestone
    });
    let replica = world.mirrored().await;
    let replica = thrice(&world, replica).await;
    assert_eq!(derived(&world).await, []);
    // To the middle of the day.
    let day = i64::try_from(DAY.as_millis()).unwrap();
    let to_noon = due.unix_millis().div_euclid(day) * day + day / 2;
    let left = to_noon - world.clock.now().unix_millis();
    world
        .clock
        .advance(Duration::from_millis(left.try_into().unwrap()));
    let replica = thrice(&world, replica).await;
    assert_eq!(derived(&world).await, [told("due_soon", 1)]);
    world.clock.advance(DAY);
    let replica = thrice(&world, replica).await;
    let both = [told("due_soon", 1), told("overdue", 1)];
    assert_eq!(derived(&world).await, both);
    world
        .github
        .change(|github| github.close_milestone(milestone, true));
    thrice(&world, replica).await;
    assert_eq!(derived(&world).await, both);
}

#[tokio::test]
async fn what_held_at_the_first_comparison_is_no_news_and_costs_no_request() {
    let world = MirrorWorld::new().await;
    let pull = open_pull(&world);
    world.github.change(|github| {
        let mira = github.add_user("mira");
        github.request_review(pull, mira);
        github.move_base(world.repo, "main", &[pull]);
        let milestone = github.create_milestone(world.repo, "1.0");
        let due = github.now();
        github.set_due(milestone, Some(due));
    });
    world.clock.advance(5 * DAY);
    let replica = world.mirrored().await;
    let replica = thrice(&world, replica).await;
    // That it conflicts, GitHub had not found out at the first look.
    assert_eq!(derived(&world).await, [told("merge_conflict_began", 1)]);
    let (_, points) = world.cost();
    replica.compare().await;
    assert_eq!(world.cost().1, points);
}

#[tokio::test]
async fn two_replicas_tell_of_a_conflict_once() {
    let world = MirrorWorld::new().await;
    let pull = open_pull(&world);
    let config = MirrorWorld::config();
    let one = world.start_one_of_many(&config);
    one.whole(1).await;
    let other = world.start_one_of_many(&config);
    other.whole(1).await;
    world.clock.advance(LONG);
    one.compare().await;
    world
        .github
        .change(|github| github.move_base(world.repo, "main", &[pull]));
    for replica in [&one, &other, &one, &other] {
        world.clock.advance(LONG);
        replica.compare().await;
    }
    assert_eq!(derived(&world).await, [told("merge_conflict_began", 1)]);
}

#[tokio::test]
async fn what_is_switched_off_is_not_told() {
    let world = MirrorWorld::new().await;
    let pull = open_pull(&world);
    let config = SyncConfig {
        derived: vec!["due_milestones".to_owned()],
        ..MirrorWorld::config()
    };
    let replica = world.start(&config);
    replica.whole(1).await;
    world.clock.advance(LONG);
    replica.compare().await;
    world
        .github
        .change(|github| github.move_base(world.repo, "main", &[pull]));
    for _ in 0..3 {
        world.clock.advance(LONG);
        replica.compare().await;
    }
    let state = replica.object(MirroredKind::PullState, 1).await.unwrap();
    assert_eq!(state["mergeable"], "CONFLICTING");
    assert_eq!(derived(&world).await, []);
}
