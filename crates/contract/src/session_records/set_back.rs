//! SS-14, after the store went back to an earlier state.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use edge_records::SessionRecordsError;

use super::{LONG_TTL, ROOMY, changed, fixture, session, sessions_of};
use crate::Harness;

pub(super) async fn a_revision_of_a_lost_time_is_not_given_out_again(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let mut fixture = fixture(&harness).await?;
    let zeroth = session(0);
    let changes = [1, 2, 3, 4].map(|mark| changed(&zeroth, mark));
    let first = fixture.store.create(&zeroth, LONG_TTL, ROOMY).await?;
    let kept = fixture
        .store
        .replace(&changes[0], first, LONG_TTL, ROOMY)
        .await?;
    let set_back = fixture.of.handles.set_back()?;
    (set_back.save)().await?;
    let lost = fixture
        .store
        .replace(&changes[1], kept, LONG_TTL, ROOMY)
        .await?;
    fixture.store = sessions_of(&(set_back.restore)().await?);
    fixture.advance_time(Duration::from_millis(1)).await;
    let store = &*fixture.store;
    let found = store.load(&zeroth.id).await?;
    assert_eq!(
        found.map(|found| (found.session, found.revision)),
        Some((changes[0].clone(), kept))
    );
    let next = store.replace(&changes[2], kept, LONG_TTL, ROOMY).await?;
    assert!(next > lost, "{next:?} after {lost:?}");
    // A caller that loaded the session in the lost time would overwrite a change that it does not know.
    let late = store.replace(&changes[3], lost, LONG_TTL, ROOMY).await;
    let refused = matches!(late, Err(SessionRecordsError::Conflict { current }) if current == next);
    assert!(refused, "{late:?}");
    Ok(())
}
