//! SS-07: listing.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Result, ensure};
use edge_records::SessionRecords;
use model::SessionId;

use super::{LONG_TTL, ROOMY, changed, fixture, session};
use crate::Harness;

/// All ids in the order of the pages.
async fn listed(store: &SessionRecords, limit: usize) -> Result<Vec<SessionId>> {
    let (mut after, mut ids) = (None, Vec::new());
    for _ in 0..1000 {
        let page = store.list(after.as_ref(), limit).await?;
        ensure!(
            page.sessions.len() <= limit,
            "{} of at most {limit}",
            page.sessions.len()
        );
        ids.extend(page.sessions.into_iter().map(|stored| stored.session.id));
        match page.next {
            Some(next) => {
                ensure!(
                    after.as_ref() < Some(&next),
                    "the list makes no progress after {next}"
                );
                after = Some(next);
            }
            None => return Ok(ids),
        }
    }
    anyhow::bail!("the list has no end")
}

pub(super) async fn every_living_session_once_in_pages_by_id(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = fixture(&harness).await?;
    let store = &*fixture.store;
    assert!(listed(store, 10).await?.is_empty());
    // Some sessions expire (created first, so that they are gone when the others exist), and some
    // are ended.
    let ttl = fixture.short_ttl();
    for n in 100..105 {
        store.create(&session(n), ttl, ROOMY).await?;
    }
    for n in (0..23).rev() {
        store.create(&session(n), LONG_TTL, ROOMY).await?;
    }
    for n in [0, 7, 22] {
        store.end(&session(n).id).await?;
    }
    fixture.advance_time(ttl * 2).await;
    let living = (0..23).filter(|n| ![0, 7, 22].contains(n));
    let expected: Vec<_> = living.map(|n| session(n).id).collect();
    assert_eq!(expected.iter().collect::<BTreeSet<_>>().len(), 20);
    for limit in [1, 3, 20, 21, 500] {
        assert_eq!(listed(store, limit).await?, expected, "in pages of {limit}");
    }
    let page = store.list(Some(&session(20).id), 10).await?;
    assert_eq!(
        page.sessions.len(),
        1,
        "only session 21 lives after session 20"
    );
    let stored = &page.sessions[0];
    assert_eq!(stored.session, session(21));
    let next = changed(&session(21), 9);
    let higher = store
        .replace(&next, stored.revision, LONG_TTL, ROOMY)
        .await?;
    let page = store.list(Some(&session(20).id), 10).await?;
    assert_eq!(
        (&page.sessions[0].session, page.sessions[0].revision),
        (&next, higher)
    );
    Ok(())
}
