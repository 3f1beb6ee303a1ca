//! Hostile clients, connected directly to the edges: the balancer would shield the edges from the
//! worst.

mod holding;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use holding::Holding;

const STREAM: &[u8] = b"GET /events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// Pause between two attempts of one client.
const PAUSE: Duration = Duration::from_millis(100);
/// Time that a client waits for an edge to end its connection.
const DEADLINE: Duration = Duration::from_secs(120);
/// Time that clients stay connected that only misuse a good stream.
const STAY: Duration = Duration::from_secs(3);
/// Receive buffer that the kernel keeps for a client that reads slowly.
const RECEIVE_BUFFER_BYTES: u32 = 4096;
const GARBAGE_BYTES: usize = 64 * 1024;
const HUGE_HEADER_BYTES: usize = 1 << 20;

/// The manner in which a client misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Manner {
    /// Opens a stream of everything and never reads.
    NeverReads,
    /// Opens a stream of everything and reads a byte a second.
    ReadsAByteASecond,
    /// Stops within the request's head.
    StopsInMidHead,
    /// Sends garbage after its request.
    SendsGarbage,
    /// Closes its sending direction and continues to read.
    HalfCloses,
    /// Opens a stream and resets the connection at once.
    OpensAndResets,
    /// Sends a header of one MiB.
    SendsHugeHeader,
}

impl Manner {
    const ALL: [Self; 7] = [
        Self::NeverReads,
        Self::ReadsAByteASecond,
        Self::StopsInMidHead,
        Self::SendsGarbage,
        Self::HalfCloses,
        Self::OpensAndResets,
        Self::SendsHugeHeader,
    ];

    /// Whether an edge must not hold its connection for long.
    pub(crate) fn is_bounded(self) -> bool {
        matches!(
            self,
            Self::NeverReads | Self::ReadsAByteASecond | Self::StopsInMidHead
        )
    }
}

/// The totals of the clients of one manner.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct HostileTally {
    /// Number of connections that were established.
    pub(crate) connections: u64,
    /// Number of connections that the edge ended, including by its death.
    pub(crate) ended_by_edge: u64,
    /// The longest time that an edge held one, in seconds.
    pub(crate) longest_seconds: u64,
}

/// Tallies by manner.
pub(crate) type Tallies = BTreeMap<Manner, HostileTally>;

/// All hostile clients; they stop when this is dropped.
#[derive(Debug)]
pub(crate) struct Hostile {
    tasks: JoinSet<()>,
    /// The task that reads the kernel's table for them.
    watcher: JoinSet<()>,
    stop: watch::Sender<bool>,
    tallies: Arc<Mutex<Tallies>>,
}

impl Hostile {
    /// Starts `count` of them against the edges.
    pub(crate) fn start(count: usize, edges: &[SocketAddr], seed: u64) -> Self {
        let (stop, stopped) = watch::channel(false);
        let tallies = Arc::new(Mutex::new(Tallies::new()));
        let (mut tasks, mut watcher) = (JoinSet::new(), JoinSet::new());
        let holding = Holding::watch(&mut watcher);
        for number in 0..count {
            let one = HostileClient {
                manner: Manner::ALL[number % Manner::ALL.len()],
                edges: edges.to_vec(),
                rng: StdRng::seed_from_u64(seed.wrapping_add(number as u64)),
                tallies: Arc::clone(&tallies),
                holding: holding.clone(),
            };
            tasks.spawn(one.run(stopped.clone()));
        }
        Self {
            tasks,
            watcher,
            stop,
            tallies,
        }
    }

    /// The totals so far.
    pub(crate) fn tallies(&self) -> Tallies {
        let tallies = self.tallies.lock();
        tallies.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops them all; their connections are closed when this returns.
    pub(crate) async fn stop(mut self) -> Tallies {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        self.watcher.shutdown().await;
        self.tallies()
    }
}

struct HostileClient {
    manner: Manner,
    edges: Vec<SocketAddr>,
    rng: StdRng,
    tallies: Arc<Mutex<Tallies>>,
    holding: Holding,
}

impl HostileClient {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            let edge = self.edges[self.rng.random_range(0..self.edges.len())];
            let began = Instant::now();
            let ended = tokio::select! {
                ended = self.misbehave(edge) => ended.ok(),
                _ = stopped.wait_for(|stopped| *stopped) => Some(false),
            };
            // An edge that is down has held no connection.
            if let Some(by_edge) = ended {
                let seconds = began.elapsed().as_secs();
                let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
                let tally = tallies.entry(self.manner).or_default();
                tally.connections += 1;
                tally.ended_by_edge += u64::from(by_edge);
                tally.longest_seconds = tally.longest_seconds.max(seconds);
            }
            sleep(PAUSE).await;
        }
    }

    /// Misuses one edge in its manner; gives whether the edge ended the connection.
    async fn misbehave(&mut self, edge: SocketAddr) -> Result<bool> {
        let socket = TcpSocket::new_v4()?;
        if matches!(self.manner, Manner::NeverReads | Manner::ReadsAByteASecond) {
            socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        }
        let mut stream = timeout(STAY, socket.connect(edge)).await??;
        let ours = stream.local_addr()?;
        match self.manner {
            Manner::NeverReads => {
                stream.write_all(STREAM).await?;
                Ok(
                    timeout(DEADLINE, self.holding.wait_until_released(edge, ours))
                        .await
                        .is_ok(),
                )
            }
            Manner::ReadsAByteASecond => {
                stream.write_all(STREAM).await?;
                let reading = async {
                    while stream.read_u8().await.is_ok() {
                        sleep(Duration::from_secs(1)).await;
                    }
                };
                let ended = async {
                    tokio::select! {
                        () = reading => {}
                        () = self.holding.wait_until_released(edge, ours) => {}
                    }
                };
                Ok(timeout(DEADLINE, ended).await.is_ok())
            }
            Manner::StopsInMidHead => {
                stream.write_all(&STREAM[..30]).await?;
                Ok(timeout(DEADLINE, drain(&mut stream)).await.is_ok())
            }
            Manner::SendsGarbage => {
                let mut garbage = vec![0; GARBAGE_BYTES];
                self.rng.fill(&mut garbage[..]);
                stream.write_all(STREAM).await?;
                Ok(stay_connected(&mut stream, &garbage).await)
            }
            Manner::HalfCloses => {
                stream.write_all(STREAM).await?;
                stream.shutdown().await?;
                Ok(timeout(STAY, drain(&mut stream)).await.is_ok())
            }
            Manner::OpensAndResets => {
                stream.write_all(STREAM).await?;
                stream.set_zero_linger()?;
                Ok(false)
            }
            Manner::SendsHugeHeader => {
                let mut head =
                    b"GET /events/stream HTTP/1.1\r\nHost: localhost\r\nX-Huge: ".to_vec();
                head.resize(head.len() + HUGE_HEADER_BYTES, b'x');
                head.extend_from_slice(b"\r\n\r\n");
                Ok(stay_connected(&mut stream, &head).await)
            }
        }
    }
}

/// Reads to the end and discards the data.
async fn drain(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
}

/// Sends bytes while reading, and stays connected briefly; gives whether the edge ended the
/// connection.
async fn stay_connected(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    let (mut reader, mut writer) = stream.split();
    let mut buffer = [0; 4096];
    let reading = async { while matches!(reader.read(&mut buffer).await, Ok(1..)) {} };
    let writing = async {
        // An edge that has already refused does not accept the rest.
        let _ = writer.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let ended = async {
        tokio::select! {
            () = reading => {}
            () = writing => {}
        }
    };
    timeout(STAY, ended).await.is_ok()
}
