//! The database's files are moved or replaced under the embedded process: it ends with a sentence, and
//! nothing that it acknowledged is missing once the file is back.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::cluster::{FaultOutcome, System, SystemKind, SystemNode};
use tests::{EventReader, only, settle, until};

use crate::sending::GithubSender;

const PROCESS: &str = "forgewire";

/// Waits until the process has ended, and checks the sentence with which it ended.
async fn ended_with(system: &mut System, sentence: &str) -> Result<()> {
    until("the process has ended", async || {
        let process = system.cluster().process(PROCESS);
        process.is_ok_and(|process| !process.is_running())
    })
    .await?;
    let errors = system.cluster().process(PROCESS)?.errors()?;
    let last = errors.lines().last().context("it says why")?;
    let begin = last.starts_with("forgewire: the database ");
    ensure!(begin && last.contains(sentence), "{last}");
    Ok(())
}

async fn embedded(scenario: impl AsyncFn(&mut System) -> Result<()>) -> Result<()> {
    only(SystemKind::Embedded, |plan| plan, scenario).await
}

async fn restart(system: &mut System) -> Result<()> {
    ensure!(system.restart(SystemNode::Ingest(0)).await? == FaultOutcome::Done);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_moved_away_takes_nothing_and_misses_nothing_once_it_is_back()
-> Result<()> {
    embedded(async |system| {
        let mut github = GithubSender::of(system, 81);
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        github.events(10).await?;
        settle(&github.ledger, &names).await?;
        let file = system.cluster().data(PROCESS).join("forgewire.db");
        let elsewhere = file.with_extension("elsewhere");
        fs::rename(&file, &elsewhere)?;
        let delivery = github.fake.about_one_issue(1).remove(0);
        let answer = github.try_once(&system.ingests()[0], &delivery).await;
        ensure!(answer.is_none_or(|status| status == 503), "{answer:?}");
        ended_with(system, "was removed or renamed").await?;
        fs::rename(&elsewhere, &file)?;
        restart(system).await?;
        github.send(&delivery).await?;
        github.events(5).await?;
        settle(&github.ledger, &names).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_ahead_log_that_was_removed_costs_no_acknowledged_event() -> Result<()> {
    embedded(async |system| {
        let mut github = GithubSender::of(system, 82);
        let readers = EventReader::on_every_edge(system.edges(), &github.ledger).await?;
        let names: Vec<_> = readers.iter().map(EventReader::name).collect();
        github.events(10).await?;
        fs::remove_file(system.cluster().data(PROCESS).join("forgewire.db-wal"))?;
        ended_with(system, "removed or replaced its write-ahead log").await?;
        restart(system).await?;
        github.events(5).await?;
        settle(&github.ledger, &names).await?;
        let late = Some("2020-01-01T00:00:00Z".to_owned());
        let kind = tests::ReaderKind::Events;
        let late = EventReader::start("late", kind, system.edges(), 0, late, &github.ledger);
        settle(&github.ledger, &[late.await?.name()]).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_in_place_of_the_database_is_used_after_a_restart_and_not_before()
-> Result<()> {
    embedded(async |system| {
        for overwrite in [false, true] {
            let mut github = GithubSender::of(system, 83 + u64::from(overwrite));
            github.events(3).await?;
            let file = system.cluster().data(PROCESS).join("forgewire.db");
            let copy = file.with_extension("copy");
            let sql = format!("VACUUM INTO '{}'", copy.display());
            rusqlite::Connection::open(&file)?.execute_batch(&sql)?;
            let kept = recent(system).await?;
            github.events(3).await?;
            // A rename gives the path another file, a copy writes into the one that is open.
            let sentence = if overwrite {
                fs::copy(&copy, &file)?;
                fs::remove_file(&copy)?;
                "was overwritten by another program"
            } else {
                fs::rename(&copy, &file)?;
                "was replaced by another file"
            };
            ended_with(system, sentence).await?;
            restart(system).await?;
            ensure!(recent(system).await? == kept, "what the copy has");
            github.events(3).await?;
            ensure!(recent(system).await?.len() == kept.len() + 3);
        }
        Ok(())
    })
    .await
}

/// The ids of the newest events.
async fn recent(system: &System) -> Result<Vec<String>> {
    let url = system.edges()[0].join("/events/recent?limit=100")?;
    let page: Value = reqwest::get(url).await?.json().await?;
    let events = page["events"].as_array().context("a list of events")?;
    let ids = events.iter().filter_map(|event| event["id"].as_str());
    Ok(ids.map(ToOwned::to_owned).collect())
}
