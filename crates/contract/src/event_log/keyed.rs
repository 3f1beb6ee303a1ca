//! EL-17: entries that no role appended.

use std::sync::Arc;

use anyhow::{Context, Result};
use model::{EntryTag, Sequence};
use ports::UndecodableEntry;

use super::follow::page;
use crate::{Harness, event, events};

pub(super) async fn only_what_a_role_appended_is_an_event(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let keyed = fixture
        .keyed
        .context("the adapter says `authenticating` but its log has no `keyed`")?;
    keyed.new.append(events(0, 3)).await?;
    keyed.stranger.append(vec![event(100)]).await?;
    keyed.old.append(events(3, 6)).await?;
    keyed.unsigned.append(vec![event(200)]).await?;
    keyed.new.append(events(6, 9)).await?;
    for log in [&keyed.new, &keyed.old] {
        // In pages of few events, which are read one by one, and of many.
        for limit in [4, 500] {
            let (mut after, mut read, mut gaps) = (Sequence::START, Vec::new(), Vec::new());
            loop {
                let page = page(&**log, after, limit).await?;
                gaps.extend(page.resumes_after);
                read.extend(page.events.into_iter().map(|event| event.item));
                after = page.through;
                if page.at_head {
                    break;
                }
            }
            assert_eq!(read, events(0, 9), "in pages of {limit}");
            assert_eq!(gaps, [Sequence(4), Sequence(8)], "in pages of {limit}");
        }
        let newest = log.read_before(Sequence(u64::MAX), 100).await?;
        let stranger = |sequence| UndecodableEntry {
            sequence: Sequence(sequence),
            tag: EntryTag::UNDECODABLE,
        };
        assert_eq!(newest.undecodable, [8, 4].map(stranger), "nobody vouches");
        assert_eq!(log.undecodable_entries(), 2);
    }
    assert!((keyed.refused)() >= 2);
    Ok(())
}
