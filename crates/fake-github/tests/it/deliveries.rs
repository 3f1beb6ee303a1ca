//! Webhooks: what is sent, what fails, and how it is found and sent again.

use std::collections::BTreeSet;

use fake_github::hooks::FakeHookOwner;
use reqwest::Method;
use serde_json::Value;

use crate::harness::{TOKEN, World, receiver};

fn guids(all: &[Value]) -> Vec<String> {
    all.iter()
        .map(|it| it["guid"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_hook_that_listens_hears_of_it_signed_and_with_one_guid() {
    let world = World::new().await;
    let (url, received) = receiver(&[]).await;
    let (repo, organization) = (world.repo, world.organization);
    world.github.change(|it| {
        it.install_app(organization, None);
        it.add_hook(FakeHookOwner::Repo(repo), &url, "s1", &["issues"]);
        it.add_hook(
            FakeHookOwner::Organization(organization),
            &url,
            "s2",
            &["*"],
        );
        it.add_hook(FakeHookOwner::App, &url, "s3", &["issues", "label"]);
        it.open_issue(repo, "one");
        it.create_label(repo, "p1", "ff0000");
        let project = it.create_project(organization, "Roadmap");
        it.add_draft(project, "later");
    });
    world.github.delivered().await;
    let received = received.lock().unwrap();
    let header = |at: usize, name: &str| received[at].0[name].to_str().unwrap().to_owned();
    let events = (0..received.len()).map(|at| {
        (
            header(at, "x-github-event"),
            header(at, "x-github-hook-installation-target-type"),
        )
    });
    let events: Vec<_> = events.collect();
    let of = |event: &str| {
        events
            .iter()
            .filter(|it| it.0 == event)
            .map(|it| &*it.1)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("ping").len(), 3);
    assert_eq!(of("issues"), ["repository", "organization", "integration"]);
    assert_eq!(of("label"), ["organization", "integration"]);
    assert_eq!(of("projects_v2"), ["organization"]);
    assert_eq!(of("projects_v2_item"), ["organization"]);
    let issues: Vec<_> = (0..received.len())
        .filter(|at| events[*at].0 == "issues")
        .collect();
    let ids: BTreeSet<_> = issues
        .iter()
        .map(|at| header(*at, "x-github-delivery"))
        .collect();
    assert_eq!(ids.len(), 1);
    assert!(
        issues
            .iter()
            .all(|at| header(*at, "x-hub-signature-256").starts_with("sha256="))
    );
    assert!(
        received[issues[2]].1["installation"]["id"].is_u64(),
        "the app is told through which installation"
    );
}

#[tokio::test]
async fn a_failed_delivery_stays_failed_until_it_is_sent_again_under_the_same_guid() {
    let world = World::new().await;
    let (url, received) = receiver(&[200, 500, 200]).await;
    let hook = world.github.change(|it| {
        let hook = it.add_hook(FakeHookOwner::Repo(world.repo), &url, "s", &["issues"]);
        it.open_issue(world.repo, "one");
        it.open_issue(world.repo, "two");
        hook
    });
    world.github.delivered().await;
    let path = format!("/repos/octo/reactor/hooks/{}/deliveries", hook.0);
    let list = world.walk(&path).await;
    let statuses: Vec<_> = list
        .iter()
        .map(|it| it["status_code"].as_u64().unwrap())
        .collect();
    assert_eq!(
        statuses,
        [200, 500, 200],
        "the newest first: two, one, ping"
    );
    assert_eq!(list[1]["status"], "Invalid HTTP Response: 500");
    let failed = world.walk(&format!("{path}?status=failure")).await;
    assert_eq!(guids(&failed), [guids(&list)[1].clone()]);

    let one = world.get(&format!("{path}/{}", failed[0]["id"])).await.body;
    assert_eq!(one["request"]["payload"]["issue"]["title"], "one");
    assert_eq!(
        one["request"]["headers"]["X-GitHub-Delivery"],
        failed[0]["guid"]
    );
    assert_eq!(one["response"]["payload"], "noted");

    let again = world
        .ask(
            Method::POST,
            &format!("{path}/{}/attempts", failed[0]["id"]),
            TOKEN,
            &[],
        )
        .await;
    assert_eq!(again.status, 202);
    world.github.delivered().await;
    let list = world.walk(&path).await;
    assert_eq!((list.len(), &list[0]["redelivery"]), (4, &true.into()));
    assert_eq!(list[0]["guid"], failed[0]["guid"]);
    assert_ne!(list[0]["id"], failed[0]["id"]);
    assert_eq!(received.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_receiver_that_is_down_is_remembered_for_three_days_and_a_lost_event_not_at_all() {
    let world = World::new().await;
    let hook = world.github.change(|it| {
        let hook = it.add_hook(
            FakeHookOwner::Repo(world.repo),
            "http://127.0.0.1:1/",
            "s",
            &["issues"],
        );
        it.open_issue(world.repo, "one");
        it.hooks.set_never_sends(hook, true);
        it.open_issue(world.repo, "never told");
        it.hooks.set_never_sends(hook, false);
        hook
    });
    world.github.delivered().await;
    let path = format!("/repos/octo/reactor/hooks/{}/deliveries", hook.0);
    let list = world.walk(&path).await;
    assert_eq!(
        (list.len(), &list[0]["status"]),
        (2, &"failed to connect".into())
    );
    // The ledger knows what happened, whatever was sent.
    let opened = world.github.change(|it| {
        it.ledger()
            .iter()
            .filter(|it| it.action == "opened")
            .map(|it| it.hooks)
            .collect::<Vec<_>>()
    });
    assert_eq!(opened, [1, 0]);
    world.pass(3 * 86_400);
    assert_eq!(world.walk(&path).await.len(), 2);
    world.pass(1);
    assert!(world.walk(&path).await.is_empty());
    let gone = world.get(&format!("{path}/{}", list[0]["id"])).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn the_list_is_complete_page_by_page_while_more_is_delivered() {
    let world = World::new().await;
    let (url, _) = receiver(&[]).await;
    let hook = world.github.change(|it| {
        let hook = it.add_hook(FakeHookOwner::Repo(world.repo), &url, "s", &["issues"]);
        (0..23).for_each(|n| {
            it.open_issue(world.repo, &format!("{n}"));
        });
        hook
    });
    world.github.delivered().await;
    let mut next = Some(format!(
        "/repos/octo/reactor/hooks/{}/deliveries?per_page=5",
        hook.0
    ));
    let mut seen = Vec::new();
    while let Some(url) = next {
        let page = world.get(&url).await;
        seen.extend(guids(page.body.as_array().unwrap()));
        next = page.next();
        world.github.change(|it| {
            it.open_issue(world.repo, "meanwhile");
        });
        world.github.delivered().await;
    }
    let unique: BTreeSet<_> = seen.iter().collect();
    assert_eq!(
        (seen.len(), unique.len()),
        (24, 24),
        "ping and the 23, none of what came meanwhile"
    );
}
