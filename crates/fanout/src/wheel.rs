//! One wheel for all streams: heartbeats while the edge runs, the farewell when it drains.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{format::StreamEnd, hub::Hub, stream::OpenStream};
use crate::limits::WHEEL_SLICES;

/// Visits every stream once per `heartbeat`, or ends it if it has reached its maximum age; when the
/// drain begins, ends every stream within `window`. The work of both is spread over slices, so that
/// all streams are never visited at the same moment. Cancels `ended` when no stream is left and no more
/// can be opened, because listeners have stopped accepting.
pub async fn run(
    hub: Arc<Hub>,
    heartbeat: Duration,
    window: Duration,
    stops: WheelStops,
    ended: CancellationToken,
) {
    let WheelStops {
        draining,
        stop_accepting,
    } = stops;
    let beating = beat_for_ever(&hub, heartbeat);
    tokio::pin!(beating);
    draining.run_until_cancelled(beating.as_mut()).await;
    hub.wake_waits();
    info!(
        streams = hub.streams.len(),
        window_seconds = window.as_secs(),
        "ending all streams"
    );
    // In a long window the last streams wait longer than proxies tolerate silence.
    tokio::select! {
        () = beating => {}
        () = end_all(&hub, window.mul_f64(ENDING_SHARE)) => {}
    }
    // Streams that were opened meanwhile, and clients that do not read their farewell: wait until
    // the process is closed hard.
    let last = async {
        while hub.streams.len() > 0 || !stop_accepting.is_cancelled() {
            hub.streams.end_all(StreamEnd::Drain);
            tokio::time::sleep(LAST_STREAMS_INTERVAL).await;
        }
    };
    ended.run_until_cancelled(last).await;
    ended.cancel();
}

/// The signals that stop the wheel.
#[derive(Debug)]
pub struct WheelStops {
    /// The drain has begun.
    pub draining: CancellationToken,
    /// Listeners accept nothing more.
    pub stop_accepting: CancellationToken,
}

async fn beat_for_ever(hub: &Hub, heartbeat: Duration) {
    let mut ticks = tokio::time::interval(heartbeat / SLICES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for slice in (0..WHEEL_SLICES).cycle() {
        ticks.tick().await;
        let second = hub.second();
        let beats = |stream: &OpenStream| stream.on_tick(second);
        hub.streams.for_slice(slice, WHEEL_SLICES, beats);
        hub.pages.drop_expired();
    }
}

/// Ends every stream, spread over the given time.
async fn end_all(hub: &Hub, spread: Duration) {
    let begun = Instant::now();
    for slice in 0..SLICES {
        let ends = |stream: &OpenStream| stream.end(StreamEnd::Drain);
        hub.streams.for_slice(slice as usize, WHEEL_SLICES, ends);
        if hub.streams.len() > 0 {
            sleep_until(begun + spread * (slice + 1) / SLICES).await;
        }
    }
}

/// The type by which a `Duration` is divided.
#[expect(clippy::cast_possible_truncation, reason = "a small constant")]
const SLICES: u32 = WHEEL_SLICES as u32;
/// Share of the drain window in which streams are ended. The rest lets the last of them read their
/// farewell: at the end of the window the process is closed hard.
const ENDING_SHARE: f64 = 0.75;
/// Interval at which the last streams are checked.
const LAST_STREAMS_INTERVAL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
