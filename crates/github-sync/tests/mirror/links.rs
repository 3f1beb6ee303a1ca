//! Sub-issues.

use ports::MirroredKind;
use serde_json::{Value, json};

use crate::world::{LONG, MirrorWorld, Replica};

const KIND: MirroredKind = MirroredKind::IssueLinks;

async fn sub_issues(replica: &Replica, number: u64) -> Option<Vec<Value>> {
    let links = replica.object(KIND, number).await?;
    let nodes = links["subIssues"]["nodes"].as_array().unwrap();
    Some(nodes.iter().map(|node| node["number"].clone()).collect())
}

#[tokio::test]
async fn an_issue_has_its_sub_issues_and_only_one_that_changed_is_asked_for() {
    let world = MirrorWorld::new().await;
    let issues = world.open_issues(5);
    world.github.change(|github| {
        github.add_sub_issue(issues[0], issues[1]);
        github.add_sub_issue(issues[0], issues[2]);
        github.add_sub_issue(issues[3], issues[4]);
    });
    world.clock.advance(LONG);
    let replica = world.mirrored().await;
    assert_eq!(sub_issues(&replica, 1).await.unwrap(), [json!(2), json!(3)]);
    assert_eq!(sub_issues(&replica, 4).await.unwrap(), [json!(5)]);
    assert_eq!(sub_issues(&replica, 2).await, None);
    world.clock.advance(LONG);
    let tally = replica.compare().await;
    assert_eq!(tally["points"], 0, "{tally}");
    world.github.change(|github| {
        github.remove_sub_issue(issues[0], issues[1]);
        github.remove_sub_issue(issues[3], issues[4]);
    });
    world.clock.advance(LONG);
    let tally = replica.compare().await;
    assert_eq!(tally["points"], 1, "{tally}");
    assert_eq!(sub_issues(&replica, 1).await.unwrap(), [json!(3)]);
    assert_eq!(sub_issues(&replica, 4).await, None);
    // The issue itself is found as before.
    assert!(replica.object(MirroredKind::Issue, 1).await.is_some());
}
