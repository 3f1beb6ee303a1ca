//! BU-11: messages that no role published.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use ports::Topic;
use tokio::time::Instant;

use super::subscriber::{next_number, send, session_topic};
use crate::Harness;

/// Maximum time until a refused message was counted.
const COUNT_DEADLINE: Duration = Duration::from_secs(10);

pub(super) async fn only_what_a_role_published_arrives(harness: Arc<dyn Harness>) -> Result<()> {
    let fixture = harness.bus().await?;
    let keyed = fixture
        .keyed
        .context("the adapter says `authenticating` but its bus has no `keyed`")?;
    for topic in [Topic::Broadcast, session_topic("keyed")] {
        let mut new = keyed.new.subscribe(&topic).await?;
        let mut old = keyed.old.subscribe(&topic).await?;
        for (from, forger) in (0..).step_by(10).zip([&keyed.stranger, &keyed.unsigned]) {
            let before = (keyed.refused)();
            send(&**forger, &topic, from).await?;
            // What follows may overtake it through another connection.
            let deadline = Instant::now() + COUNT_DEADLINE;
            while (keyed.refused)() == before {
                if Instant::now() > deadline {
                    bail!("a forged message was not counted");
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            send(&*keyed.new, &topic, from + 1).await?;
            send(&*keyed.old, &topic, from + 2).await?;
            for subscription in [&mut new, &mut old] {
                let mut arrived = [
                    next_number(subscription).await?,
                    next_number(subscription).await?,
                ];
                arrived.sort_unstable();
                assert_eq!(arrived, [from + 1, from + 2]);
            }
        }
    }
    Ok(())
}
