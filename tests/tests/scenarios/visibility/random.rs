//! Random events, of which each reader gets its own.

use anyhow::{Context, Result, ensure};
use rand::{Rng, SeedableRng, rngs::StdRng};
use reqwest::Url;
use serde_json::Value;
use tests::both_with;

use super::{
    CHANGING, READERS, REPOS, end, events_until, plan, shows_nothing_hidden, tokens, took_effect,
    transfer,
    world::{OWNER, TokenFile, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn of_150_random_events_each_reader_gets_exactly_its_own_in_order() -> Result<()> {
    let file = TokenFile::new()?;
    both_with(plan(&file), async |system| {
        file.write(&tokens(Some(CHANGING.rights)))?;
        let world = World::of(system);
        took_effect(&world, |text| text.contains("\"events\"")).await?;
        let mut rng = StdRng::seed_from_u64(12);
        let mut happened = Vec::new();
        for _ in 0..150 {
            let repo = REPOS[rng.random_range(0..REPOS.len())];
            let changes = match rng.random_bool(0.2) {
                true if repo == "oldrepo" => transfer(),
                _ => Value::Null,
            };
            happened.push((repo, world.happens(OWNER, repo, changes).await?));
        }
        let last = end(&world).await?;
        for (at, reader) in READERS.iter().enumerate() {
            let edge = &world.edges[at % world.edges.len()];
            let (text, _) = events_until(&world, edge, reader.token, None, &last).await?;
            shows_nothing_hidden(&text, reader.sees, reader.principal)?;
            let own = happened
                .iter()
                .filter(|(repo, _)| reader.sees.contains(repo));
            let mut from = 0;
            for (_, mark) in own {
                let found = text[from..].find(mark);
                from += found.with_context(|| format!("{mark} is missing or out of order"))?;
            }
            let replayed = pages(&world, edge, reader.token).await?;
            shows_nothing_hidden(&replayed, reader.sees, reader.principal)?;
            for (repo, mark) in &happened {
                ensure!(
                    replayed.contains(mark) == reader.sees.contains(repo),
                    "{mark}"
                );
            }
        }
        Ok(())
    })
    .await
}

/// The log by pages, as long as there are more.
async fn pages(world: &World, edge: &Url, token: &str) -> Result<String> {
    let (mut text, mut after) = (String::new(), String::new());
    loop {
        let path = format!("/events/replay/2020-01-01T00:00:00Z?limit=20{after}");
        let page = world.get(edge, token, &path).await?;
        let read: Value = serde_json::from_str(&page)?;
        text += &page;
        if read["hasMore"] != true {
            return Ok(text);
        }
        let cursor = read["nextCursor"].as_str().context("a cursor")?;
        after = format!("&cursor={cursor}");
    }
}
