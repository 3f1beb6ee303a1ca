//! Names whose ids no event has shown: what the mirror knew of them first is what they mean, in its lists and in events.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use fake_github::world::RepoKey;
use reqwest::Url;
use serde_json::json;
use testkit::cluster::{System, SystemKind};
use tests::{every_node_is_ready, log_lines, only, until};

use super::{
    plan,
    renames::restart_edges,
    world::{TokenFile, World},
};
use crate::mirror::{MirroredGithub, until_whole};

/// The token of whoever named the repository before it was renamed.
const BEFORE: &str = "the-token-of-whoever-named-it-before-any-event";
/// The token of whoever named the one that has the name by now.
const AFTER: &str = "the-token-of-whoever-named-it-when-another-had-it";
/// The token of whoever sees everything.
const ALL: &str = "the-token-of-whoever-sees-everything-mirrored";
const TOOL: &str = "repositories = [\"octo-mirror/tool\"]";
const OWNER: &str = "octo-mirror";
/// What the issues of the repository say that a token named before any event.
const FIRST: &str = "It is slow";
/// What those of the repository say that takes its name.
const SECOND: &str = "Nobody else may read this";

/// What the mirror shows of a repository: lists, searches, single reads, resources and prompts, as text.
async fn mirrored(world: &World, edge: &Url, token: &str, repo: &str) -> Result<String> {
    let mut text = String::new();
    let of_repo = json!({ "owner": OWNER, "repo": repo });
    let mut one = of_repo.clone();
    (one["method"], one["issue_number"]) = (json!("get"), json!(1));
    let search = json!({ "query": format!("repo:{OWNER}/{repo}") });
    for (name, arguments) in [
        ("list_issues", of_repo.clone()),
        ("issue_read", one),
        ("search_issues", search),
    ] {
        text += &world.tool(edge, token, name, arguments).await?;
    }
    let resource = json!({ "uri": format!("github://issues/{OWNER}/{repo}/1") });
    text += &world.call(edge, token, "resources/read", resource).await?;
    let prompt = json!({ "name": "stand_up", "arguments": of_repo });
    text += &world.call(edge, token, "prompts/get", prompt).await?;
    Ok(text)
}

async fn recent(world: &World, edge: &Url, token: &str) -> Result<String> {
    world.get(edge, token, "/events/recent?limit=100").await
}

/// Waits until an edge shows a text of a repository to a token.
async fn until_shown(world: &World, token: &str, repo: &str, text: &str) -> Result<()> {
    for edge in &world.edges {
        let shown = until("the edge shows it", async || {
            let found = mirrored(world, edge, token, repo).await;
            found.is_ok_and(|found| found.contains(text))
        });
        shown
            .await
            .with_context(|| format!("{edge}: {text} to {token}"))?;
    }
    Ok(())
}

/// Every edge has learned whose the name is.
async fn until_learned(system: &mut System) -> Result<()> {
    let dir = system.cluster().dir().to_owned();
    let edges: BTreeSet<_> = system.edges().iter().collect();
    until("every edge knows whose the name is", async || {
        let lines = log_lines(&dir);
        let learned = lines
            .iter()
            .filter(|line| line.contains("the mirror knows the id of a name"));
        learned.count() >= edges.len()
    })
    .await
}

/// Another repository takes the name, and GitHub tells nobody.
fn takes_the_name(github: &MirroredGithub) -> RepoKey {
    github.server.change(|world| {
        world.rename_repo(github.repo, "engine");
        let taker = world.create_repo(github.owner, "tool");
        world.open_issue(taker, SECOND);
        taker
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_means_the_repository_that_the_mirror_knew_first_though_no_event_told_of_it()
-> Result<()> {
    for kind in SystemKind::ALL {
        let (github, file) = (MirroredGithub::start(182).await?, TokenFile::new()?);
        let tokens = plan(&file);
        let both = |under| {
            // Under its new name, too: GitHub says which one that is.
            let places = json!(["octo-mirror/tool", "octo-mirror/engine"]).to_string();
            let under = github.mirrored(tokens(under));
            under.with_env("FORGEWIRE_SYNC__REPOSITORIES", &places)
        };
        only(kind, both, async |system| {
            means_the_first(system, &github, &file).await
        })
        .await?;
    }
    Ok(())
}

async fn means_the_first(
    system: &mut System,
    github: &MirroredGithub,
    file: &TokenFile,
) -> Result<()> {
    let tokens = [(BEFORE, "before", TOOL), (ALL, "all", "")];
    file.write(&tokens)?;
    every_node_is_ready(system).await?;
    until_whole(system).await?;
    let world = World::of(system);
    until_shown(&world, BEFORE, "tool", FIRST).await?;
    until_learned(system).await?;

    let taker = takes_the_name(github);
    until_shown(&world, ALL, "tool", SECOND).await?;
    let more = [&tokens[..], &[(AFTER, "after", TOOL)]].concat();
    file.write(&more)?;
    until_shown(&world, AFTER, "tool", SECOND).await?;
    until_shown(&world, BEFORE, "engine", FIRST).await?;
    // Something happens there: no webhook tells of it, and the comparison makes an event.
    github
        .server
        .change(|world| world.open_issue(taker, &format!("{SECOND} (2)")));
    for is_restarted in [false, true] {
        if is_restarted {
            restart_edges(system).await?;
        }
        for edge in &world.edges {
            let told = until(
                "the edge shows the event of the taker to whoever named it",
                async || {
                    let found = recent(&world, edge, AFTER).await;
                    found.is_ok_and(|found| found.contains(SECOND))
                },
            );
            told.await?;
            let text = mirrored(&world, edge, BEFORE, "tool").await?;
            let text = text + &recent(&world, edge, BEFORE).await?;
            ensure!(!text.contains(SECOND), "{edge}: {text}");
            let text = mirrored(&world, edge, BEFORE, "engine").await?;
            ensure!(text.contains(FIRST), "{edge}: {text}");
            let text = mirrored(&world, edge, AFTER, "tool").await?;
            ensure!(text.contains(SECOND), "{edge}: {text}");
            let text = mirrored(&world, edge, AFTER, "engine").await?;
            ensure!(!text.contains(FIRST), "{edge}: {text}");
        }
    }
    Ok(())
}
