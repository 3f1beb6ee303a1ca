//! What issues and pull requests show of others is what these are now: labels, milestones, the name of the repository.

use fake_github::world::TicketKey;
use ports::{MirrorFilter, MirroredKind};
use serde_json::Value;

use crate::world::{LONG, MirrorWorld, Replica};

/// More issues than a page, so that the first ones are not read again with the last page.
const MANY: usize = 120;

/// The first issue and a pull request with the label `slow`, in the milestone `1.0`; the ids of the label and the milestone.
async fn furnished() -> (MirrorWorld, [u64; 2], Replica) {
    let world = MirrorWorld::new().await;
    let (label, milestone) = world.github.change(|github| {
        let label = github.create_label(world.repo, "slow", "ff0000");
        let milestone = github.create_milestone(world.repo, "1.0");
        github.add_branch(world.repo, "topic");
        let issue = github.open_issue(world.repo, "It is slow");
        let pull = github.open_pull(world.repo, "Faster", ["topic", "main"]);
        for ticket in [issue, pull] {
            github.label(ticket, "slow");
            github.label(ticket, "bug");
            github.set_milestone(ticket, Some(milestone));
        }
        (label, milestone)
    });
    world.open_issues(MANY);
    let replica = world.mirrored().await;
    world.clock.advance(LONG);
    (world, [label, milestone], replica)
}

/// The names of the labels of an issue or a pull request.
fn labels(ticket: &Value) -> Vec<&str> {
    let labels = ticket["labels"].as_array().unwrap().iter();
    labels.map(|it| it["name"].as_str().unwrap()).collect()
}

async fn tickets(replica: &Replica) -> [Value; 2] {
    let issue = replica.object(MirroredKind::Issue, 1).await.unwrap();
    [
        issue,
        replica.object(MirroredKind::PullRequest, 2).await.unwrap(),
    ]
}

/// Renames the label at GitHub to `crawling`, in another color; its object.
async fn renamed(world: &MirrorWorld, label: u64) -> Value {
    world
        .github
        .change(|github| github.edit_label(label, "crawling", "00ff00"));
    let all = world.at_github("/repos/octo/reactor/labels").await;
    let mut all = all.as_array().unwrap().iter();
    all.find(|it| it["name"] == "crawling").unwrap().clone()
}

/// The numbers of issues that carry a label.
async fn labelled(replica: &Replica, name: &str) -> Vec<u64> {
    let filter = MirrorFilter {
        labels: vec![name.to_owned()],
        ..MirrorFilter::default()
    };
    let fitting = replica.fitting(MirroredKind::Issue, filter).await;
    fitting.iter().map(|state| state.address.number).collect()
}

async fn in_milestone(replica: &Replica, number: u64) -> usize {
    let filter = MirrorFilter {
        milestone: Some(number),
        ..MirrorFilter::default()
    };
    replica.fitting(MirroredKind::Issue, filter).await.len()
}

#[tokio::test]
async fn a_label_that_was_renamed_has_its_new_name_in_everything_that_carries_it() {
    let (world, [label, _], replica) = furnished().await;
    let cost = world.cost();
    let object = renamed(&world, label).await;
    let cost = (cost.0 + 1, cost.1 + 1);
    world.ingest_of("label", "edited", ("label", &object)).await;
    replica
        .until("the new name is known", async |it| {
            labelled(it, "crawling").await == [1]
        })
        .await;
    assert!(labelled(&replica, "slow").await.is_empty());
    for ticket in tickets(&replica).await {
        let mut names = labels(&ticket);
        names.sort_unstable();
        assert_eq!(names, ["bug", "crawling"]);
        assert!(ticket["labels"].to_string().contains("00ff00"));
    }
    assert_eq!(world.cost(), cost, "it costs no request");
    // It stays so after a restart, whatever is read first.
    replica.compare().await;
    replica.stop().await;
    let replica = world.mirrored().await;
    assert_eq!(labelled(&replica, "crawling").await, [1]);
}

#[tokio::test]
async fn an_edge_that_keeps_an_answer_has_the_new_name_as_well() {
    let (world, [label, _], replica) = furnished().await;
    let edge = world.edge_of(&replica);
    edge.until("answers come from memory", async |edge| {
        edge.issue(1).await;
        edge.hits() > 0
    })
    .await;
    let object = renamed(&world, label).await;
    world.ingest_of("label", "edited", ("label", &object)).await;
    // A client that has seen the event sees what it means.
    let issue = edge.issue(1).await;
    assert!(labels(&issue).contains(&"crawling"), "{issue}");
}

#[tokio::test]
async fn what_no_webhook_told_of_labels_and_milestones_shows_after_a_comparison() {
    let (world, [label, milestone], replica) = furnished().await;
    world.github.change(|github| {
        github.edit_label(label, "crawling", "00ff00");
        github.retitle_milestone(milestone, "1.1");
    });
    world.clock.advance(LONG);
    replica.compare().await;
    assert_eq!(labelled(&replica, "crawling").await, [1]);
    for ticket in tickets(&replica).await {
        assert!(labels(&ticket).contains(&"crawling"), "{ticket}");
        assert_eq!(ticket["milestone"]["title"], "1.1");
    }
}

#[tokio::test]
async fn a_label_and_a_milestone_that_are_gone_are_carried_by_nothing() {
    let (world, [label, milestone], replica) = furnished().await;
    assert_eq!(in_milestone(&replica, 1).await, 1);
    world.github.change(|github| {
        github.delete_label(label);
        github.delete_milestone(milestone);
    });
    world.clock.advance(LONG);
    replica.compare().await;
    world.clock.advance(LONG);
    replica.compare().await;
    assert!(labelled(&replica, "slow").await.is_empty());
    assert_eq!(labelled(&replica, "bug").await, [1]);
    assert_eq!(in_milestone(&replica, 1).await, 0);
    for ticket in tickets(&replica).await {
        assert_eq!(labels(&ticket), ["bug"]);
        assert_eq!(ticket["milestone"], Value::Null);
    }
}

#[tokio::test]
async fn an_object_that_is_newer_than_the_label_says_what_the_label_is_called() {
    let (world, [label, _], replica) = furnished().await;
    world.github.change(|github| {
        github.edit_label(label, "crawling", "00ff00");
        let issue = TicketKey {
            repo: world.repo,
            number: 1,
        };
        github.retitle(issue, "It crawls");
    });
    world.clock.advance(LONG);
    let issue = world.at_github("/repos/octo/reactor/issues/1").await;
    world.ingest("issues", "edited", &issue).await;
    replica
        .until("the title is known", async |it| {
            tickets(it).await[0]["title"] == "It crawls"
        })
        .await;
    let [issue, pull] = tickets(&replica).await;
    assert!(labels(&issue).contains(&"crawling"), "{issue}");
    assert!(labels(&pull).contains(&"slow"), "nothing has told it yet");
}

#[tokio::test]
async fn after_a_rename_addresses_have_the_present_name_of_the_repository() {
    let (world, _, replica) = furnished().await;
    world
        .github
        .change(|github| github.rename_repo(world.repo, "tool"));
    world.clock.advance(LONG);
    replica.compare().await;
    for ticket in tickets(&replica).await {
        let url = ticket["html_url"].as_str().unwrap();
        assert!(url.contains("/octo/tool/"), "{url}");
        assert!(!ticket.to_string().contains("octo/reactor"), "{ticket}");
    }
}
