//! Records that another build wrote, or that are damaged.

use std::sync::Arc;

use anyhow::{Result, ensure};
use ports::SessionStoreError;

use super::{LONG_TTL, ROOMY, session};
use crate::harness::Harness;

pub(super) async fn a_record_that_cannot_be_read_concerns_its_session_alone(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.session_store().await?;
    let store = &fixture.store;
    let sessions: Vec<_> = (0..5).map(session).collect();
    for session in &sessions {
        store.create(session, LONG_TTL, ROOMY).await?;
    }
    let (spoilt, whole): (Vec<_>, Vec<_>) =
        sessions.iter().enumerate().partition(|(n, _)| n % 2 == 0);
    for (_, session) in &spoilt {
        fixture.spoil(&session.id).await?;
        let loaded = store.load(&session.id).await;
        let is_unreadable = matches!(loaded, Err(SessionStoreError::Unreadable { .. }));
        ensure!(is_unreadable, "{loaded:?}");
    }
    for limit in [1, 2, 100] {
        let (mut after, mut found, mut unreadable) = (None, Vec::new(), 0);
        loop {
            let page = store.list(after.as_ref(), limit).await?;
            found.extend(page.sessions.into_iter().map(|found| found.session));
            unreadable += page.unreadable;
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        let expected: Vec<_> = whole
            .iter()
            .map(|(_, session)| (*session).clone())
            .collect();
        ensure!(found == expected, "in pages of {limit}: {found:?}");
        ensure!(
            unreadable == spoilt.len(),
            "in pages of {limit}: {unreadable}"
        );
    }
    for (_, session) in spoilt {
        ensure!(store.end(&session.id).await?);
        ensure!(store.load(&session.id).await?.is_none());
    }
    ensure!(store.list(None, 100).await?.unreadable == 0);
    Ok(())
}
