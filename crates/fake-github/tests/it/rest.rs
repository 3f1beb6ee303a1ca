//! What REST answers: pages, tags, versions, names that change, and what nobody may see.

use std::collections::BTreeSet;

use fake_github::server::FakeFault;
use reqwest::Method;
use serde_json::json;

use crate::harness::{TOKEN, World};

const ISSUES: &str = "/repos/octo/reactor/issues";

fn numbers(all: &[serde_json::Value]) -> Vec<u64> {
    all.iter()
        .map(|it| it["number"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_walk_by_cursor_sees_every_issue_although_they_change_under_it() {
    let world = World::new().await;
    let keys: Vec<_> = (0..25)
        .map(|n| {
            world.pass(1);
            world
                .github
                .change(|it| it.open_issue(world.repo, &format!("issue {n}")))
        })
        .collect();
    let path = format!("{ISSUES}?state=all&sort=updated&direction=asc&per_page=4");
    let (mut seen, mut next, mut turn) = (BTreeSet::new(), Some(path), 0);
    while let Some(url) = next {
        let page = world.get(&url).await;
        seen.extend(numbers(page.body.as_array().unwrap()));
        next = page.next();
        // What was read already and what was not both change; the walk ends all the same.
        if turn < 5 {
            world.pass(1);
            world.github.change(|it| it.label(keys[turn], "bug"));
            world
                .github
                .change(|it| it.close(keys[20 + turn], "completed"));
        }
        turn += 1;
    }
    assert_eq!(seen, (1..=25).collect());
}

#[tokio::test]
async fn pages_by_number_are_complete_and_say_which_is_the_last() {
    let world = World::new().await;
    world.github.change(|it| {
        (0..9).for_each(|n| {
            it.create_label(world.repo, &format!("l{n}"), "ffffff");
        });
    });
    let first = world.get("/repos/octo/reactor/labels?per_page=4").await;
    assert!(
        first.header("link").contains("rel=\"last\"") && first.header("link").contains("page=3")
    );
    assert!(
        first.header("link").contains("/repositories/"),
        "links name the repository by its id"
    );
    let all = world.walk("/repos/octo/reactor/labels?per_page=4").await;
    let names: BTreeSet<_> = all.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!((all.len(), names.len()), (11, 11));
    // More than a hundred are never given.
    world.github.change(|it| {
        (0..120).for_each(|n| {
            it.open_issue(world.repo, &format!("{n}"));
        });
    });
    let page = world.get(&format!("{ISSUES}?per_page=500")).await;
    assert_eq!(page.body.as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn lists_have_an_order_and_pages_by_number_where_there_is_no_cursor() {
    let world = World::new().await;
    for n in 0..3 {
        world.pass(1);
        world.github.change(|it| {
            it.create_repo(world.organization, ["c", "a", "b"][n]);
            let id = it.create_milestone(world.repo, &format!("{n}"));
            let due = it
                .now()
                .plus(std::time::Duration::from_secs(100 - 10 * n as u64));
            it.set_due(id, (n > 0).then_some(due));
            it.open_issue(world.repo, &format!("{n}"));
        });
    }
    let names = async |query: &str| -> Vec<String> {
        let all = world
            .walk(&format!("/orgs/octo/repos?per_page=2{query}"))
            .await;
        let all = all.iter().map(|it| it["name"].as_str().unwrap().to_owned());
        all.collect()
    };
    assert_eq!(names("").await, ["b", "a", "c", "reactor"]);
    assert_eq!(
        names("&sort=created&direction=asc").await,
        ["reactor", "c", "a", "b"]
    );
    assert_eq!(names("&sort=full_name").await, ["a", "b", "c", "reactor"]);
    let milestones = world.walk("/repos/octo/reactor/milestones").await;
    assert_eq!(
        numbers(&milestones),
        [3, 2, 1],
        "the one that is never due comes last"
    );
    for (base, has_cursor) in [("", true), ("/api/v3", false)] {
        let page = world.get(&format!("{base}{ISSUES}?per_page=2")).await;
        let next = page.next().unwrap();
        assert_eq!(next.contains("after="), has_cursor, "{next}");
        assert!(next.contains("page=2"));
    }
}

#[tokio::test]
async fn issues_that_are_turned_off_are_gone_until_they_are_turned_on() {
    let world = World::new().await;
    world.github.change(|it| {
        it.open_issue(world.repo, "one");
        it.set_issues(world.repo, false);
    });
    let gone = world.get(ISSUES).await;
    assert_eq!(gone.status, 410, "{}", gone.body);
    assert_eq!(
        world.get("/repos/octo/reactor").await.body["has_issues"],
        false
    );
    assert_eq!(world.get(&format!("{ISSUES}/1")).await.status, 410);
    let query = "{ repository(owner: \"octo\", name: \"reactor\") { hasIssuesEnabled issues(first: 1) { totalCount } } }";
    let shown = async || world.graphql(query, json!({})).await.body["data"]["repository"].take();
    let none = json!({ "hasIssuesEnabled": false, "issues": { "totalCount": 0 } });
    assert_eq!(shown().await, none);
    world.github.change(|it| it.set_issues(world.repo, true));
    assert_eq!(world.walk(ISSUES).await.len(), 1);
    let one = json!({ "hasIssuesEnabled": true, "issues": { "totalCount": 1 } });
    assert_eq!(shown().await, one);
}

#[tokio::test]
async fn issues_are_filtered_by_state_since_and_label() {
    let world = World::new().await;
    let [old, new] = world
        .github
        .change(|it| ["old", "new"].map(|title| it.open_issue(world.repo, title)));
    world.pass(100);
    world.github.change(|it| {
        it.label(new, "bug");
        it.close(old, "not_planned");
    });
    let list = async |query: &str| numbers(&world.walk(&format!("{ISSUES}?{query}")).await);
    assert_eq!(list("").await, [2]);
    assert_eq!(list("state=closed").await, [1]);
    assert_eq!(list("state=all&labels=bug").await, [2]);
    assert_eq!(
        list("state=all&since=2026-11-30T12:00:01Z&direction=asc").await,
        [1, 2]
    );
    assert!(
        list("state=all&since=2026-11-30T13:00:00Z")
            .await
            .is_empty()
    );
    let one = world.get(&format!("{ISSUES}/1")).await.body;
    assert_eq!(
        (&one["state"], &one["state_reason"]),
        (&"closed".into(), &"not_planned".into())
    );
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_and_costs_nothing() {
    let world = World::new().await;
    let key = world.github.change(|it| it.open_issue(world.repo, "one"));
    let path = format!("{ISSUES}/1");
    let first = world.get(&path).await;
    let (tag, changed) = (
        first.header("etag").to_owned(),
        first.header("last-modified").to_owned(),
    );
    let before = world.github.points();
    for known in [
        ("if-none-match", tag.as_str()),
        ("if-modified-since", changed.as_str()),
    ] {
        let same = world.get_with(&path, &[known]).await;
        assert_eq!(
            (same.status, same.header("x-ratelimit-used")),
            (304, first.header("x-ratelimit-used"))
        );
    }
    assert_eq!(
        (world.github.points(), world.github.not_modified()),
        (before, 2)
    );

    world.pass(1);
    world.github.change(|it| it.retitle(key, "another"));
    let changed = world.get_with(&path, &[("if-none-match", &tag)]).await;
    assert_eq!(
        (changed.status, &changed.body["title"]),
        (200, &"another".into())
    );
    assert_eq!(world.github.points(), before + 1);
}

#[tokio::test]
async fn each_version_has_its_shape_and_an_unknown_one_is_refused() {
    let world = World::new().await;
    world.github.change(|it| {
        let key = it.open_pull(world.repo, "one", ["topic", "main"]);
        let user = it.add_user("mira");
        it.assign(key, user);
    });
    let version = async |path: &str, version: &str| {
        world
            .get_with(path, &[("x-github-api-version", version)])
            .await
    };
    let pull = "/repos/octo/reactor/pulls/1";
    let first = version(pull, "2022-11-28").await.body;
    assert!(first["assignee"]["login"] == "mira" && first.get("merge_commit_sha").is_some());
    let second = version(pull, "2026-03-10").await;
    assert_eq!(second.header("x-github-api-version-selected"), "2026-03-10");
    assert!(second.body.get("assignee").is_none() && second.body.get("merge_commit_sha").is_none());
    assert_eq!(second.body["assignees"][0]["login"], "mira");
    assert!(
        version("/rate_limit", "2026-03-10")
            .await
            .body
            .get("rate")
            .is_none()
    );
    assert!(
        version("/rate_limit", "2022-11-28")
            .await
            .body
            .get("rate")
            .is_some()
    );
    let refused = version(pull, "2021-01-01").await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.body["message"]
            .as_str()
            .unwrap()
            .contains("is not a supported version")
    );
}

#[tokio::test]
async fn a_renamed_repository_redirects_by_its_id_and_a_private_one_is_not_there() {
    let world = World::new().await;
    world.github.change(|it| {
        it.open_issue(world.repo, "one");
        it.rename_repo(world.repo, "engine");
    });
    let moved = world.get(&format!("{ISSUES}/1")).await;
    assert_eq!(moved.status, 301);
    assert_eq!(
        moved.header("location"),
        moved.body["url"].as_str().unwrap()
    );
    let there = world.get(moved.header("location")).await;
    assert_eq!((there.status, &there.body["title"]), (200, &"one".into()));
    let moved = world.get(&format!("{ISSUES}?state=all&per_page=7")).await;
    let there = moved.header("location");
    assert!(
        there.contains("per_page=7") && there.contains("state=all"),
        "{there}"
    );
    world.github.change(|it| {
        let user = it.add_user("mira");
        it.transfer_repo(world.repo, user);
    });
    assert_eq!(world.get("/repos/octo/engine").await.status, 301);
    assert_eq!(world.get("/repos/mira/engine").await.status, 200);

    world.github.change(|it| it.set_private(world.repo, true));
    assert_eq!(world.get("/repos/mira/engine").await.status, 200);
    assert_eq!(
        world
            .ask(Method::GET, "/repos/mira/engine", "", &[])
            .await
            .status,
        404
    );
    assert_eq!(world.get("/repos/octo/nothing").await.status, 404);
}

#[tokio::test]
async fn a_server_of_an_enterprise_has_the_same_below_its_prefix() {
    let world = World::new().await;
    world.github.change(|it| {
        (0..3).for_each(|n| {
            it.open_issue(world.repo, &format!("{n}"));
        });
    });
    let path = format!("{}{ISSUES}?per_page=2", world.github.enterprise_url());
    let page = world.get(&path).await;
    assert!(
        page.next().unwrap().contains("/api/v3/repositories/"),
        "{}",
        page.header("link")
    );
    assert_eq!(world.walk(&path).await.len(), 3);
    let body = serde_json::json!({ "query": "{ rateLimit { cost } }" });
    let url = format!("{}/api/graphql", world.github.url());
    let answer = world
        .http
        .post(url)
        .bearer_auth(TOKEN)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn whether_a_pull_request_can_be_merged_is_known_when_it_is_asked_the_second_time() {
    let world = World::new().await;
    let key = world
        .github
        .change(|it| it.open_pull(world.repo, "one", ["topic", "main"]));
    let mergeable =
        async || world.get("/repos/octo/reactor/pulls/1").await.body["mergeable"].clone();
    assert_eq!(
        [mergeable().await, mergeable().await],
        [serde_json::Value::Null, true.into()]
    );
    world
        .github
        .change(|it| it.move_base(world.repo, "main", &[key]));
    assert_eq!(
        [mergeable().await, mergeable().await],
        [serde_json::Value::Null, false.into()]
    );
}

#[tokio::test]
async fn faults_come_as_often_as_planned_and_then_the_truth() {
    let world = World::new().await;
    world
        .github
        .break_next("/issues", FakeFault::Status(502), 2);
    for expected in [502, 502, 200] {
        assert_eq!(world.get(ISSUES).await.status, expected);
    }
    world.github.break_next("/issues", FakeFault::BadJson, 1);
    assert!(world.get(ISSUES).await.body.is_string());
    world.github.break_next("/issues", FakeFault::CutBody, 1);
    let url = format!("{}{ISSUES}?cut", world.github.url());
    let cut = world.http.get(url).bearer_auth(TOKEN).send().await.unwrap();
    assert!(cut.bytes().await.is_err());
    world
        .github
        .break_next("/issues", FakeFault::Unauthorized, 1);
    assert_eq!(world.get(ISSUES).await.status, 401);
    world.github.revoke(TOKEN);
    assert_eq!(world.get(ISSUES).await.status, 401);
    assert_eq!(world.github.faults_left(), 0);
}
