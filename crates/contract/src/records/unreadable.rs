//! RC-22: records that are damaged.

use std::sync::Arc;

use anyhow::{Result, ensure};
use ports::{NewRecord, RecordsError};

use super::{THINGS, WIDE, create, heavy, id, key, of};
use crate::Harness;

pub(super) async fn a_damaged_record_concerns_itself_alone(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    for n in 0..5 {
        create(store, &of(n, n), WIDE).await?;
    }
    let damaged = [0, 2, 4];
    for n in damaged {
        fixture.damage(&key(n)).await?;
        let found = store.load(&key(n)).await;
        let is_unreadable = matches!(found, Err(RecordsError::Unreadable { .. }));
        ensure!(is_unreadable, "{found:?}");
    }
    for limit in [1, 2, 100] {
        let (mut after, mut found, mut unreadable) = (None, Vec::new(), 0);
        loop {
            let page = store.list(THINGS, None, after.as_ref(), limit).await?;
            found.extend(page.records.into_iter().map(|record| record.id));
            unreadable += page.unreadable;
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        ensure!(found == [id(1), id(3)], "in pages of {limit}: {found:?}");
        ensure!(unreadable == 3, "in pages of {limit}: {unreadable}");
    }
    for n in damaged {
        ensure!(store.end(&key(n)).await?, "it cannot be ended");
        ensure!(store.load(&key(n)).await?.is_none(), "it is there");
    }
    let listed = store.list(THINGS, None, None, 100).await?;
    ensure!((listed.records.len(), listed.unreadable) == (2, 0));
    Ok(())
}

/// Sixteen records of 1 MiB fill a page; the damaged one after them belongs to it, and the last one does not fit.
pub(super) async fn a_damaged_record_at_the_end_of_a_page_counts_once(
    harness: Arc<dyn Harness>,
) -> Result<()> {
    let fixture = harness.records().await?;
    let store = &*fixture.records();
    let mebibyte = heavy(256);
    for n in 0..18 {
        let large = NewRecord {
            state: mebibyte.clone(),
            ..of(0, n)
        };
        create(store, &large, WIDE).await?;
    }
    fixture.damage(&key(16)).await?;
    let (mut after, mut found, mut unreadable) = (None, Vec::new(), 0);
    loop {
        let page = store.list(THINGS, None, after.as_ref(), 100).await?;
        found.extend(page.records.into_iter().map(|record| record.id));
        unreadable += page.unreadable;
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    let whole: Vec<_> = (0..18).filter(|n| *n != 16).map(id).collect();
    ensure!(found == whole, "{found:?}");
    ensure!(unreadable == 1, "{unreadable}");
    Ok(())
}
