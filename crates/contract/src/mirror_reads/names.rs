//! ML-06: who has a name.

use std::sync::Arc;

use anyhow::{Result, ensure};
use model::{EventFacts, GithubIds, OwnerId, PlaceId, RepositoryId, StoredEvent};
use ports::{MirrorListing, ResourceError};

use crate::{Harness, issue_event};

/// An event of a repository of the owner with id 5.
fn event_of(nth: u64, (name, id): (&str, u64)) -> StoredEvent {
    let event = issue_event(nth, nth);
    let facts = EventFacts {
        repo: Some(name.to_owned()),
        ids: GithubIds {
            owner: Some(OwnerId(5)),
            repository: Some(RepositoryId(id)),
            resource: None,
        },
        ..(*event.facts).clone()
    };
    StoredEvent {
        facts: facts.into(),
        ..event
    }
}

pub(super) async fn a_name_has_its_present_holder_or_none(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.resource_reader().await?;
    let names = ["OCTO/cat", "octo", "octo/dog", "nobody/cat", "nobody"].map(str::to_owned);
    let repository = |id| Some(PlaceId::Repository(RepositoryId(id)));
    let owner = Some(PlaceId::Owner(OwnerId(5)));
    for (nth, place, expected) in [
        (1, ("Cat", 1), [repository(1), owner, None, None, None]),
        // It has another name, and nobody has taken the former one.
        (2, ("Dog", 1), [None, owner, repository(1), None, None]),
        (
            3,
            ("Cat", 2),
            [repository(2), owner, repository(1), None, None],
        ),
    ] {
        let seen = fixture.append(vec![event_of(nth, place)]).await?;
        let holders = fixture.mirror.holders(&names, Some(seen), None).await?;
        ensure!(holders == expected, "{place:?}: {holders:?}");
    }
    let many = vec!["octo".to_owned(); MirrorListing::MAX_LIMIT + 1];
    let refused = fixture.mirror.holders(&many, None, None).await;
    let is_refused = matches!(refused, Err(ResourceError::Refused { field: "names", .. }));
    ensure!(is_refused, "{refused:?}");
    Ok(())
}
