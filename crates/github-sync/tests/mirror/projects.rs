//! Fields, views and items of projects.

use std::time::Duration;

use fake_github::{
    server::{FakeFault, FakeLimits},
    world::{FakeFieldKind, FakeFieldValue, ItemKey, ProjectKey},
};
use github_sync::SyncConfig;
use ports::MirroredKind;
use serde_json::{Value, json};

use crate::world::{LONG, MirrorWorld, Replica};

/// Mirrors the projects of the organization.
fn config() -> SyncConfig {
    SyncConfig {
        repositories: Vec::new(),
        organizations: vec!["octo".to_owned()],
        resources: ["project_fields", "project_views", "project_items"]
            .map(str::to_owned)
            .to_vec(),
        ..MirrorWorld::config()
    }
}

/// Two projects: one with a sprint and so many items, of which the first is an issue in the sprint, and one with a draft.
fn furnish(world: &MirrorWorld, items: usize) -> (ProjectKey, Vec<ItemKey>) {
    let made = world.github.change(|github| {
        let project = github.create_project(world.organization, "Roadmap");
        let sprint = github.fresh_iteration("Sprint 1", "2026-11-23", 14);
        let iterations = FakeFieldKind::Iteration {
            duration_days: 14,
            active: vec![sprint.clone()],
            completed: Vec::new(),
        };
        github.set_field(project, "Sprint", iterations);
        let issue = github.open_issue(world.repo, "one");
        let mut all = vec![github.add_item(project, issue)];
        let value = FakeFieldValue::Iteration(sprint.id);
        github.set_value(all[0], "Sprint", Some(value));
        all.extend((1..items).map(|n| github.add_draft(project, &format!("later {n}"))));
        let other = github.create_project(world.organization, "Other");
        github.add_draft(other, "elsewhere");
        (project, all)
    });
    // What changed just now may have changed twice in its second.
    world.clock.advance(LONG);
    made
}

/// The organization is whole, and its repository, of which nothing is mirrored.
async fn mirrored(world: &MirrorWorld) -> Replica {
    let replica = world.start(&config());
    replica.whole(2).await;
    replica
}

/// The items of a project.
async fn items(replica: &Replica, project: u64) -> Vec<Value> {
    let mut items = replica.objects(MirroredKind::ProjectItem).await;
    items.retain(|item| item["forgewire"]["project"] == project);
    items
}

fn value<'v>(item: &'v Value, member: &str) -> &'v Value {
    let values = item["fieldValues"]["nodes"].as_array().unwrap();
    let found = values.iter().find(|value| value.get(member).is_some());
    found.map_or(&Value::Null, |value| &value[member])
}

#[tokio::test]
async fn a_project_has_its_sprints_its_views_and_its_items_with_their_values() {
    let world = MirrorWorld::new().await;
    furnish(&world, 60);
    let replica = mirrored(&world).await;
    let fields = replica.objects(MirroredKind::ProjectField).await;
    let sprint = fields.iter().find(|field| field["name"] == "Sprint");
    let sprint = sprint.unwrap();
    assert_eq!(
        sprint["configuration"]["iterations"][0]["title"],
        "Sprint 1"
    );
    assert_eq!(sprint["forgewire"], json!({ "project": 1 }));
    let views = replica.objects(MirroredKind::ProjectView).await;
    assert_eq!(views.len(), 2, "one of each project");
    let of_first = items(&replica, 1).await;
    assert_eq!(of_first.len(), 60);
    let issue = &of_first[0];
    assert_eq!(
        issue["content"]["repository"]["nameWithOwner"],
        "octo/reactor"
    );
    assert_eq!(value(issue, "startDate"), "2026-11-23");
    assert_eq!(items(&replica, 2).await.len(), 1);
    let mut progress = replica.reads.progress(None).await.unwrap();
    progress.retain(|list| list.kind != MirroredKind::Repository);
    assert_eq!(progress.len(), 4);
    assert!(
        progress.iter().all(|list| list.as_of.is_some()),
        "{progress:?}"
    );
    assert_eq!(world.told().await, []);
}

#[tokio::test]
async fn a_project_that_has_not_changed_costs_no_point() {
    let world = MirrorWorld::new().await;
    let (project, _) = furnish(&world, 60);
    let replica = mirrored(&world).await;
    let (_, points) = world.cost();
    world.clock.advance(LONG);
    let tally = replica.compare().await;
    assert_eq!(world.cost().1 - points, 0, "{tally}");
    assert_eq!(
        (&tally["points"], &tally["end"]),
        (&json!(0), &json!("whole"))
    );
    replica.stop().await;
    // Nor after a restart. One that has changed is read, and no other.
    let replica = world.start(&config());
    replica.whole(2).await;
    replica.compare().await;
    assert_eq!(world.cost().1 - points, 0);
    world
        .github
        .change(|github| github.describe_project(project, "Where we go"));
    world.clock.advance(LONG);
    let tally = replica.compare().await;
    assert_eq!(
        tally["points"], 3,
        "fields and views, two pages of items: {tally}"
    );
    assert_eq!(
        tally["newer"], 1,
        "nothing but the project has changed: {tally}"
    );
}

#[tokio::test]
async fn an_item_moves_and_another_one_is_removed() {
    let world = MirrorWorld::new().await;
    let (_, made) = furnish(&world, 3);
    let replica = mirrored(&world).await;
    let before = items(&replica, 1).await;
    assert_eq!(value(&before[1], "date"), &Value::Null);
    world.github.change(|github| {
        github.set_value(made[0], "Sprint", None);
        github.delete_item(made[2]);
    });
    world.clock.advance(LONG);
    replica.compare().await;
    let after = items(&replica, 1).await;
    let ids = |items: &[Value]| items.iter().map(|it| it["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&after), ids(&before[..2]));
    assert_eq!(value(&after[0], "startDate"), &Value::Null);
    assert_eq!(items(&replica, 2).await.len(), 1);
    replica.stop().await;
    let replica = world.start(&config());
    replica.whole(2).await;
    assert_eq!(ids(&items(&replica, 1).await), ids(&after));
}

#[tokio::test]
async fn what_github_does_not_give_stays_as_it_was_and_is_said() {
    let world = MirrorWorld::new().await;
    let (_, made) = furnish(&world, 3);
    let only_items = SyncConfig {
        resources: vec!["project_items".to_owned()],
        ..config()
    };
    let replica = world.start(&only_items);
    replica.whole(2).await;
    let before = items(&replica, 1).await;
    world
        .github
        .change(|github| github.set_value(made[0], "Sprint", None));
    world.clock.advance(LONG);
    let broken = FakeFault::PartialError("fieldValues");
    world.github.break_next("/graphql", broken, 1);
    replica.compare().await;
    assert_eq!(items(&replica, 1).await, before);
    let reason = async || {
        let progress = replica.reads.progress(None).await.unwrap();
        let items = progress
            .into_iter()
            .find(|list| list.kind == MirroredKind::ProjectItem);
        items.unwrap().failure
    };
    let said = reason().await.unwrap();
    assert!(said.contains("node.items.nodes.0.fieldValues"), "{said}");
    // It is asked for again, though the project has not changed since.
    replica.compare().await;
    assert_eq!(reason().await, None);
    let after = items(&replica, 1).await;
    assert_eq!(value(&after[0], "startDate"), &Value::Null);
}

#[tokio::test]
async fn points_that_others_need_are_left_to_them() {
    let world = MirrorWorld::new().await;
    furnish(&world, 120);
    world.github.limit(FakeLimits {
        graphql: 202,
        ..FakeLimits::default()
    });
    let replica = world.start(&config());
    replica
        .until("the comparison has ended", async |it| {
            it.health()["places"][0]["comparisonsHere"] == 1
        })
        .await;
    let last = replica.health()["places"][0]["lastComparisonHere"].clone();
    assert_eq!(last["end"], "left GitHub's limit to others", "{last}");
    assert_eq!(last["points"], 3, "{last}");
    assert_eq!(items(&replica, 1).await.len(), 100, "what was read is kept");
    replica.stop().await;
    world.github.limit(FakeLimits::default());
    let replica = world.start(&config());
    replica.whole(2).await;
    assert_eq!(items(&replica, 1).await.len(), 120);
}

#[tokio::test]
async fn items_that_are_too_many_for_one_comparison_are_read_on_in_the_next() {
    let world = MirrorWorld::new().await;
    furnish(&world, 170);
    let slow = FakeFault::Slow(Duration::from_millis(400));
    world.github.break_next("/graphql", slow, 7);
    let config = SyncConfig {
        initial_timeout_seconds: 1,
        ..config()
    };
    let replica = world.start(&config);
    replica.whole(2).await;
    assert_eq!(items(&replica, 1).await.len(), 170);
    let health = replica.health();
    let comparisons = health["places"][0]["comparisonsHere"].as_u64().unwrap();
    assert!(comparisons > 1, "{health}");
}

#[tokio::test]
async fn what_is_in_a_project_that_was_closed_stays_and_the_next_projects_are_read_too() {
    let world = MirrorWorld::new().await;
    let (project, _) = furnish(&world, 2);
    let replica = mirrored(&world).await;
    world.github.change(|github| {
        github.close_project(project, true);
        let third = github.create_project(world.organization, "Third");
        github.add_draft(third, "new");
    });
    world.clock.advance(LONG);
    replica.compare().await;
    assert_eq!(items(&replica, 1).await.len(), 2);
    assert_eq!(items(&replica, 3).await.len(), 1);
}
