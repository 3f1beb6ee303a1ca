//! EL-26: the log's own time.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use model::{Clock, SystemClock};

use crate::Harness;

/// The suite's servers run on this machine, so their clock is this one's; answers take a while.
const CLOSE: Duration = Duration::from_secs(5);

pub(super) async fn the_time_is_now_or_is_not_told(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let before = SystemClock.now();
    if let Some(told) = fixture.log.time().await? {
        let after = SystemClock.now();
        assert!(told.plus(CLOSE) >= before, "{told} is before {before}");
        assert!(after.plus(CLOSE) >= told, "{told} is after {after}");
    }
    Ok(())
}

pub(super) async fn to_ask_for_the_time_stores_nothing(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.event_log().await?;
    let before = fixture.log.head().await?;
    for _ in 0..3 {
        fixture.log.time().await?;
    }
    assert_eq!(fixture.log.head().await?, before);
    Ok(())
}
