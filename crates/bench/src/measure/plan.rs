//! The extent of each measurement.

use std::{path::PathBuf, time::Duration};

use crate::opening::OpeningKind;

/// A number of streams and a pace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) streams: usize,
    pub(crate) events_per_second: u64,
    pub(crate) seconds: u64,
    /// Number of repositories; each event concerns the streams of one of them.
    pub(crate) repositories: u64,
}

impl Pace {
    /// Every event concerns all streams.
    const fn all(streams: usize, events_per_second: u64, seconds: u64) -> Self {
        Self {
            streams,
            events_per_second,
            seconds,
            repositories: 1,
        }
    }

    /// A few streams and events, to obtain one event as a sample.
    pub(super) const fn small() -> Self {
        Self::all(10, 20, 1)
    }

    /// Each event concerns the streams of one repository.
    const fn some(self, repositories: u64) -> Self {
        Self {
            repositories,
            ..self
        }
    }

    pub(super) fn events(self) -> u64 {
        self.events_per_second * self.seconds
    }

    pub(super) fn interval_nanos(self) -> u64 {
        1_000_000_000 / self.events_per_second
    }

    /// Number of streams that an event concerns.
    pub(super) fn concerned(self) -> u64 {
        self.streams as u64 / self.repositories
    }
}

/// The extent of `model-latency`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModelPace {
    /// Clients of models, each of which wants every event.
    pub(crate) clients: usize,
    pub(super) events_per_second: u64,
    pub(super) seconds: u64,
    /// Streams beside them, and the repositories whose events they want in turn.
    pub(super) streams: usize,
    pub(super) repositories: u64,
}

/// Clients that reconnect, and the clients that stay connected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Storm {
    pub(super) clients: usize,
    /// Number of events that each has missed.
    pub(super) events: u64,
    /// The streams that stay connected, the pace of their events, and the time before the storm.
    pub(super) live: Pace,
}

/// The extent of `stores`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoresExtent {
    /// Duration of each load.
    pub(super) lasting: Duration,
    /// Number of events in a replay.
    pub(super) replay_events: u64,
}

/// The extent of all measurements.
#[derive(Debug)]
pub(crate) struct MeasurePlan {
    pub(crate) scratch: PathBuf,
    /// Number of runs for measurements that vary much; the median counts.
    pub(super) runs: usize,
    pub(super) idle_streams: usize,
    pub(crate) idle_kinds: Vec<OpeningKind>,
    pub(super) deliveries: Vec<Pace>,
    /// Number of streams, and of bursts to them.
    pub(super) bursts: Vec<(usize, u64)>,
    pub(super) latency: Vec<Pace>,
    pub(crate) model: ModelPace,
    /// Calls that wait at once.
    pub(crate) waits: usize,
    pub(super) opens: usize,
    pub(super) heartbeats: (usize, u64),
    pub(super) storm: Storm,
    /// Streams beyond the capacity of one client process are spread over edges.
    pub(super) growth: Vec<Pace>,
    pub(super) matching: Vec<Pace>,
    pub(super) ingest_seconds: u64,
    /// Duration of each load of `calls`; there are three in each era.
    pub(super) calls_seconds: f64,
    /// Checks of each run of `rates`: up to what one client may do at once.
    pub(super) rate_checks: usize,
    pub(super) sessions_seconds: f64,
    pub(super) stores: StoresExtent,
    pub(super) peers: Vec<Pace>,
    pub(super) peer_idle_streams: usize,
}

impl MeasurePlan {
    /// The figures that the project publishes; below 12 minutes on two cores.
    pub(crate) fn full(scratch: PathBuf) -> Self {
        Self {
            scratch,
            runs: 3,
            idle_streams: 15_000,
            idle_kinds: OpeningKind::SERVED_BY_EDGES.to_vec(),
            deliveries: vec![Pace::all(1000, 20, 5), Pace::all(10_000, 2, 6)],
            bursts: vec![(1000, 12), (10_000, 3)],
            // 20,000 events/s in total, about half of the capacity of two cores that also run the
            // receiver. A higher rate would measure the queue, not the path.
            latency: vec![
                Pace::all(1, 200, 3),
                Pace::all(100, 200, 3),
                Pace::all(1000, 20, 8),
                Pace::all(1000, 200, 8).some(10),
            ],
            model: ModelPace {
                clients: 10,
                events_per_second: 20,
                seconds: 8,
                streams: 5000,
                repositories: 50,
            },
            waits: 10_000,
            opens: 5000,
            // Two rounds of the default of 15 s.
            heartbeats: (10_000, 30),
            storm: Storm {
                clients: 2000,
                events: 200,
                live: Pace::all(100, 20, 4),
            },
            growth: vec![
                Pace::all(1000, 20, 5),
                Pace::all(5000, 4, 5),
                Pace::all(15_000, 1, 6),
                Pace::all(30_000, 1, 6),
            ],
            matching: vec![
                Pace::all(10_000, 1000, 3).some(10_000),
                Pace::all(10_000, 200, 3).some(100),
                Pace::all(10_000, 2, 6),
            ],
            ingest_seconds: 8,
            calls_seconds: 1.0,
            rate_checks: 900_000,
            sessions_seconds: 1.5,
            stores: StoresExtent {
                lasting: Duration::from_secs(3),
                replay_events: 10_000,
            },
            peers: vec![Pace::all(1000, 20, 5), Pace::all(10_000, 2, 6)],
            peer_idle_streams: 10_000,
        }
    }

    /// A few seconds each, as a smoke test; the figures mean nothing.
    pub(crate) fn quick(scratch: PathBuf) -> Self {
        Self {
            scratch,
            runs: 1,
            idle_streams: 300,
            idle_kinds: OpeningKind::SERVED_BY_EDGES.to_vec(),
            deliveries: vec![Pace::all(200, 20, 1)],
            bursts: vec![(100, 2)],
            latency: vec![Pace::all(1, 50, 1), Pace::all(50, 50, 1).some(10)],
            model: ModelPace {
                clients: 2,
                events_per_second: 20,
                seconds: 1,
                streams: 50,
                repositories: 5,
            },
            waits: 200,
            opens: 300,
            heartbeats: (200, 2),
            storm: Storm {
                clients: 50,
                events: 40,
                live: Pace::all(20, 20, 1),
            },
            growth: vec![Pace::all(100, 10, 1), Pace::all(400, 5, 1)],
            matching: vec![
                Pace::all(200, 50, 1).some(200),
                Pace::all(200, 50, 1).some(20),
                Pace::all(200, 10, 1),
            ],
            ingest_seconds: 1,
            calls_seconds: 0.3,
            rate_checks: 20_000,
            sessions_seconds: 0.3,
            stores: StoresExtent {
                lasting: Duration::from_millis(300),
                replay_events: 600,
            },
            peers: vec![Pace::all(100, 20, 1)],
            peer_idle_streams: 300,
        }
    }
}
