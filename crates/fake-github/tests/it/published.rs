//! Every answer of every route, and every payload, is one that GitHub describes.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use fake_github::{
    hooks::FakeHookOwner,
    server::GithubServer,
    world::{
        AccountKey, FakeFieldKind, FakeFieldValue, FakeIssueType, FakeReviewState, FakeWorld,
        RepoKey,
    },
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TOKEN, World, receiver};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Holds lines against what is published; what is wrong, a line each.
fn wrong(lines: &[Value]) -> String {
    let file = std::env::temp_dir().join(format!(
        "fake-github-answers-{}-{}",
        std::process::id(),
        lines.len()
    ));
    let text: String = lines.iter().map(|it| format!("{it}\n")).collect();
    fs::write(&file, text).unwrap();
    let node = root().join(".setup/bin/node");
    let script = root().join("tests/interop/github_answers.mjs");
    let output = Command::new(&node).arg(script).arg(&file).output();
    let output =
        output.unwrap_or_else(|error| panic!("{}: {error}: run `make setup`", node.display()));
    fs::remove_file(file).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(
        matches!(output.status.code(), Some(0 | 1)) && failed.is_empty(),
        "{failed}"
    );
    assert_eq!(output.status.success(), said.is_empty());
    said
}

/// A world in which everything has happened at least once.
async fn full() -> (World, u64, crate::harness::Received) {
    let world = World::new().await;
    let (url, received) = receiver(&[]).await;
    let (repo, organization) = (world.repo, world.organization);
    let installation = world.github.change(|it| {
        let installation = it.install_app(organization, Some(&[repo]));
        for owner in [
            FakeHookOwner::Repo(repo),
            FakeHookOwner::Organization(organization),
            FakeHookOwner::App,
        ] {
            it.add_hook(owner, &url, "s", &["*"]);
        }
        it.install_app(organization, None);
        live(it, repo, organization);
        installation
    });
    world.github.delivered().await;
    (world, installation, received)
}

fn change_code(it: &mut FakeWorld, repo: RepoKey, mira: AccountKey) {
    let pull = it.open_pull(repo, "change", ["topic", "main"]);
    let sha = it.push(pull);
    it.label(pull, "bug");
    it.assign(pull, mira);
    it.comment(pull, "Look at this.");
    it.set_draft(pull, true);
    it.set_draft(pull, false);
    it.request_review(pull, mira);
    it.withdraw_request(pull, mira);
    it.request_review(pull, mira);
    it.review(pull, FakeReviewState::ChangesRequested, "Not yet.");
    it.review(pull, FakeReviewState::Approved, "Now.");
    let check = it.start_check(repo, &sha, "build");
    it.complete_check(check, "success");
    it.set_status(repo, &sha, "deploy", "pending");
    let run = it.start_run(repo, "CI", "topic");
    it.complete_run(run, "success");
    it.start_run(repo, "CI", "main");
    it.move_base(repo, "main", &[]);
    let merged = it.open_pull(repo, "merged", ["done", "main"]);
    it.merge(merged);
    it.publish_release(repo, "v1.0.0");
}

fn live(it: &mut FakeWorld, repo: RepoKey, organization: AccountKey) {
    let mira = it.add_user("mira");
    let [one, two, three] = ["one", "two", "three"].map(|title| it.open_issue(repo, title));
    it.rewrite(one, "Another text.");
    it.retitle(one, "first");
    it.label(one, "bug");
    it.label(one, "needs a look");
    it.unlabel(one, "bug");
    it.assign(one, mira);
    it.assign(two, mira);
    it.unassign(two, mira);
    it.set_type(one, Some(FakeIssueType::Bug));
    it.set_type(two, Some(FakeIssueType::Task));
    it.set_type(two, None);
    let comment = it.comment(one, "Seen.");
    it.edit_comment(comment, "Seen twice.");
    it.add_sub_issue(one, two);
    it.add_sub_issue(one, three);
    it.remove_sub_issue(one, three);
    it.block(one, three);
    it.block(two, three);
    it.unblock(two, three);
    let milestone = it.create_milestone(repo, "v1");
    it.set_due(milestone, Some(it.now()));
    it.set_milestone(one, Some(milestone));
    it.set_milestone(two, Some(milestone));
    it.set_milestone(two, None);
    it.retitle_milestone(milestone, "v1.0");
    it.close_milestone(milestone, true);
    it.close_milestone(milestone, false);
    let gone = it.create_milestone(repo, "never");
    it.delete_milestone(gone);
    let gone = it.publish_release(repo, "v0.1.0");
    it.edit_release(gone, "What is really new.", true);
    it.delete_release(gone);
    it.set_issues(repo, false);
    it.set_issues(repo, true);
    it.close(two, "not_planned");
    it.close(three, "completed");
    it.reopen(three);
    let gone = it.open_issue(repo, "gone");
    it.delete_issue(gone);
    let label = it.create_label(repo, "old", "cccccc");
    it.edit_label(label, "older", "dddddd");
    it.delete_label(label);
    change_code(it, repo, mira);
    let other = it.create_repo(organization, "archive");
    let moved = it.open_issue(repo, "elsewhere");
    it.transfer_issue(moved, other);
    let project = it.create_project(organization, "Roadmap");
    it.describe_project(project, "What comes next");
    let sprint = it.fresh_iteration("Sprint 1", "2026-11-23", 14);
    let id = sprint.id.clone();
    let sprints = FakeFieldKind::Iteration {
        duration_days: 14,
        active: vec![sprint],
        completed: Vec::new(),
    };
    it.set_field(project, "Sprint", sprints);
    let item = it.add_item(project, one);
    it.set_value(item, "Sprint", Some(FakeFieldValue::Iteration(id)));
    let draft = it.add_draft(project, "later");
    it.archive_item(draft, true);
    it.archive_item(draft, false);
    it.delete_item(draft);
    it.close_project(project, true);
    it.close_project(project, false);
    it.rename_repo(repo, "engine");
    it.rename_repo(repo, "reactor");
}

/// A path of a route that has an answer.
fn path(template: &str, ids: &[(&str, String)]) -> String {
    ids.iter().fold(template.to_owned(), |path, (name, value)| {
        path.replace(&format!("{{{name}}}"), value)
    })
}

#[tokio::test]
async fn every_answer_of_every_route_is_one_that_github_describes() {
    let (world, installation, _) = full().await;
    let claims = crate::app::claims_of(&world);
    let issue = format!("/app/installations/{installation}/access_tokens");
    let token = world.ask(Method::POST, &issue, &claims, &[]).await;
    let token = token.body["token"].as_str().unwrap().to_owned();
    let sha = world
        .github
        .change(|it| it.repo(world.repo).unwrap().branches["topic"].clone());
    let mut lines = Vec::new();
    for (method, template) in GithubServer::routes() {
        for version in ["2022-11-28", "2026-03-10"] {
            let bearer = match template {
                it if it.starts_with("/app") || it.ends_with("/installation") => &claims,
                it if it.starts_with("/installation") => &token,
                _ => TOKEN,
            };
            let hooks = template.split("/deliveries").next().unwrap();
            let hooks = hooks.split("/{hook_id}").next().unwrap();
            let mut ids = vec![
                ("owner", "octo".to_owned()),
                ("repo", "reactor".to_owned()),
                ("org", "octo".to_owned()),
                ("ref", sha.clone()),
                ("installation_id", installation.to_string()),
                ("issue_number", number(template).to_string()),
                ("pull_number", "5".to_owned()),
                ("username", "octo".to_owned()),
            ];
            if template.contains("{hook_id}") {
                let hook = world.get(&path(hooks, &ids)).await.body[0]["id"].to_string();
                ids.push(("hook_id", hook));
            }
            if template.contains("{delivery_id}") {
                let list = template.split("/{delivery_id}").next().unwrap();
                let list = world.ask(Method::GET, &path(list, &ids), bearer, &[]).await;
                ids.push(("delivery_id", list.body[0]["id"].to_string()));
            }
            let path = path(template, &ids);
            let query = if path.ends_with('s') {
                "?state=all&per_page=100"
            } else {
                ""
            };
            let headers = [("x-github-api-version", version)];
            let method_of = Method::from_bytes(method.as_bytes()).unwrap();
            let said = world
                .ask(method_of, &format!("{path}{query}"), bearer, &headers)
                .await;
            assert!(
                (200..300).contains(&said.status),
                "{method} {path}: {} {}",
                said.status,
                said.body
            );
            let is_empty = said.body.as_array().is_some_and(Vec::is_empty);
            assert!(
                !is_empty,
                "{method} {path} shows nothing, so nothing is checked"
            );
            lines.push(
                json!({ "method": method, "route": template, "status": said.status,
                "version": version, "body": said.body }),
            );
        }
    }
    assert_eq!(wrong(&lines), "");
}

/// An issue that has what the route is about.
fn number(template: &str) -> u64 {
    match template {
        it if it.ends_with("/parent") => 2,
        it if it.ends_with("/blocking") => 3,
        _ => 1,
    }
}

#[tokio::test]
async fn every_payload_is_one_that_github_describes() {
    let (_, _, received) = full().await;
    let received = received.lock().unwrap();
    let payload = |(headers, body): &(axum::http::HeaderMap, Value)| json!({ "event": headers["x-github-event"].to_str().unwrap(), "payload": body });
    let lines: Vec<_> = received.iter().map(payload).collect();
    let kinds: BTreeSet<_> = lines
        .iter()
        .map(|it| (it["event"].to_string(), it["payload"]["action"].to_string()))
        .collect();
    assert!(kinds.len() > 45, "{}", kinds.len());
    assert_eq!(wrong(&lines), "");
}

#[test]
fn what_github_would_not_say_is_found() {
    let lines = [
        json!({ "method": "GET", "route": "/repos/{owner}/{repo}/labels", "status": 200, "version": "2022-11-28",
            "body": [{ "id": "1", "shade": 3 }] }),
        json!({ "method": "GET", "route": "/repos/{owner}/{repo}/shoes", "status": 200, "version": "2022-11-28", "body": [] }),
        json!({ "method": "GET", "route": "/rate_limit", "status": 200, "version": "2026-03-10",
            "body": { "resources": {}, "rate": {} } }),
        json!({ "event": "issues", "payload": { "action": "opened" } }),
        json!({ "event": "issues", "payload": { "action": "sung" } }),
    ];
    let wrong = wrong(&lines);
    for part in [
        "/0/id must be integer",
        "\"shade\"",
        "{repo}/shoes 200",
        "\"rate\"",
        "payload issues-opened",
        "no such webhook",
    ] {
        assert!(wrong.contains(part), "{part}: {wrong}");
    }
}
