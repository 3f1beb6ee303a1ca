//! RF-01 and RF-02: resources by their node ids.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use model::ResourceId;
use ports::ResourceError;
use tokio::time::timeout;

use super::{HELD_BACK, NUMBER};
use crate::{Harness, issue_event};

pub(super) async fn a_resource_is_found_by_its_node_id(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.resource_reader().await?;
    let id = issue_event(NUMBER, 1).facts.resource_id.clone();
    ensure!(fixture.finder.find(&id, None).await?.is_none(), "not yet");
    fixture.happens(1).await?;
    let found = fixture.finder.find(&id, None).await?;
    let found = found.context("an issue")?;
    let place = (found.owner.as_str(), found.repo.as_str(), found.number);
    assert_eq!(place, ("Octo", "Cat", NUMBER));
    assert_eq!(found.ids, issue_event(NUMBER, 1).facts.ids);
    let other = ResourceId::new("I_other")?;
    ensure!(fixture.finder.find(&other, None).await?.is_none());
    fixture.finder.check().await?;
    Ok(())
}

pub(super) async fn a_finder_waits_for_the_events_of_the_log_and_says_if_it_cannot(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.resource_reader().await?;
    fixture.log.hold(true);
    fixture.happens(1).await?;
    let id = issue_event(NUMBER, 1).facts.resource_id.clone();
    let find = fixture.finder.find(&id, None);
    tokio::pin!(find);
    let early = timeout(HELD_BACK, &mut find).await;
    ensure!(early.is_err(), "it does not wait: {early:?}");
    fixture.log.hold(false);
    ensure!(find.await?.is_some());
    fixture.log.hold(true);
    fixture.happens(2).await?;
    let error = fixture.finder.find(&id, None).await.expect_err("held back");
    ensure!(matches!(error, ResourceError::Behind), "{error:?}");
    Ok(())
}
