//! One wheel for all streams: heartbeats while the edge lives, the farewell when it drains.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{format::Ending, hub::Hub, streams::Stream};
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
            hub.streams.for_slice(slice, WHEEL_SLICES, Stream::beat);
            hub.pages.tidy();
            slice = (slice + 1) % WHEEL_SLICES;
        }
    };
    draining.run_until_cancelled(beats).await;
    info!(
        streams = hub.streams.len(),
        window_seconds = window.as_secs(),
        "ending all streams"
    );
    let (begun, spread) = (Instant::now(), window.mul_f64(ENDING_SHARE));
    for slice in 0..slices {
        let ends = |stream: &Stream| stream.end(Ending::Drain);
        hub.streams.for_slice(slice as usize, WHEEL_SLICES, ends);
        if hub.streams.len() > 0 {
            sleep_until(begun + spread * (slice + 1) / slices).await;
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

/// Part of the drain window over which streams are told to end. The rest is for the last of them to read
/// their farewell: at the window's end the process is closed hard.
const ENDING_SHARE: f64 = 0.75;
/// How often the last streams are looked for.
const LAST_STREAMS_INTERVAL: Duration = Duration::from_millis(20);
