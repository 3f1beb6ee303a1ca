//! Who may see what, and when: principals × surfaces × moments, from one table, on both topologies.

mod connections;
mod coverage;
mod mirrored_names;
mod random;
mod renames;
mod surfaces;
mod world;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use serde_json::{Value, json};
use testkit::{cluster::ClusterPlan, sse::SseStream};
use tests::{both_with, until};

pub(crate) use self::world::{TokenFile, bearer};
use self::{
    connections::OpenConnections,
    surfaces::Surface,
    world::{OWNER, PROJECT, SOON, World, issue, repository, task_of, text_until},
};

const REPOS: [&str; 3] = ["oldrepo", "newrepo", "thirdrepo"];
/// All places of the owner: repositories, and the project.
const PLACES: [&str; 4] = ["oldrepo", "newrepo", "thirdrepo", PROJECT];
/// The owner of what only the reader without anything sees.
const NOBODY: &str = "nobody";

/// A token, and the repositories that it shows.
#[derive(Clone, Copy)]
struct Reader {
    token: &'static str,
    principal: &'static str,
    rights: &'static str,
    sees: &'static [&'static str],
}

const ONLY_OLD: &str = "repositories = [\"acme/oldrepo\"]";
const READERS: [Reader; 4] = [
    Reader {
        token: "the-token-of-one-that-sees-everything",
        principal: "all",
        rights: "",
        sees: &PLACES,
    },
    Reader {
        token: "the-token-of-one-that-sees-two-repositories",
        principal: "two",
        rights: "repositories = [\"acme/oldrepo\", \"acme/newrepo\"]",
        sees: &["oldrepo", "newrepo"],
    },
    Reader {
        token: "the-token-of-one-that-sees-one-repository",
        principal: "one",
        rights: ONLY_OLD,
        sees: &["oldrepo"],
    },
    Reader {
        token: "the-token-of-one-that-sees-nothing-of-this",
        principal: "none",
        rights: "owners = [\"nobody\"]",
        sees: &[],
    },
];
/// The connections that end when the rights of their token change; their clients come back.
const ENDS: [&str; 8] = [
    "events",
    "subscription",
    "session",
    "listen",
    "tasks",
    "HTTP+SSE",
    "connection",
    "lines",
];
/// All connections that are open while rights change.
const CONNECTIONS: [&str; 13] = [
    "events",
    "subscription",
    "session",
    "listen",
    "tasks",
    "HTTP+SSE",
    "connection",
    "lines",
    "stdio",
    "poll",
    "answer to a POST",
    "batch",
    "task",
];
/// The reader whose rights change.
const CHANGING: Reader = READERS[1];
/// Another token of the same principal, which stays.
const STAYS: &str = "the-other-token-of-one-that-saw-two-repositories";

/// All tokens, the changing one with these rights; without it for `None`.
fn tokens(changing: Option<&'static str>) -> Vec<(&'static str, &'static str, &'static str)> {
    let others = READERS
        .iter()
        .filter(|reader| reader.token != CHANGING.token);
    let mut tokens: Vec<_> = others
        .map(|reader| (reader.token, reader.principal, reader.rights))
        .collect();
    tokens.push((STAYS, CHANGING.principal, ONLY_OLD));
    tokens.extend(changing.map(|rights| (CHANGING.token, CHANGING.principal, rights)));
    tokens
}

fn hidden(sees: &[&str]) -> impl Iterator<Item = &'static str> {
    PLACES.into_iter().filter(|repo| !sees.contains(repo))
}

/// Nothing of what is hidden from the reader is in the text.
fn shows_nothing_hidden(text: &str, sees: &[&str], what: &str) -> Result<()> {
    for repo in hidden(sees) {
        ensure!(
            !text.contains(&format!("mark-{repo}-")),
            "{what} shows {repo}: {text}"
        );
    }
    Ok(())
}

/// Every surface on every edge shows a reader what it may see at this moment, and nothing else.
async fn every_surface(world: &World, moment: &str, token: &str, sees: &[&str]) -> Result<()> {
    for (at, surface) in Surface::ALL.into_iter().enumerate() {
        let edge = &world.edges[at % world.edges.len()];
        for repo in PLACES
            .into_iter()
            .filter(|place| surface.is_asked_for(place))
        {
            let what = format!("{moment}: {surface:?} of {repo} for {token}");
            let mut text = String::new();
            let shown = until(&what, async || {
                text = world
                    .look(surface, edge, token, repo)
                    .await
                    .unwrap_or_default();
                !sees.contains(&repo) || text.contains(&surface.mark(repo))
            });
            shown.await.with_context(|| text.clone())?;
            shows_nothing_hidden(&text, sees, &what)?;
            let is_hidden = !sees.contains(&repo);
            let names = text.contains(&surface.mark(repo));
            ensure!(!(is_hidden && names), "{what}: {text}");
        }
    }
    Ok(())
}

/// The last event for each reader: one in a repository that all see who see any, and one for the others.
/// Returns the text that both have.
async fn end(world: &World) -> Result<String> {
    let last = format!("end-{}", uuid::Uuid::new_v4());
    for (owner, repo) in [(OWNER, "oldrepo"), (NOBODY, "elsewhere")] {
        let changes = json!({ "title": { "from": last } });
        world.happens(owner, repo, changes).await?;
    }
    Ok(last)
}

/// The ids of all streams are sealed: no two readers, and no reader at two moments, can compare them.
fn is_sealed(id: &str, seen: &mut Vec<String>) -> Result<()> {
    ensure!(id.len() >= 66 && id.starts_with('B'), "{id} is not sealed");
    ensure!(!seen.iter().any(|other| other == id), "{id} came twice");
    seen.push(id.to_owned());
    Ok(())
}

/// What the stream of events carries up to `last`, with the last id.
async fn events_until(
    world: &World,
    edge: &Url,
    token: &str,
    after: Option<&str>,
    last: &str,
) -> Result<(String, String)> {
    let mut stream = world.events(edge, token, after).await?;
    let text = text_until(&mut stream, last).await?;
    ensure!(text.contains(last), "the stream ended: {text}");
    let id = stream.last_id().context("the stream has an id")?.to_owned();
    Ok((text, id))
}

/// Waits until every edge has read the token file: until `is_new` of the answer to the changing token.
async fn took_effect(world: &World, is_new: impl Fn(&str) -> bool) -> Result<()> {
    for edge in &world.edges {
        until("the token file is read", async || {
            let recent = world.look(Surface::Recent, edge, CHANGING.token, "").await;
            recent.is_ok_and(|text| is_new(&text))
        })
        .await?;
    }
    Ok(())
}

async fn task_state(world: &World, token: &str, task: &str) -> Result<String> {
    let params = json!({ "taskId": task });
    world
        .call(&world.edges[2], token, "tasks/get", params)
        .await
}

/// The state of a task that is over.
async fn task_end(world: &World, token: &str, task: &str) -> Result<String> {
    let mut state = String::new();
    until("the task is over", async || {
        state = task_state(world, token, task).await.unwrap_or_default();
        !state.is_empty() && !state.contains("\"working\"")
    })
    .await?;
    Ok(state)
}

fn plan(file: &TokenFile) -> impl Fn(ClusterPlan) -> ClusterPlan {
    let path = file.path.display().to_string();
    let keys = json!(["a state key of the scenarios, as long as it has to be"]).to_string();
    move |plan| {
        plan.with_env("FORGEWIRE_AUTH__MODE", "tokens")
            .with_env("FORGEWIRE_AUTH__TOKEN_FILE", &path)
            .with_env("FORGEWIRE_EDGE__STATE_KEYS", &keys)
    }
}

/// A transferred issue, which its event shows from the side of `oldrepo`.
fn transfer() -> Value {
    json!({
        "new_issue": issue(OWNER, "newrepo", "mark-newrepo-transferred"),
        "new_repository": repository(OWNER, "newrepo"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_surface_shows_at_every_moment_what_its_reader_may_see_then() -> Result<()> {
    let file = TokenFile::new()?;
    both_with(plan(&file), async |system| {
        file.write(&tokens(Some(CHANGING.rights)))?;
        let world = World::of(system);
        took_effect(&world, |text| text.contains("\"events\"")).await?;
        before(&world).await?;
        at_resume(&world).await?;
        of_two_tokens(&world).await?;
        let session = world.session(&world.edges[0], CHANGING.token).await?;
        let (done, answer) = answers_of_before(&world, &session).await?;
        let wide = latest(&world).await?;
        let kept = kept_stream(&world, &session).await?;
        let cursor = latest(&world).await?;
        let mut open = OpenConnections::open(&world, CHANGING.token, &cursor, &REPOS).await?;

        file.write(&tokens(Some(ONLY_OLD)))?;
        took_effect(&world, |text| {
            text.contains("\"events\"") && !text.contains("mark-newrepo-")
        })
        .await?;
        world.happens(OWNER, "newrepo", Value::Null).await?;
        let seen = world.happens(OWNER, "oldrepo", transfer()).await?;
        let mut texts = open.texts(&seen).await?;
        let task = task_end(&world, CHANGING.token, &open.task).await?;
        texts.push(("task", task));
        let names: BTreeSet<_> = texts.iter().map(|(name, _)| *name).collect();
        ensure!(names == CONNECTIONS.into_iter().collect(), "{names:?}");
        for (name, text) in texts {
            shows_nothing_hidden(&text, &["oldrepo"], &format!("{name} under old rights"))?;
            ensure!(
                text.contains(&seen) || ENDS.contains(&name),
                "{name} goes on under the new rights: {text}"
            );
        }
        resumes_under_new_rights(&world, &session, &wide, &kept, &seen).await?;
        every_surface(&world, "after narrowing", CHANGING.token, &["oldrepo"]).await?;
        answers_are_withheld(&world, &session, &done, &answer).await?;

        let cursor = latest(&world).await?;
        let mut open = OpenConnections::open(&world, CHANGING.token, &cursor, &["oldrepo"]).await?;
        file.write(&tokens(None))?;
        took_effect(&world, |text| text.contains("token-unknown")).await?;
        world.happens(OWNER, "oldrepo", Value::Null).await?;
        let mut texts = open.texts("").await?;
        texts.push(("task", task_end(&world, STAYS, &open.task).await?));
        for (name, text) in texts {
            shows_nothing_hidden(&text, &[], &format!("{name} under a revoked token"))?;
            ensure!(
                text.contains("token") || ENDS.contains(&name),
                "{name}: the refusal names the token: {text}"
            );
        }
        for surface in Surface::ALL {
            // Some surfaces have no text for a refusal: their stream does not open.
            let look = world.look(surface, &world.edges[1], CHANGING.token, "oldrepo");
            let text = look.await.unwrap_or_default();
            shows_nothing_hidden(&text, &[], "a revoked token")?;
        }
        Ok(())
    })
    .await
}

/// The id of the session's stream after everything so far, under wide rights.
async fn kept_stream(world: &World, session: &str) -> Result<String> {
    let (edge, token) = (&world.edges[1], CHANGING.token);
    let mut stream = world.session_stream(edge, token, session, None).await?;
    let shown = world.happens(OWNER, "newrepo", Value::Null).await?;
    let text = text_until(&mut stream, &shown).await?;
    ensure!(text.contains(&shown), "{text}");
    Ok(stream.last_id().context("the stream has an id")?.to_owned())
}

/// Streams whose ids were made under wide rights go on under the new ones, on every edge.
async fn resumes_under_new_rights(
    world: &World,
    session: &str,
    cursor: &str,
    id: &str,
    seen: &str,
) -> Result<()> {
    for edge in &world.edges {
        let token = CHANGING.token;
        let (events, _) = events_until(world, edge, token, Some(cursor), seen).await?;
        let mut stream = world.session_stream(edge, token, session, Some(id)).await?;
        let resumed = text_until(&mut stream, seen).await?;
        for text in [events, resumed] {
            shows_nothing_hidden(&text, &["oldrepo"], "a stream that comes back")?;
            ensure!(text.contains(seen), "{text}");
        }
    }
    Ok(())
}

/// The cursor of the changing reader after everything so far.
async fn latest(world: &World) -> Result<String> {
    let recent = world
        .look(Surface::Recent, &world.edges[0], CHANGING.token, "")
        .await?;
    let recent: Value = serde_json::from_str(&recent)?;
    Ok(recent["nextCursor"]
        .as_str()
        .context("a cursor")?
        .to_owned())
}

async fn before(world: &World) -> Result<()> {
    for repo in REPOS {
        world.happens(OWNER, repo, Value::Null).await?;
    }
    for repo in REPOS {
        world.other_items_happen(repo).await?;
    }
    world.project_happens().await?;
    world.happens(OWNER, "oldrepo", transfer()).await?;
    world.happens(OWNER, "oldrepo", Value::Null).await?;
    for reader in READERS {
        every_surface(world, "before", reader.token, reader.sees).await?;
    }
    Ok(())
}

/// Streams that come back on other edges.
async fn at_resume(world: &World) -> Result<()> {
    let last = end(world).await?;
    let (mut ids, mut cursors) = (Vec::new(), Vec::new());
    for (at, reader) in READERS.iter().enumerate() {
        let edge = &world.edges[at % world.edges.len()];
        let (text, id) = events_until(world, edge, reader.token, None, &last).await?;
        shows_nothing_hidden(&text, reader.sees, "the first stream")?;
        is_sealed(&id, &mut ids)?;
        cursors.push(id);
    }
    // Nobody goes on with the id of another.
    let foreign = world.events(&world.edges[0], READERS[3].token, Some(&cursors[0]));
    let text = text_until(&mut foreign.await?, "truncated").await?;
    ensure!(text.contains("truncated"), "a foreign id is told: {text}");
    shows_nothing_hidden(&text, &[], "a foreign id")?;
    world.project_happens().await?;
    for repo in REPOS {
        world.happens(OWNER, repo, Value::Null).await?;
    }
    let last = end(world).await?;
    for (at, reader) in READERS.iter().enumerate() {
        let edge = &world.edges[(at + 1) % world.edges.len()];
        let after = Some(cursors[at].as_str());
        let (text, id) = events_until(world, edge, reader.token, after, &last).await?;
        shows_nothing_hidden(&text, reader.sees, "a resumed stream")?;
        ensure!(!text.contains("truncated"), "{text}");
        is_sealed(&id, &mut ids)?;
        for repo in reader.sees {
            ensure!(
                text.contains(&format!("mark-{repo}-")),
                "{repo} is missing: {text}"
            );
        }
    }
    Ok(())
}

/// A stream of HTTP+SSE shows what its own token may see, whichever token of the principal asks.
async fn of_two_tokens(world: &World) -> Result<()> {
    for (reads, asks, is_withheld) in [
        (STAYS, CHANGING.token, true),
        (CHANGING.token, STAYS, false),
    ] {
        let (mut stream, endpoint) = world.http_sse(&world.edges[0], reads).await?;
        for (id, tool) in (70..).zip(["get_recent_events", "replay_events"]) {
            let url = world.edges[1].join(&endpoint)?;
            world.ask_on_stream(url, asks, id, tool).await?;
            let text = text_until(&mut stream, &format!("id\\\":{id}")).await?;
            let what = format!("{tool} for {reads}, asked by {asks}");
            shows_nothing_hidden(&text, &["oldrepo"], &what)?;
            let shown = match is_withheld {
                true => "rights-changed",
                false => "mark-oldrepo-",
            };
            ensure!(text.contains(shown), "{what}: {text}");
        }
    }
    Ok(())
}

/// A task and the answer to a POST that were made under wide rights, and hold something of `newrepo`: the id
/// of the task, and the id after which the answer is resumed.
async fn answers_of_before(world: &World, session: &str) -> Result<(String, String)> {
    let (edge, token) = (&world.edges[0], CHANGING.token);
    let first = world
        .tool(edge, token, "replay_events", json!({ "limit": 1 }))
        .await?;
    let first: Value = serde_json::from_str(&first)?;
    let cursor = first["result"]["structuredContent"]["cursor"].clone();
    let params =
        json!({ "name": "wait_for_events", "arguments": { "cursor": cursor }, "task": true });
    let task = task_of(&world.call(edge, token, "tools/call", params).await?)?;
    let shown = task_end(world, token, &task).await?;
    ensure!(shown.contains("mark-newrepo-"), "{shown}");
    let wait = json!({ "name": "wait_for_events",
        "arguments": { "filters": [{ "repo": "newrepo" }], "maxWaitSeconds": 50 } });
    let posted = world
        .post(edge, token, Some(session), "tools/call", wait)
        .await?;
    let mut stream = SseStream::from_response(posted).await?;
    let id = stream
        .next_event(SOON)
        .await?
        .id
        .context("a priming event has an id")?;
    drop(stream);
    world.happens(OWNER, "newrepo", Value::Null).await?;
    let mut resumed = world
        .session_stream(&world.edges[1], token, session, Some(&id))
        .await?;
    let answer = text_until(&mut resumed, "mark-newrepo-").await?;
    ensure!(answer.contains("mark-newrepo-"), "{answer}");
    Ok((task, id))
}

async fn answers_are_withheld(world: &World, session: &str, task: &str, id: &str) -> Result<()> {
    for token in [CHANGING.token, STAYS] {
        let state = task_state(world, token, task).await?;
        shows_nothing_hidden(&state, &["oldrepo"], "a task of before")?;
        ensure!(state.contains("rights-changed"), "{state}");
        let edge = &world.edges[2];
        let mut resumed = world.session_stream(edge, token, session, Some(id)).await?;
        let answer = text_until(&mut resumed, "rights-changed").await?;
        shows_nothing_hidden(&answer, &["oldrepo"], "an answer of before")?;
        ensure!(answer.contains("rights-changed"), "{answer}");
    }
    Ok(())
}
