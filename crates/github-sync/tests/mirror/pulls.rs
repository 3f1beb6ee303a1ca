//! States of pull requests: what lists do not show.

use fake_github::{
    server::FakeFault,
    world::{FakeReviewState, TicketKey},
};
use ports::MirroredKind;
use serde_json::{Value, json};

use crate::world::{LONG, MirrorWorld, Replica};

const KIND: MirroredKind = MirroredKind::PullState;

fn open_pull(world: &MirrorWorld) -> TicketKey {
    world
        .github
        .change(|github| github.open_pull(world.repo, "Faster", ["topic", "main"]))
}

async fn state(replica: &Replica, number: u64) -> Value {
    replica.object(KIND, number).await.unwrap_or_default()
}

/// Compares after a while, and returns the points that this cost.
async fn points(world: &MirrorWorld, replica: &Replica) -> u64 {
    world.clock.advance(LONG);
    let (_, before) = world.cost();
    replica.compare().await;
    world.cost().1 - before
}

#[tokio::test]
async fn a_pull_request_has_its_reviews_its_requests_and_its_checks() {
    let world = MirrorWorld::new().await;
    let pull = open_pull(&world);
    world.github.change(|github| {
        let (mira, noor) = (github.add_user("mira"), github.add_user("noor"));
        github.request_review(pull, mira);
        let me = github.actor();
        github.act_as(noor);
        github.review(pull, FakeReviewState::Approved, "Good");
        github.act_as(me);
        let sha = github.head_of(pull);
        github.start_check(world.repo, &sha, "ci");
    });
    let replica = world.mirrored().await;
    let first = state(&replica, 1).await;
    assert_eq!(first["mergeable"], "UNKNOWN");
    assert_eq!(
        first["reviewRequests"]["nodes"][0]["requestedReviewer"]["login"],
        "mira"
    );
    let asked = &first["timelineItems"]["nodes"][0];
    assert!(asked["createdAt"].is_string(), "{asked}");
    let review = &first["latestOpinionatedReviews"]["nodes"][0];
    assert_eq!(
        (&review["author"]["login"], &review["state"]),
        (&json!("noor"), &json!("APPROVED"))
    );
    let check = &first["statusCheckRollup"]["contexts"]["nodes"][0];
    assert_eq!(
        (&check["status"], &check["completedAt"]),
        (&json!("IN_PROGRESS"), &Value::Null)
    );
    assert_eq!(points(&world, &replica).await, 1);
    assert_eq!(state(&replica, 1).await["mergeable"], "MERGEABLE");
    // The pull request itself is found under its node id as before.
    assert!(replica.object(MirroredKind::PullRequest, 1).await.is_some());
}

#[tokio::test]
async fn a_check_is_looked_at_until_it_has_ended_and_then_nothing_is_asked() {
    let world = MirrorWorld::new().await;
    let pull = open_pull(&world);
    let check = world.github.change(|github| {
        let sha = github.head_of(pull);
        github.start_check(world.repo, &sha, "ci")
    });
    let replica = world.mirrored().await;
    for _ in 0..3 {
        assert_eq!(points(&world, &replica).await, 1);
    }
    world
        .github
        .change(|github| github.complete_check(check, "success"));
    assert_eq!(points(&world, &replica).await, 1);
    assert_eq!(
        state(&replica, 1).await["statusCheckRollup"]["state"],
        "SUCCESS"
    );
    assert_eq!(points(&world, &replica).await, 0);
}

#[tokio::test]
async fn a_push_to_the_repository_may_have_moved_the_base_of_all() {
    let world = MirrorWorld::new().await;
    let pulls = world.github.change(|github| {
        (0..45).for_each(|n| {
            let head = format!("topic-{n}");
            github.open_pull(world.repo, "Faster", [&head, "main"]);
        });
        github
            .tickets_of(world.repo)
            .map(|(key, _)| key)
            .collect::<Vec<_>>()
    });
    let replica = world.mirrored().await;
    assert_eq!(replica.all(KIND).await.len(), 45);
    points(&world, &replica).await;
    assert_eq!(points(&world, &replica).await, 0);
    world
        .github
        .change(|github| github.move_base(world.repo, "main", &pulls[..1]));
    // Three queries; the repository and the list of pull requests show the push.
    assert_eq!(points(&world, &replica).await, 5);
    points(&world, &replica).await;
    assert_eq!(state(&replica, 1).await["mergeable"], "CONFLICTING");
    assert_eq!(state(&replica, 2).await["mergeable"], "MERGEABLE");
    assert_eq!(points(&world, &replica).await, 0);
}

#[tokio::test]
async fn one_that_is_merged_is_read_a_last_time() {
    let world = MirrorWorld::new().await;
    let pull = open_pull(&world);
    let replica = world.mirrored().await;
    points(&world, &replica).await;
    world.github.change(|github| github.merge(pull));
    points(&world, &replica).await;
    assert_eq!(state(&replica, 1).await["state"], "MERGED");
    world
        .github
        .change(|github| github.move_base(world.repo, "main", &[]));
    // The repository and the list of pull requests, which show the push, and no query.
    assert_eq!(points(&world, &replica).await, 2);
    assert_eq!(points(&world, &replica).await, 0);
}

#[tokio::test]
async fn what_github_does_not_give_of_one_stays_as_it_was() {
    let world = MirrorWorld::new().await;
    let pull = open_pull(&world);
    let replica = world.mirrored().await;
    points(&world, &replica).await;
    let before = state(&replica, 1).await;
    world.github.change(|github| {
        let mira = github.add_user("mira");
        github.request_review(pull, mira);
    });
    let broken = FakeFault::PartialError("latestOpinionatedReviews");
    world.github.break_next("/graphql", broken, 1);
    points(&world, &replica).await;
    assert_eq!(state(&replica, 1).await, before);
    let lists = replica.health()["places"][0]["lists"].clone();
    let said = lists["pull_states"]["reason"].as_str().unwrap();
    assert!(said.contains("nodes.0.latestOpinionatedReviews"), "{said}");
    points(&world, &replica).await;
    let requests = state(&replica, 1).await["reviewRequests"]["nodes"].clone();
    assert_eq!(requests.as_array().unwrap().len(), 1);
    let lists = replica.health()["places"][0]["lists"].clone();
    assert_eq!(lists["pull_states"]["reason"], Value::Null);
}

#[tokio::test]
async fn a_list_takes_nothing_from_a_pull_request_that_it_does_not_know_better() {
    let world = MirrorWorld::new().await;
    let pull = open_pull(&world);
    let replica = world.mirrored().await;
    world.clock.advance(LONG);
    let object = world.at_github("/repos/octo/reactor/pulls/1").await;
    world
        .ingest_of("pull_request", "edited", ("pull_request", &object))
        .await;
    let pull_request = async |it: &Replica| it.object(MirroredKind::PullRequest, 1).await.unwrap();
    replica
        .until("the webhook is known", async |it| {
            pull_request(it).await["additions"] == object["additions"]
        })
        .await;
    let single = [
        "mergeable",
        "comments",
        "commits",
        "additions",
        "changed_files",
        "merged",
    ];
    let has = async |name: &str| pull_request(&replica).await.get(name).is_some();
    // The list is read again because of another one.
    world.github.change(|github| {
        github.open_pull(world.repo, "Another", ["topic", "main"]);
    });
    world.clock.advance(LONG);
    replica.compare().await;
    assert_eq!(pull_request(&replica).await["title"], "Faster");
    for name in single {
        assert!(has(name).await, "{name}");
    }
    world
        .github
        .change(|github| github.retitle(pull, "Much faster"));
    world.clock.advance(LONG);
    replica.compare().await;
    assert_eq!(pull_request(&replica).await["title"], "Much faster");
    for (name, stays) in single
        .into_iter()
        .zip([false, false, true, true, true, true])
    {
        assert_eq!(has(name).await, stays, "{name}");
    }
    world.github.change(|github| github.push(pull));
    world.clock.advance(LONG);
    replica.compare().await;
    assert!(!has("commits").await && has("merged").await);
}
