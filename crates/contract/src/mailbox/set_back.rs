//! MB-16, after the store went back to an earlier state.

use std::{sync::Arc, time::Duration};

use anyhow::Result;

use super::setup::{WIDE, append, fixture, id, page, payload, stream};
use crate::Harness;

/// More messages than one: a store that only counts gives their sequences out again.
const LOST: u64 = 5;

pub(super) async fn sequences_of_a_lost_time_are_not_given_out_again(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = fixture(&harness).await?;
    let kept = append(&*fixture.store, "a", 0, WIDE).await?;
    let set_back = fixture.of.handles.set_back()?;
    (set_back.save)().await?;
    let mut held = kept;
    for n in 1..=LOST {
        held = append(&*fixture.store, "a", n, WIDE).await?;
    }
    let (session, other) = (id(0), stream("b"));
    let opened = fixture.store.open_stream(&session, &other, WIDE).await?;
    fixture.store = (set_back.restore)().await?.mailbox();
    let store = &*fixture.store;
    // A reader that holds the position of a lost message has proof.
    let proof = page(store, "a", held, 10).await?;
    assert!(
        proof.went_back(held) && proof.messages.is_empty(),
        "{proof:?}"
    );
    assert!(!page(store, "a", kept, 10).await?.went_back(kept));
    fixture.advance_time(Duration::from_millis(1)).await;
    let next = append(store, "a", 9, WIDE).await?;
    assert!(
        next > opened && next > held,
        "{next} after {held} and {opened}"
    );
    // It gets what was stored since, even if it did not look in between.
    let rest = page(store, "a", held, 10).await?;
    let items: Vec<_> = rest.messages.iter().map(|one| one.item.clone()).collect();
    assert_eq!(items, [payload(9)]);
    assert!(!rest.went_back(held));
    Ok(())
}
