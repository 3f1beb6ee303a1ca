//! One wheel for all streams: heartbeats while the edge lives, the farewell when it drains.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{format::Ending, hub::Hub};
use crate::limits::WHEEL_SLICES;

/// Beats every stream once per `heartbeat`; when the drain begins, ends every stream within `window`.
/// The work of both is spread over slices, so that no moment sees all streams. Cancels `ended` when no
/// stream is left.
pub(crate) async fn turn(
    hub: Arc<Hub>,
    heartbeat: Duration,
    window: Duration,
    draining: CancellationToken,
    ended: CancellationToken,
) {
    let slices = u32::try_from(WHEEL_SLICES).expect("a small constant");
    let mut ticks = tokio::time::interval(heartbeat / slices);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut slice = 0;
    let beats = async {
        loop {
            ticks.tick().await;
            hub.streams
                .for_slice(slice, WHEEL_SLICES, |stream| stream.beat());
            slice = (slice + 1) % WHEEL_SLICES;
        }
    };
    draining.run_until_cancelled(beats).await;
    info!(
        streams = hub.streams.len(),
        window_seconds = window.as_secs(),
        "ending all streams"
    );
    for slice in 0..WHEEL_SLICES {
        hub.streams
            .for_slice(slice, WHEEL_SLICES, |stream| stream.end(Ending::Drain));
        if hub.streams.len() > 0 {
            tokio::time::sleep(window / slices).await;
        }
    }
    // Streams that were opened meanwhile, and clients that do not read their farewell: until the process
    // is closed hard.
    let last = async {
        while hub.streams.len() > 0 {
            hub.streams.end_all(Ending::Drain);
            tokio::time::sleep(LAST_STREAMS_INTERVAL).await;
        }
    };
    ended.run_until_cancelled(last).await;
    ended.cancel();
}

/// How often the last streams are looked for.
const LAST_STREAMS_INTERVAL: Duration = Duration::from_millis(20);
