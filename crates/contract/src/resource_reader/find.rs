//! RF-01 and RF-02: resources by their node ids.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use model::{OwnerId, RepositoryId, ResourceId, StoredEvent};
use ports::ResourceError;
use serde_json::json;
use tokio::time::timeout;

use super::{HELD_BACK, NUMBER};
use crate::{Harness, issue_event};

const PAGE: &str = "https://github.com/Octo/Cat/issues/7";

/// The `n`-th state of the issue, with what names it and these labels.
fn described(n: u64, labels: &[&str]) -> StoredEvent {
    let mut event = issue_event(NUMBER, n);
    let facts = Arc::make_mut(&mut event.facts);
    facts.ids.owner = Some(OwnerId(5));
    facts.ids.repository = Some(RepositoryId(9));
    let labels: Vec<_> = labels.iter().map(|name| json!({ "name": name })).collect();
    let json = json!({
        "id": facts.id.as_str(),
        "resource": { "repositoryNodeId": "R_9" },
        "data": {
            "id": 107, "node_id": facts.resource_id, "updated_at": facts.timestamp.to_string(),
            "title": "Fix it", "html_url": PAGE, "labels": labels,
        },
        "metadata": { "event": "issues" },
    });
    event.json = json.to_string().into();
    event
}

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
    assert_eq!((found.title.as_deref(), found.labels.len()), (None, 0));
    fixture.append(vec![described(2, &["bug", "p1"])]).await?;
    let found = fixture.finder.find(&id, None).await?;
    let found = found.context("an issue")?;
    assert_eq!(found.ids.resource, Some(107));
    assert_eq!(found.ids.repository, Some(RepositoryId(9)));
    let repository = found.repository_node_id.as_ref();
    assert_eq!(repository.map(ResourceId::as_str), Some("R_9"));
    assert_eq!(found.title.as_deref(), Some("Fix it"));
    assert_eq!(found.url.as_deref(), Some(PAGE));
    assert_eq!(found.labels, ["bug", "p1"]);
    fixture.append(vec![described(3, &["p1"])]).await?;
    let found = fixture.finder.find(&id, None).await?;
    assert_eq!(
        found.context("an issue")?.labels,
        ["p1"],
        "the newest state"
    );
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
