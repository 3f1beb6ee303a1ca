//! One history: what happens, in which order, from one seed.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use model::{Clock, StoredEvent};
use ports::{Bus, EventLog, Stores};
use rand::{Rng, SeedableRng, rngs::StdRng};
use store_memory::{MemorySessionStore, SavedSessions};
use tokio::time::{Instant, sleep};

use crate::{
    bus::{BusHandle, SimulatedBus},
    client::SimulatedClient,
    edge::SimulatedEdge,
    ingest::{REPOS, SimulatedIngest},
    ledger::{Ledger, Moment},
    link::{NodeLife, Outages, StoreLink},
    log::{LogHandle, SimulatedLog},
    post::Post,
    session::SessionClient,
    steps::{Step, Steps},
    store::SessionsHandle,
    task::{LEASE, SimulatedTasks},
    time::{NodeClock, SeededIds, TrueClock},
};

const EDGES: usize = 2;
const CLIENTS: usize = 3;
const SESSIONS: usize = 2;
const STEPS: usize = 30;
/// More sessions than a history has.
const MAX_SESSIONS: usize = 1000;
/// Long enough for every retry.
const SETTLE: Duration = Duration::from_secs(6);
/// Longer than an edge takes to check its sessions, which finds whatever was not announced.
const CHECK: Duration = Duration::from_secs(17);
/// Longer than the time by which a log believes a receive time that is ahead of its own clock, and than the
/// small skews.
const BELIEVED: Duration = Duration::from_secs(200);
const SECOND: i64 = 1000;
const DAY: i64 = 24 * 3600 * SECOND;
/// Differences of a node's clock from the true time, in milliseconds.
const SKEWS: [i64; 8] = [
    0,
    3 * SECOND,
    -3 * SECOND,
    90 * SECOND,
    -90 * SECOND,
    8 * DAY,
    3653 * DAY,
    -3653 * DAY,
];

/// A place for an edge: its machine's clock stays when the edge restarts.
struct EdgePlace {
    clock: Arc<NodeClock>,
    edge: SimulatedEdge,
}

pub(crate) struct World {
    random: StdRng,
    steps: Steps,
    truth: Arc<TrueClock>,
    log: Arc<SimulatedLog>,
    log_outages: Arc<Outages>,
    store: Arc<MemorySessionStore>,
    store_outages: Arc<Outages>,
    saved: Vec<(Moment, SavedSessions)>,
    bus: Arc<SimulatedBus>,
    ingest: SimulatedIngest,
    ingest_clock: Arc<NodeClock>,
    places: Vec<EdgePlace>,
    clients: Vec<SimulatedClient>,
    sessions: Vec<SessionClient>,
    tasks: SimulatedTasks,
    ledger: Arc<Ledger>,
    post: Arc<Post>,
    began_at: Instant,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let steps = Steps::choose(&mut random);
        let ledger = Arc::<Ledger>::default();
        let post = Post::new(&ledger);
        let truth = Arc::new(TrueClock::new());
        let (log, bus) = (
            SimulatedLog::new(&truth),
            SimulatedBus::new(random.random()),
        );
        let log_outages = Outages::new(random.random());
        let store_outages = Outages::new(random.random());
        let clock: Arc<dyn Clock> = Arc::<TrueClock>::clone(&truth);
        let ingest_clock = Arc::new(NodeClock::new(&truth));
        let node = NodeLife::new();
        let ingest = SimulatedIngest::new(
            log_of(&log, &log_outages, &node),
            bus_of(&bus, &node),
            Arc::clone(&ingest_clock),
            &ledger,
        );
        let client = |number: usize| {
            let repo = (number > 0).then(|| REPOS[number % REPOS.len()]);
            SimulatedClient::new(number, repo, &ledger)
        };
        let store = Arc::new(MemorySessionStore::new(clock, MAX_SESSIONS));
        let session = |number| SessionClient::new(number, (&ledger, &post), (&store, &log_outages));
        let mut world = Self {
            clients: (0..CLIENTS).map(client).collect(),
            sessions: (0..SESSIONS).map(session).collect(),
            tasks: SimulatedTasks::new(&ledger, &store_outages),
            saved: Vec::new(),
            places: Vec::new(),
            began_at: Instant::now(),
            random,
            steps,
            truth,
            log,
            log_outages,
            store,
            store_outages,
            bus,
            ingest,
            ingest_clock,
            ledger,
            post,
        };
        for _ in 0..EDGES {
            let clock = Arc::new(NodeClock::new(&world.truth));
            let edge = world.edge(&clock);
            world.places.push(EdgePlace { clock, edge });
        }
        if world.steps.has(Step::SetClock) {
            (0..=EDGES).for_each(|_| world.set_clock());
        }
        world.pause(1000).await;
        world
    }

    fn edge(&mut self, clock: &Arc<NodeClock>) -> SimulatedEdge {
        let node = NodeLife::new();
        let link = StoreLink {
            outages: Arc::clone(&self.store_outages),
            node: node.clone(),
        };
        let store = Arc::clone(&self.store);
        let stores = Stores::new(
            log_of(&self.log, &self.log_outages, &node),
            bus_of(&self.bus, &node),
            Arc::new(SessionsHandle { store, link }),
        );
        let ids = Arc::new(SeededIds::new(self.random.random()));
        SimulatedEdge::start(stores, node, Arc::clone(clock), ids)
    }

    /// Lets up to so many milliseconds pass.
    async fn pause(&mut self, max_millis: u64) {
        let millis = self.random.random_range(0..=max_millis);
        sleep(Duration::from_millis(millis)).await;
    }

    /// Runs the history, checks the ledger, and returns the story.
    pub(crate) async fn live(mut self) -> Result<String> {
        for _ in 0..STEPS {
            let step = self.steps.next(&mut self.random);
            let at = self.began_at.elapsed();
            self.ledger.tell(format!("-- {at:?}: {step:?}"));
            self.step(step).await;
            let max_millis = if self.random.random_bool(0.1) {
                3000
            } else {
                30
            };
            self.pause(max_millis).await;
        }
        self.settle().await;
        let balance = self.ledger.balance().and_then(|()| self.post.balance());
        let ledger = Arc::clone(&self.ledger);
        let retained = match balance {
            Ok(()) => self.retain().await,
            Err(error) => Err(error),
        };
        retained.with_context(|| ledger.story())?;
        Ok(ledger.story())
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Deliver => {
                let count = self.random.random_range(1..5);
                self.deliver(count).await;
            }
            Step::Connect => self.connect(),
            Step::Cut => {
                let client = self.random.random_range(0..CLIENTS);
                self.clients[client].cut();
            }
            Step::OpenSession | Step::CutSession | Step::SendMessage | Step::Subscribe => {
                self.use_session(step);
            }
            Step::StartTask | Step::AskTask => self.use_task(step),
            Step::RestartEdge => self.restart_edge(),
            Step::InterruptBus => self.bus.interrupt(),
            Step::StaleHint => self.bus.repeat(),
            Step::LogFails | Step::StoreFails | Step::BusFails => self.fail(step),
            Step::LogHangs | Step::StoreHangs => self.hang(step),
            Step::Trim => self.trim().await,
            Step::SetLogBack => self.set_log_back().await,
            Step::ReplaceLog => {
                let lost = self.log.replace().await;
                self.ledger.set_back(&ids(&lost));
            }
            Step::PlantEntries => self.plant_entries().await,
            Step::DamageEntry => self.damage_entry().await,
            Step::SaveStore => self.saved.push((self.ledger.tick(), self.store.save())),
            Step::SetStoreBack => self.set_store_back(),
            Step::SetClock => self.set_clock(),
            Step::LongPause => self.pause(20_000).await,
        }
    }

    fn short_time(&mut self) -> Duration {
        let time = Duration::from_millis(self.random.random_range(0..7000));
        self.ledger.tell(format!("for {time:?}"));
        time
    }

    async fn deliver(&mut self, count: usize) {
        let repos = (0..count).map(|_| REPOS[self.random.random_range(0..REPOS.len())]);
        let repos = repos.collect();
        self.ingest.deliver(repos).await;
    }

    fn any_edge(&mut self) -> usize {
        self.random.random_range(0..EDGES)
    }

    fn connect(&mut self) {
        let (client, edge) = (self.random.random_range(0..CLIENTS), self.any_edge());
        self.connect_client(client, edge);
    }

    fn connect_client(&mut self, client: usize, edge: usize) {
        self.ledger
            .tell(format!("client {client} connects to edge {edge}"));
        let connection = self.places[edge].edge.connection();
        self.clients[client].connect(edge, connection);
    }

    fn use_session(&mut self, step: Step) {
        let (session, edge) = (self.random.random_range(0..SESSIONS), self.any_edge());
        let connection = self.places[edge].edge.connection();
        self.ledger.tell(format!("session {session}, edge {edge}"));
        let (client, random) = (&mut self.sessions[session], &mut self.random);
        match step {
            Step::OpenSession => client.connect(edge, connection),
            Step::SendMessage => client.send(edge, connection, random.random()),
            Step::Subscribe => {
                let repo = REPOS[random.random_range(0..REPOS.len())];
                if client.lacks(repo) {
                    client.subscribe(edge, connection, repo);
                }
            }
            _ => client.cut(),
        }
    }

    fn use_task(&mut self, step: Step) {
        let number = self.any_edge();
        let edge = &self.places[number].edge;
        let connection = edge.connection();
        match step {
            Step::StartTask => self.tasks.start(number, edge.node().clone(), connection),
            _ => {
                let choice = self.random.random_range(0..usize::MAX);
                self.tasks.ask(choice, number, connection);
            }
        }
    }

    fn restart_edge(&mut self) {
        let number = self.any_edge();
        self.ledger.restart(number);
        for client in &mut self.clients {
            if client.is_on(Some(number)) {
                client.cut();
            }
        }
        self.sessions
            .iter_mut()
            .for_each(|client| client.lose(number));
        self.tasks.lose(number);
        let clock = Arc::clone(&self.places[number].clock);
        let edge = self.edge(&clock);
        self.places[number] = EdgePlace { clock, edge };
    }

    fn fail(&mut self, step: Step) {
        let time = self.short_time();
        match step {
            Step::LogFails => self.log_outages.fail_for(time),
            Step::StoreFails => self.store_outages.fail_for(time),
            _ => self.bus.outages.fail_for(time),
        }
    }

    fn hang(&mut self, step: Step) {
        let time = self.short_time();
        match step {
            Step::LogHangs => self.log_outages.hang_for(time),
            _ => self.store_outages.hang_for(time),
        }
    }

    /// Retention, by the log's own clock.
    async fn trim(&mut self) {
        let age = Duration::from_millis(self.random.random_range(0..4000));
        let trimmed = self.log.trim(self.truth.now().minus(age)).await;
        self.ledger.trim(&ids(&trimmed));
    }

    async fn set_log_back(&mut self) {
        let count = self.random.random_range(1..10);
        let lost = self.log.set_back(count).await;
        let lost = ids(&lost);
        self.ledger.set_back(&lost);
        // The store is started again for that, and the bus with it.
        self.bus.forget(&lost);
        self.bus.interrupt();
    }

    async fn plant_entries(&mut self) {
        let count = self.random.random_range(1..3);
        let entries: Vec<_> = (0..count).map(|_| self.ingest.event("nowhere")).collect();
        self.ledger.damage(&format!("{:?}", ids(&entries)));
        self.log.plant(entries, self.random.random()).await;
    }

    async fn damage_entry(&mut self) {
        let count = self.log.events().await.len();
        let place = self.random.random_range(0..count.max(1));
        let damaged = self.log.damage(place, self.random.random()).await;
        if let Some(damaged) = damaged {
            self.ledger.damage(damaged.facts.id.as_str());
        }
    }

    fn set_store_back(&mut self) {
        if self.saved.is_empty() {
            return;
        }
        let choice = self.random.random_range(0..self.saved.len());
        // States that were saved later never were.
        self.saved.truncate(choice + 1);
        let (saved, state) = &self.saved[choice];
        self.store.restore(state);
        self.tasks.excuse();
        let covers = |name: &str, subscription| {
            let mut clients = self.sessions.iter();
            clients.any(|client| client.covers(name, subscription))
        };
        let lost = self.post.set_back(*saved, covers);
        for (name, repo) in lost {
            self.sessions
                .iter()
                .for_each(|client| client.forget(&name, repo));
        }
    }

    fn set_clock(&mut self) {
        let ahead = SKEWS[self.random.random_range(0..SKEWS.len())];
        let node = self.random.random_range(0..=EDGES);
        self.ledger
            .tell(format!("the clock of node {node} is {ahead} ms ahead"));
        let clock = self.places.get(node).map(|place| &place.clock);
        clock.unwrap_or(&self.ingest_clock).set(ahead);
    }

    /// Everything is well again: clients reconnect, and the last events and messages reach all of them.
    async fn settle(&mut self) {
        self.ledger.tell("-- everything is well again");
        for outages in [&self.log_outages, &self.store_outages, &self.bus.outages] {
            outages.heal();
        }
        sleep(SETTLE).await;
        for round in 0..2 {
            self.reconnect(round);
            sleep(SETTLE).await;
            self.deliver(3).await;
            for client in 0..SESSIONS {
                let connection = self.places[round % EDGES].edge.connection();
                self.sessions[client].send(round % EDGES, connection, true);
            }
            sleep(SETTLE).await;
        }
        sleep(CHECK).await;
        if self.tasks.has_orphans() {
            sleep(LEASE).await;
        }
        self.tasks.settle(&self.places[0].edge.connection()).await;
    }

    fn reconnect(&mut self, round: usize) {
        for client in 0..CLIENTS {
            if !self.clients[client].is_on(None) {
                self.connect_client(client, (client + round) % EDGES);
            }
        }
        if !self.steps.has(Step::OpenSession) {
            return;
        }
        for number in 0..SESSIONS {
            let edge = (number + round) % EDGES;
            let connection = self.places[edge].edge.connection();
            let client = &mut self.sessions[number];
            if !client.is_open() {
                client.connect(edge, connection);
            } else if client.lacks(REPOS[0]) {
                client.subscribe(edge, connection, REPOS[0]);
            }
        }
    }

    /// Retention reaches every event, whatever the clock by which it was received, once a later event was
    /// received by a right one.
    async fn retain(mut self) -> Result<()> {
        self.places.clear();
        self.ingest_clock.set(0);
        self.deliver(1).await;
        sleep(BELIEVED).await;
        self.log.trim(self.truth.now()).await;
        let kept = ids_of(&self.log).await;
        ensure!(kept.is_empty(), "retention does not reach {kept:?}");
        Ok(())
    }
}

fn log_of(log: &Arc<SimulatedLog>, outages: &Arc<Outages>, node: &NodeLife) -> Arc<dyn EventLog> {
    Arc::new(LogHandle {
        log: Arc::clone(log),
        link: StoreLink {
            outages: Arc::clone(outages),
            node: node.clone(),
        },
    })
}

fn bus_of(bus: &Arc<SimulatedBus>, node: &NodeLife) -> Arc<dyn Bus> {
    Arc::new(BusHandle {
        bus: Arc::clone(bus),
        node: node.clone(),
    })
}

async fn ids_of(log: &SimulatedLog) -> Vec<String> {
    let events = log.events().await.into_iter();
    events
        .map(|event| event.item.facts.id.as_str().to_owned())
        .collect()
}

fn ids(events: &[StoredEvent]) -> Vec<String> {
    let id = |event: &StoredEvent| event.facts.id.as_str().to_owned();
    events.iter().map(id).collect()
}
