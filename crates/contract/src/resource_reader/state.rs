//! RR-01: the states.

use std::sync::Arc;

use anyhow::Result;
use model::ResourceUri;

use super::{event_of, nth, uri};
use crate::{Harness, issue_event};

pub(super) async fn the_newest_state_is_given_in_every_spelling(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.resource_reader().await?;
    // The newer state arrives first.
    let events = vec![issue_event(7, 1), issue_event(7, 3), issue_event(7, 2)];
    let seen = fixture.append(events).await?;
    assert_eq!(event_of(fixture.get(Some(seen)).await?), nth(3));
    let spelled = ResourceUri::parse("github://issues/OCTO/Cat/7")?;
    let state = fixture.reader.get_resource(&spelled, Some(seen), None);
    assert_eq!(event_of(state.await?), nth(3));
    Ok(())
}

pub(super) async fn what_no_event_mentions_is_none(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.resource_reader().await?;
    let seen = fixture.happens(1).await?;
    let list = ResourceUri::parse("github://events/octo/cat")?;
    for nothing in [uri(8), list] {
        for seen in [Some(seen), None] {
            let state = fixture.reader.get_resource(&nothing, seen, None).await?;
            assert_eq!(state, None, "{nothing}");
        }
    }
    Ok(())
}
