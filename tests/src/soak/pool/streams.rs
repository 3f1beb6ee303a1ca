//! The slots of all streams: their clients, the times of their connects, and their supervision.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::SocketAddrV4,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rustix::event::epoll;

use super::{PoolCommand, StreamFigures, connection::SoakConnection};
use crate::soak::{
    books::Books,
    client::{SoakClient, SoakStreamKind},
    faults::{Fault, Faults},
    ledger::StreamLedger,
    options::SoakOptions,
    sessions::{SoakSessionRequest, SoakSessionResult},
    world::SoakFilter,
};

/// Time allowed for an answer to deliver its first frame; after that the client tries again.
const OPEN_DEADLINE: Duration = Duration::from_secs(15);
/// Time allowed for an event on an open stream before it is a fault, in milliseconds.
const OVERDUE_MILLIS: u32 = 30_000;
/// A client that lost its stream reconnects after up to this long.
const RETURN_WITHIN_MILLIS: u64 = 2000;
/// Pace at which the first streams are opened, per second.
const FIRST_OPENS_PER_SECOND: u64 = 1000;
/// Interval at which a part of the streams is checked, and the size of that part: all of them in
/// about a second.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
const CHECK_PARTS: usize = 50;
/// Interval at which the figures are published.
const PUBLISH_EVERY: Duration = Duration::from_millis(250);

/// A slot for a stream; when the stream is closed on purpose, another one takes the slot.
#[derive(Debug)]
pub(super) struct Slot {
    /// `None` while its session is being created.
    pub(super) client: Option<SoakClient>,
    pub(super) connection: Option<SoakConnection>,
    /// Counts connections: reports about an older one are ignored.
    pub(super) serial: u32,
    /// Whether this client was ever open.
    pub(super) was_open: bool,
}

#[derive(Debug, Default)]
struct Churn {
    per_second: u32,
    since: Option<Instant>,
    done: u64,
}

/// All streams.
pub(super) struct SoakStreams {
    pub(super) slots: Vec<Slot>,
    pub(super) epoll: rustix::fd::OwnedFd,
    /// The time when a slot opens its next connection, valid if its serial is still this one.
    due: BinaryHeap<Reverse<(Instant, usize, u32)>>,
    balancer: SocketAddrV4,
    pub(super) ledger: StreamLedger,
    rng: StdRng,
    session_requests: tokio::sync::mpsc::UnboundedSender<SoakSessionRequest>,
    session_results: mpsc::Receiver<SoakSessionResult>,
    pub(super) buffer: Vec<u8>,
    pub(super) figures: StreamFigures,
    /// Number of clients so far: the name of the last one.
    named: u64,
    churn: Churn,
    /// The slot that is checked next.
    next_checked: usize,
    last_check: Instant,
    settling: bool,
    /// Silence after which a stream counts as dead.
    silence: Duration,
}

impl SoakStreams {
    /// Creates the slots of all streams; the first connections are due.
    pub(super) fn new(
        options: &SoakOptions,
        balancer: SocketAddrV4,
        books: Arc<Books>,
        session_requests: tokio::sync::mpsc::UnboundedSender<SoakSessionRequest>,
        session_results: mpsc::Receiver<SoakSessionResult>,
    ) -> Result<Self> {
        let mut streams = Self {
            slots: Vec::new(),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).context("making an epoll")?,
            due: BinaryHeap::new(),
            balancer,
            ledger: StreamLedger::new(books),
            rng: StdRng::seed_from_u64(options.seed),
            session_requests,
            session_results,
            buffer: vec![0; 64 * 1024],
            figures: StreamFigures::default(),
            named: 0,
            churn: Churn::default(),
            next_checked: 0,
            last_check: Instant::now(),
            settling: false,
            silence: options.silence(),
        };
        streams.populate(options.streams);
        Ok(streams)
    }

    fn populate(&mut self, count: usize) {
        let start = Instant::now();
        for slot in 0..count {
            self.slots.push(Slot {
                client: None,
                connection: None,
                serial: 0,
                was_open: false,
            });
            let after = Duration::from_micros(slot as u64 * 1_000_000 / FIRST_OPENS_PER_SECOND);
            self.fill_slot(slot, start + after, None);
        }
    }

    /// Puts a new client into the slot; one in twenty has a session and one in twenty listens.
    fn fill_slot(&mut self, slot: usize, at: Instant, previous_session: Option<String>) {
        // The first client wants everything and stays, so that every event is received on some
        // stream.
        let filter = match slot {
            0 => SoakFilter::EVERYTHING,
            _ => SoakFilter::pick(&mut self.rng),
        };
        self.named += 1;
        let place = &mut self.slots[slot];
        place.was_open = false;
        place.serial += 1;
        let kind = match slot % 20 {
            9 => {
                let serial = place.serial;
                let request = SoakSessionRequest {
                    slot,
                    serial,
                    filter,
                    previous_session,
                };
                // The receiver is gone: the run is at its end and no more sessions are created.
                let _ = self.session_requests.send(request);
                return;
            }
            19 => SoakStreamKind::Listen,
            _ => SoakStreamKind::Events,
        };
        place.client = Some(SoakClient::new(self.named, kind, filter));
        self.due.push(Reverse((at, slot, place.serial)));
    }

    /// Serves the streams until the command to close.
    pub(super) fn run(
        mut self,
        commands: &mpsc::Receiver<PoolCommand>,
        shared: &Mutex<StreamFigures>,
    ) -> Result<Faults> {
        let mut published = Instant::now();
        loop {
            match commands.try_recv() {
                Ok(PoolCommand::Churn(per_second)) => {
                    self.churn = Churn {
                        per_second,
                        since: Some(Instant::now()),
                        done: 0,
                    };
                }
                Ok(PoolCommand::Settle) => self.settling = true,
                Ok(PoolCommand::Close) | Err(mpsc::TryRecvError::Disconnected) => break,
                Err(mpsc::TryRecvError::Empty) => {}
            }
            self.take_sessions();
            self.open_due();
            self.churn_some();
            self.check_some();
            self.turn()?;
            if published.elapsed() >= PUBLISH_EVERY {
                published = Instant::now();
                self.publish(shared);
            }
        }
        self.slots.clear();
        self.ledger.close();
        Ok(self.ledger.faults)
    }

    fn publish(&mut self, shared: &Mutex<StreamFigures>) {
        let slots = self.slots.iter();
        let is_open = |slot: &&Slot| slot.connection.as_ref().is_some_and(|c| c.opened.is_some());
        self.figures.open = slots.filter(is_open).count();
        self.figures.witnessed = self.slots.first().is_some_and(|slot| slot.was_open);
        self.figures.faults = self.ledger.faults.total();
        self.figures.unsettled = self.settling.then(|| {
            let client = |slot: &Slot| slot.client.as_ref().map(|c| c.is_settled(&self.ledger));
            let settled = self.slots.iter().map(client);
            settled.filter(|settled| *settled != Some(true)).count()
        });
        *shared.lock().unwrap_or_else(PoisonError::into_inner) = self.figures.clone();
    }

    fn take_sessions(&mut self) {
        while let Ok(made) = self.session_results.try_recv() {
            let place = &mut self.slots[made.slot];
            if place.serial != made.serial {
                continue;
            }
            match made.session {
                Ok(id) => {
                    self.named += 1;
                    let client =
                        SoakClient::new(self.named, SoakStreamKind::Session(id), made.filter);
                    place.client = Some(client);
                    self.due
                        .push(Reverse((Instant::now(), made.slot, made.serial)));
                }
                Err(why) => {
                    self.ledger.faults.add(Fault::NoSession, || why);
                    let again = Instant::now() + Duration::from_secs(1);
                    self.fill_slot(made.slot, again, None);
                }
            }
        }
    }

    /// Opens the connections that are due.
    fn open_due(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, slot, serial))) = self.due.peek().copied() {
            if at > now {
                break;
            }
            self.due.pop();
            if self.slots[slot].serial == serial {
                self.open(slot);
            }
        }
    }

    fn open(&mut self, slot: usize) {
        let place = &mut self.slots[slot];
        place.serial += 1;
        self.figures.connects += 1;
        let mark = (u64::from(place.serial) << 32) | slot as u64;
        match SoakConnection::open(self.balancer, &self.epoll, mark) {
            Ok(connection) => place.connection = Some(connection),
            Err(_) => self.schedule_reconnect(slot),
        }
    }

    /// Schedules another connection a little later, because the connection was lost or never
    /// established.
    pub(super) fn schedule_reconnect(&mut self, slot: usize) {
        let place = &mut self.slots[slot];
        place.connection = None;
        place.serial += 1;
        let pause = Duration::from_millis(self.rng.random_range(0..RETURN_WITHIN_MILLIS));
        let again = Reverse((Instant::now() + pause, slot, place.serial));
        self.due.push(again);
    }

    /// Closes the number of streams that is due, and opens others in their place.
    fn churn_some(&mut self) {
        let Some(since) = self.churn.since else {
            return;
        };
        let owed = since.elapsed().as_millis() as u64 * u64::from(self.churn.per_second) / 1000;
        while self.churn.done < owed && self.slots.len() > 1 {
            self.churn.done += 1;
            let slot = self.rng.random_range(1..self.slots.len());
            let overdue = self.ledger.books.now_millis();
            self.judge_delay(slot, overdue.saturating_sub(OVERDUE_MILLIS));
            let place = &mut self.slots[slot];
            let Some(client) = place.client.take() else {
                continue;
            };
            if let Some(connection) = place.connection.take()
                && self.rng.random_bool(0.5)
            {
                connection.reset();
            }
            self.figures.churned += 1;
            let previous_session = match client.kind {
                SoakStreamKind::Session(id) => Some(id),
                SoakStreamKind::Events | SoakStreamKind::Listen => None,
            };
            self.fill_slot(slot, Instant::now(), previous_session);
        }
    }

    /// Checks some connections: those that do not open, and those that are silent or late.
    fn check_some(&mut self) {
        if self.last_check.elapsed() < CHECK_INTERVAL {
            return;
        }
        self.last_check = Instant::now();
        let late = self.ledger.books.now_millis();
        let late = late.saturating_sub(OVERDUE_MILLIS);
        for _ in 0..self.slots.len().div_ceil(CHECK_PARTS) {
            self.next_checked = (self.next_checked + 1) % self.slots.len();
            let slot = self.next_checked;
            let Some(connection) = &self.slots[slot].connection else {
                continue;
            };
            if connection.opened.is_none() {
                if connection.began.elapsed() > OPEN_DEADLINE {
                    self.figures.slow_opens += 1;
                    self.schedule_reconnect(slot);
                }
            } else if connection.last_data_at.elapsed() > self.silence {
                let (client, silence) = (&self.slots[slot].client, self.silence);
                let what = || format!("for {silence:?}: {client:?}");
                self.ledger.faults.add(Fault::Silent, what);
                self.schedule_reconnect(slot);
            } else if self.judge_delay(slot, late) {
                // The stream is restarted, so that one delay is one fault.
                self.schedule_reconnect(slot);
            }
        }
    }

    /// Whether a stream that has been open all the time misses an event that was acknowledged
    /// before `late`.
    fn judge_delay(&mut self, slot: usize, late: u32) -> bool {
        let place = &self.slots[slot];
        let (Some(client), Some(connection)) = (&place.client, &place.connection) else {
            return false;
        };
        let overdue = Duration::from_millis(u64::from(OVERDUE_MILLIS));
        if connection
            .opened
            .is_none_or(|opened| opened.elapsed() < overdue)
        {
            return false;
        }
        let Some((repository, number)) = client.overdue(&self.ledger, late) else {
            return false;
        };
        let what = || format!("number {number} of repository {repository}: {client:?}");
        self.ledger.faults.add(Fault::Overdue, what);
        true
    }
}
