//! EL-29: the position of an id.

use std::sync::Arc;

use anyhow::Result;
use model::EventId;

use super::follow::{all, page};
use crate::{Harness, event, events};

pub(super) async fn an_event_is_found_by_its_id_where_it_is_read(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    let unknown = EventId::new("never-appended.*>{}")?;
    assert_eq!(fixture.log.position_of(&unknown).await?, None);
    for from in [0, 10, 5] {
        fixture.log.append(events(from, from + 10)).await?;
    }
    for read in all(&*fixture.log).await? {
        let id = &read.item.facts.id;
        let found = fixture.log.position_of(id).await?;
        assert_eq!(found, Some(read.sequence), "{id}");
        let page = page(&*fixture.log, read.sequence.previous(), 1).await?;
        assert_eq!(
            page.events.first().map(|event| &event.item.facts.id),
            Some(id)
        );
    }
    assert_eq!(fixture.log.position_of(&unknown).await?, None);
    Ok(())
}

pub(super) async fn an_event_that_was_trimmed_has_no_position(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.event_log().await?;
    let written = fixture.log.append(events(0, 20)).await?;
    fixture.log.trim(event(10).facts.received_at).await?;
    for (n, appended) in written.iter().enumerate() {
        let expected = (n >= 10).then_some(appended.sequence);
        let found = fixture.log.position_of(&appended.id).await?;
        assert_eq!(found, expected, "event {n}");
    }
    Ok(())
}

pub(super) async fn an_event_of_another_handle_is_found(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let peer = fixture.handles.peer().await?;
    for appended in peer.append(events(0, 5)).await? {
        let found = fixture.log.position_of(&appended.id).await?;
        assert_eq!(found, Some(appended.sequence), "{}", appended.id);
    }
    Ok(())
}
