//! Repositories that are renamed, transferred, and made anew under a former name, while clients read and edges
//! restart: what tokens and filters named goes on with its id.

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use serde_json::{Value, json};
use testkit::{
    cluster::{System, SystemKind, SystemNode},
    sse::{self, SseStream},
};
use tests::{only, until};

use crate::readiness::redis_does;

use super::{
    OWNER, plan,
    world::{TokenFile, World, text_until},
};

/// The token of whoever named the repository before it was renamed.
const BEFORE: &str = "the-token-of-whoever-named-it-before-the-rename";
/// The token of whoever named the repository that took the former name.
const AFTER: &str = "the-token-of-whoever-named-it-after-the-rename";
/// The token of whoever sees everything of the owner.
const WHOLE: &str = "the-token-of-whoever-sees-the-whole-owner";
const ROCKET: &str = "repositories = [\"acme/rocket\"]";
/// Ids of the owners, and of both repositories.
const ACME: u64 = 5;
const OCTO: u64 = 6;
const FIRST: u64 = 101;
const SECOND: u64 = 102;

fn repository(owner: (&str, u64), repo: &str, id: u64) -> Value {
    json!({ "id": id, "node_id": format!("R_{id}"), "name": repo, "private": true,
        "full_name": format!("{}/{repo}", owner.0), "owner": { "id": owner.1, "login": owner.0 } })
}

/// What the newest events show to a token, on this edge.
async fn recent(world: &World, edge: &Url, token: &str, filter: &str) -> Result<String> {
    let path = format!("/events/recent?limit=100&{filter}");
    world.get(edge, token, &path).await
}

/// Every edge shows these marks to a token, and none of those.
async fn shows(
    world: &World,
    (token, filter): (&str, &str),
    shown: &[&String],
    hidden: &[&String],
) -> Result<()> {
    for edge in &world.edges {
        let mut text = String::new();
        let complete = until("the edge shows all that the token may see", async || {
            text = recent(world, edge, token, filter).await.unwrap_or_default();
            shown.iter().all(|mark| text.contains(*mark))
        });
        complete.await.with_context(|| {
            format!("{edge} for {token} with {filter:?}, not all of {shown:?}: {text}")
        })?;
        for mark in hidden {
            ensure!(
                !text.contains(*mark),
                "{token} with {filter:?} sees {mark}: {text}"
            );
        }
    }
    Ok(())
}

/// Every edge has read the token.
async fn is_known(world: &World, token: &str) -> Result<()> {
    let known = until("the token file is read", async || {
        let mut answers = Vec::new();
        for edge in &world.edges {
            answers.push(recent(world, edge, token, "").await.unwrap_or_default());
        }
        answers.iter().all(|answer| answer.contains("\"events\""))
    });
    known.await
}

/// The stream of what had this name when it was opened.
async fn by_old_name(edge: &Url, filter: &str) -> Result<SseStream> {
    let url = edge.join(&format!("/events/stream?{filter}"))?;
    let headers = World::headers(WHOLE, "text/event-stream");
    Ok(sse::open(&url, headers).await?)
}

pub(super) async fn restart_edges(system: &mut System) -> Result<()> {
    let edges = match system.kind() {
        SystemKind::Cluster => 3,
        SystemKind::Embedded => 1,
    };
    for edge in 0..edges {
        let _ = system.kill(SystemNode::Edge(edge))?;
    }
    for edge in 0..edges {
        let _ = system.restart(SystemNode::Edge(edge)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_named_goes_on_with_its_id_and_a_former_name_is_that_of_another() -> Result<()> {
    for kind in SystemKind::ALL {
        // A token that a system knows from its start has been granted its names before everything else.
        let file = TokenFile::new()?;
        only(kind, plan(&file), async |system| {
            goes_on(system, &file).await
        })
        .await?;
    }
    Ok(())
}

async fn goes_on(system: &mut System, file: &TokenFile) -> Result<()> {
    let tokens = [
        (BEFORE, "before", ROCKET),
        (WHOLE, "whole", "owners = [\"acme\"]"),
    ];
    file.write(&tokens)?;
    let world = World::of(system);
    let acme = (OWNER, ACME);
    // The token is known before the first event, or this one shows nothing.
    is_known(&world, BEFORE).await?;
    let mut stream = by_old_name(&world.edges[0], "owner=acme&repo=rocket").await?;
    let first = world.happens_in(repository(acme, "rocket", FIRST)).await?;
    text_until(&mut stream, &first).await?;
    shows(&world, (BEFORE, ""), &[&first], &[]).await?;

    // The rename in the middle of the stream: none is lost, and none comes twice.
    let changes = json!({ "repository": { "name": { "from": "rocket" } } });
    let missile = repository(acme, "missile", FIRST);
    let rename = world.moves("renamed", changes, missile).await?;
    let moved = world.happens_in(repository(acme, "missile", FIRST)).await?;
    let text = text_until(&mut stream, &moved).await?;
    for mark in [&rename, &moved] {
        ensure!(text.matches(mark.as_str()).count() >= 1, "{mark}: {text}");
    }
    let frames = text.matches("resourceId").count();
    ensure!(
        frames == 2 && !text.contains(&first),
        "each event once: {text}"
    );
    shows(&world, (BEFORE, ""), &[&first, &rename, &moved], &[]).await?;
    let former = "owner=acme&repo=rocket";
    shows(&world, (WHOLE, former), &[&first, &rename, &moved], &[]).await?;

    // Another repository takes the name, and a token is made for it.
    let taken = world.happens_in(repository(acme, "rocket", SECOND)).await?;
    let more = [&tokens[..], &[(AFTER, "after", ROCKET)]].concat();
    file.write(&more)?;
    is_known(&world, AFTER).await?;
    let old = [&first, &rename, &moved];
    for is_restarted in [false, true] {
        if is_restarted {
            restart_edges(system).await?;
        }
        shows(&world, (BEFORE, ""), &old, &[&taken]).await?;
        shows(&world, (AFTER, ""), &[&taken], &old).await?;
        shows(&world, (WHOLE, former), &[&taken], &old).await?;
        shows(&world, (WHOLE, "owner=acme&repo=missile"), &old, &[&taken]).await?;
    }

    // It leaves its owner: whoever named the repository goes with it, and whoever saw the owner learns it.
    let changes =
        json!({ "owner": { "from": { "organization": { "login": "acme", "id": ACME } } } });
    let moved_away = repository(("octo", OCTO), "missile", FIRST);
    let transfer = world.moves("transferred", changes, moved_away).await?;
    let away = world
        .happens_in(repository(("octo", OCTO), "missile", FIRST))
        .await?;
    shows(&world, (BEFORE, ""), &[&transfer, &away], &[&taken]).await?;
    let end = world.happens_in(repository(acme, "rocket", SECOND)).await?;
    shows(&world, (WHOLE, ""), &[&transfer, &end], &[&away]).await?;
    shows(&world, (AFTER, ""), &[&taken, &end], &[&transfer, &away]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_that_is_renamed_goes_on_with_its_id() -> Result<()> {
    for kind in SystemKind::ALL {
        let file = TokenFile::new()?;
        only(kind, plan(&file), async |system| {
            owner_goes_on(system, &file).await
        })
        .await?;
    }
    Ok(())
}

async fn owner_goes_on(system: &mut System, file: &TokenFile) -> Result<()> {
    const OTHER_ORGANIZATION: u64 = 7;
    let whole = "owners = [\"acme\"]";
    let tokens = [(BEFORE, "before", ROCKET), (WHOLE, "whole", whole)];
    file.write(&tokens)?;
    let world = World::of(system);
    is_known(&world, BEFORE).await?;
    let mut stream = by_old_name(&world.edges[0], "owner=acme").await?;
    let rocket = |owner| repository(owner, "rocket", FIRST);
    let first = world.happens_in(rocket((OWNER, ACME))).await?;
    text_until(&mut stream, &first).await?;
    shows(&world, (BEFORE, ""), &[&first], &[]).await?;
    shows(&world, (WHOLE, ""), &[&first], &[]).await?;

    let rename = world.renames_owner("acme", ("apex", ACME)).await?;
    let moved = world.happens_in(rocket(("apex", ACME))).await?;
    let text = text_until(&mut stream, &moved).await?;
    let frames = text.matches("resourceId").count();
    ensure!(
        frames == 2 && text.contains(&rename),
        "each event once: {text}"
    );
    let all = [&first, &rename, &moved];
    shows(&world, (WHOLE, ""), &all, &[]).await?;
    shows(&world, (WHOLE, "owner=acme"), &all, &[]).await?;
    shows(&world, (BEFORE, ""), &[&first, &moved], &[]).await?;

    // Another organization takes the name, with a repository of the same name.
    let other = repository((OWNER, OTHER_ORGANIZATION), "rocket", SECOND);
    let taken = world.happens_in(other).await?;
    let more = [&tokens[..], &[(AFTER, "after", whole)]].concat();
    file.write(&more)?;
    is_known(&world, AFTER).await?;
    for is_restarted in [false, true] {
        if is_restarted {
            restart_edges(system).await?;
        }
        shows(&world, (WHOLE, ""), &all, &[&taken]).await?;
        shows(&world, (BEFORE, ""), &[&first, &moved], &[&taken]).await?;
        shows(&world, (AFTER, ""), &[&taken], &all).await?;
        shows(&world, (AFTER, "owner=acme"), &[&taken], &all).await?;
    }
    Ok(())
}

/// What a token reads under a URI, on every edge: a state with this mark, or nothing.
async fn reads(world: &World, token: &str, uri: &str, shown: Option<&String>) -> Result<()> {
    for edge in &world.edges {
        let params = json!({ "uri": uri });
        let text = world.call(edge, token, "resources/read", params).await?;
        match shown {
            Some(mark) => ensure!(text.contains(mark), "{edge}: {uri} is not {mark}: {text}"),
            None => ensure!(!text.contains("mark-"), "{edge} shows {uri}: {text}"),
        }
    }
    Ok(())
}

/// What the prompt for issue 7 of a repository of `acme` shows to a token.
async fn triage(world: &World, edge: &Url, token: &str, repo: &str) -> Result<String> {
    let arguments = json!({ "owner": "acme", "repo": repo, "number": "7" });
    let params = json!({ "name": "triage_event", "arguments": arguments });
    world.call(edge, token, "prompts/get", params).await
}

/// GitHub tells of no rename here: a name is that of another one all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_under_a_name_is_judged_by_its_id_though_nothing_told_of_a_change()
-> Result<()> {
    for kind in SystemKind::ALL {
        let file = TokenFile::new()?;
        only(kind, plan(&file), async |system| {
            made_anew(system, &file).await
        })
        .await?;
    }
    Ok(())
}

async fn made_anew(system: &mut System, file: &TokenFile) -> Result<()> {
    let tokens = [
        (BEFORE, "before", ROCKET),
        (WHOLE, "whole", "owners = [\"acme\"]"),
    ];
    file.write(&tokens)?;
    let world = World::of(system);
    is_known(&world, BEFORE).await?;
    let uri = "github://issues/acme/rocket/7";
    let acme = (OWNER, ACME);
    let first = world.happens_in(repository(acme, "rocket", FIRST)).await?;
    shows(&world, (BEFORE, ""), &[&first], &[]).await?;
    shows(&world, (WHOLE, ""), &[&first], &[]).await?;
    reads(&world, BEFORE, uri, Some(&first)).await?;

    // The repository is deleted, and made anew under its name.
    let deleted = repository(acme, "rocket", FIRST);
    let _ = world.moves("deleted", Value::Null, deleted).await?;
    let created = repository(acme, "rocket", SECOND);
    let _ = world.moves("created", Value::Null, created).await?;
    reads(&world, WHOLE, uri, None).await?;
    let taken = world.happens_in(repository(acme, "rocket", SECOND)).await?;
    shows(&world, (WHOLE, ""), &[&first, &taken], &[]).await?;
    for is_restarted in [false, true] {
        if is_restarted {
            restart_edges(system).await?;
        }
        shows(&world, (BEFORE, ""), &[&first], &[&taken]).await?;
        reads(&world, BEFORE, uri, None).await?;
        reads(&world, WHOLE, uri, Some(&taken)).await?;
        for edge in &world.edges {
            let prompt = triage(&world, edge, BEFORE, "rocket").await?;
            ensure!(
                !prompt.contains(&taken),
                "the prompt shows {taken}: {prompt}"
            );
        }
    }

    // A user has another login, of which no webhook tells, and a stranger takes the former one.
    let tokens = [&tokens[..], &[(AFTER, "after", "owners = [\"mona1\"]")]].concat();
    file.write(&tokens)?;
    is_known(&world, AFTER).await?;
    let (cat, moved) = (("mona1", 30), ("lisa", 30));
    let before = world.happens_in(repository(cat, "cat", 140)).await?;
    shows(&world, (AFTER, ""), &[&before], &[]).await?;
    let after = world.happens_in(repository(moved, "cat", 140)).await?;
    let stranger = repository(("mona1", 99), "cat", 141);
    let stranger = world.happens_in(stranger).await?;
    shows(&world, (AFTER, ""), &[&before, &after], &[&stranger]).await?;
    reads(&world, AFTER, "github://issues/mona1/cat/7", None).await?;
    reads(&world, AFTER, "github://issues/lisa/cat/7", Some(&after)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_stays_with_its_repository_through_a_transfer_and_a_rename_of_its_owner()
-> Result<()> {
    for kind in SystemKind::ALL {
        let file = TokenFile::new()?;
        only(kind, plan(&file), async |system| {
            goes_on_twice(system, &file).await
        })
        .await?;
    }
    Ok(())
}

async fn goes_on_twice(system: &mut System, file: &TokenFile) -> Result<()> {
    const VAN: u64 = 150;
    const THEIRS: u64 = 151;
    let (beta, gamma, stranger) = (("beta", 20), ("gamma", 20), ("beta", 88));
    let tokens = [(BEFORE, "before", "repositories = [\"acme/van\"]")];
    file.write(&tokens)?;
    let world = World::of(system);
    is_known(&world, BEFORE).await?;
    let uri = |owner: &str| format!("github://issues/{owner}/van/7");
    let first = world
        .happens_in(repository((OWNER, ACME), "van", VAN))
        .await?;
    shows(&world, (BEFORE, ""), &[&first], &[]).await?;
    let changes =
        json!({ "owner": { "from": { "organization": { "login": "acme", "id": ACME } } } });
    let _ = world
        .moves("transferred", changes, repository(beta, "van", VAN))
        .await?;
    let second = world.happens_in(repository(beta, "van", VAN)).await?;
    for owner in ["acme", "beta"] {
        reads(&world, BEFORE, &uri(owner), Some(&second)).await?;
    }
    let _ = world.renames_owner("beta", gamma).await?;
    for _ in 0..2 {
        let newest = world.happens_in(repository(gamma, "van", VAN)).await?;
        for owner in ["acme", "beta", "gamma"] {
            reads(&world, BEFORE, &uri(owner), Some(&newest)).await?;
        }
    }

    // Somebody else takes the login, and has a repository of the same name.
    let _ = world.happens_in(repository(stranger, "other", 152)).await?;
    let tokens = [&tokens[..], &[(AFTER, "after", "owners = [\"beta\"]")]].concat();
    file.write(&tokens)?;
    is_known(&world, AFTER).await?;
    let theirs = world
        .happens_in(repository(stranger, "van", THEIRS))
        .await?;
    let private = world.happens_in(repository(gamma, "van", VAN)).await?;
    shows(&world, (AFTER, ""), &[&theirs], &[&private]).await?;
    reads(&world, AFTER, &uri("beta"), Some(&theirs)).await?;
    reads(&world, AFTER, &uri("gamma"), None).await?;
    reads(&world, BEFORE, &uri("beta"), None).await?;
    for owner in ["acme", "gamma"] {
        reads(&world, BEFORE, &uri(owner), Some(&private)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_of_which_no_event_tells_is_followed_like_one_with_an_event() -> Result<()> {
    for kind in SystemKind::ALL {
        let file = TokenFile::new()?;
        only(kind, plan(&file), async |system| {
            untold_renames(system, &file).await
        })
        .await?;
    }
    Ok(())
}

/// A user has another login, of which GitHub tells nobody; somebody else takes the former one.
async fn untold_renames(system: &mut System, file: &TokenFile) -> Result<()> {
    const STRANGER: u64 = 8;
    let tokens = [
        (BEFORE, "before", ROCKET),
        (WHOLE, "whole", "owners = [\"acme\"]"),
    ];
    file.write(&tokens)?;
    let world = World::of(system);
    is_known(&world, BEFORE).await?;
    let first = world
        .happens_in(repository((OWNER, ACME), "rocket", FIRST))
        .await?;
    shows(&world, (WHOLE, ""), &[&first], &[]).await?;
    let mut of_repository = by_old_name(&world.edges[0], "owner=acme&repo=rocket").await?;
    let mut of_owner = by_old_name(&world.edges[0], "owner=acme").await?;
    let moved = world
        .happens_in(repository(("mona", ACME), "rocket", FIRST))
        .await?;
    let taken = world
        .happens_in(repository((OWNER, STRANGER), "rocket", SECOND))
        .await?;
    let again = world
        .happens_in(repository(("mona", ACME), "missile", FIRST))
        .await?;
    for stream in [&mut of_repository, &mut of_owner] {
        let text = text_until(stream, &again).await?;
        ensure!(text.contains(&moved) && !text.contains(&taken), "{text}");
    }
    let more = [&tokens[..], &[(AFTER, "after", ROCKET)]].concat();
    file.write(&more)?;
    is_known(&world, AFTER).await?;
    let all = [&first, &moved, &again];
    for is_restarted in [false, true] {
        if is_restarted {
            restart_edges(system).await?;
        }
        shows(&world, (BEFORE, ""), &all, &[&taken]).await?;
        shows(&world, (WHOLE, ""), &all, &[&taken]).await?;
        shows(&world, (WHOLE, "owner=mona&repo=missile"), &all, &[&taken]).await?;
        shows(&world, (AFTER, ""), &[&taken], &all).await?;
        shows(&world, (AFTER, "owner=acme&repo=rocket"), &[&taken], &all).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_redis_lost_are_stored_again_or_found_in_the_log() -> Result<()> {
    let file = TokenFile::new()?;
    let kind = SystemKind::Cluster;
    only(kind, plan(&file), async |system| {
        loses_names(system, &file).await
    })
    .await
}

/// What an edge has logged.
fn log_of(system: &mut System, edge: &str) -> String {
    let process = system.cluster().process(edge);
    process
        .and_then(|process| process.errors())
        .unwrap_or_default()
}

async fn loses_names(system: &mut System, file: &TokenFile) -> Result<()> {
    let tokens = [
        (BEFORE, "before", ROCKET),
        (WHOLE, "whole", "owners = [\"acme\"]"),
    ];
    file.write(&tokens)?;
    let world = World::of(system);
    is_known(&world, BEFORE).await?;
    let acme = (OWNER, ACME);
    let first = world.happens_in(repository(acme, "rocket", FIRST)).await?;
    shows(&world, (BEFORE, ""), &[&first], &[]).await?;
    let changes = json!({ "repository": { "name": { "from": "rocket" } } });
    let rename = world
        .moves("renamed", changes, repository(acme, "missile", FIRST))
        .await?;
    let other = world.happens_in(repository(acme, "rocket", SECOND)).await?;
    let old = [&first, &rename];
    shows(&world, (BEFORE, ""), &old, &[&other]).await?;

    // Every edge starts before one that knows the names has stored them again: the log still has them.
    for edge in 0..3 {
        let _ = system.kill(SystemNode::Edge(edge))?;
    }
    redis_does(system, "FLUSHALL").await?;
    for edge in 0..3 {
        let _ = system.restart(SystemNode::Edge(edge)).await?;
    }
    shows(&world, (BEFORE, ""), &old, &[&other]).await?;
    // What is stored is lost while edges run: they store it again, and one that starts finds it there.
    for is_noticed in [true, false] {
        redis_does(system, "FLUSHALL").await?;
        if is_noticed {
            until("a running edge has stored the names again", async || {
                let logs = ["edge-1", "edge-2", "edge-3"].map(|edge| log_of(system, edge));
                logs.concat().contains("the store had lost names")
            })
            .await?;
        }
        let _ = system.kill(SystemNode::Edge(1))?;
        let _ = system.restart(SystemNode::Edge(1)).await?;
        shows(&world, (BEFORE, ""), &old, &[&other]).await?;
        let more = world.happens_in(repository(acme, "rocket", SECOND)).await?;
        let own = world.happens_in(repository(acme, "missile", FIRST)).await?;
        shows(
            &world,
            (BEFORE, ""),
            &[&first, &rename, &own],
            &[&other, &more],
        )
        .await?;
    }
    Ok(())
}
