//! One history: what happens, in which order, from one seed.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use model::{
    EventFacts, EventId, EventOrigin, EventType, ResourceId, ResourceType, StoredEvent, Timestamp,
};
use ports::{Bus, BusMessage, EventHint, EventLog, Topic};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep};

use crate::{
    bus::SimulatedBus, client::SimulatedClient, edge::SimulatedEdge, ledger::Ledger,
    log::SimulatedLog,
};

const REPOS: [&str; 2] = ["cat", "dog"];
const EDGES: usize = 2;
const CLIENTS: usize = 3;
const STEPS: usize = 25;
/// Long enough for every retry.
const SETTLE: Duration = Duration::from_secs(6);

pub(crate) struct World {
    random: StdRng,
    log: Arc<SimulatedLog>,
    bus: Arc<SimulatedBus>,
    edges: Vec<SimulatedEdge>,
    clients: Vec<SimulatedClient>,
    ledger: Arc<Ledger>,
    events: u64,
    began_at: Instant,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let ledger = Arc::<Ledger>::default();
        let client = |number| {
            let repo = (number > 0).then(|| REPOS[number % REPOS.len()]);
            SimulatedClient::new(number, repo, Arc::clone(&ledger))
        };
        let mut world = Self {
            log: Arc::new(SimulatedLog::new(random.random())),
            bus: Arc::new(SimulatedBus::new(random.random())),
            edges: Vec::new(),
            clients: (0..CLIENTS).map(client).collect(),
            ledger,
            random,
            events: 0,
            began_at: Instant::now(),
        };
        world.edges = (0..EDGES).map(|_| world.edge()).collect();
        world.pause(1000).await;
        world
    }

    fn edge(&self) -> SimulatedEdge {
        let log: Arc<dyn EventLog> = Arc::<SimulatedLog>::clone(&self.log);
        let bus: Arc<dyn Bus> = Arc::<SimulatedBus>::clone(&self.bus);
        SimulatedEdge::start(log, bus)
    }

    /// Lets up to so many milliseconds pass.
    async fn pause(&mut self, max_millis: u64) {
        let millis = self.random.random_range(0..=max_millis);
        sleep(Duration::from_millis(millis)).await;
    }

    /// Runs the history and checks the ledger.
    pub(crate) async fn live(mut self) -> Result<()> {
        for _ in 0..STEPS {
            self.step().await;
            let max_millis = if self.random.random_bool(0.1) {
                3000
            } else {
                30
            };
            self.pause(max_millis).await;
        }
        self.settle().await;
        self.ledger.balance()
    }

    async fn step(&mut self) {
        let at = self.began_at.elapsed();
        self.ledger.tell(format!("-- {at:?}"));
        match self.random.random_range(0..100) {
            0..50 => {
                let count = self.random.random_range(1..5);
                self.deliver(count).await;
            }
            50..62 => self.connect().await,
            62..70 => {
                let client = self.random.random_range(0..CLIENTS);
                self.ledger.tell(format!("client {client} is cut"));
                self.clients[client].cut();
            }
            70..75 => self.restart_edge(),
            75..79 => {
                self.ledger.tell("the bus is interrupted");
                self.bus.interrupt();
            }
            79..83 => {
                let time = self.short_time();
                self.ledger.tell(format!("the log fails for {time:?}"));
                self.log.fail_for(time);
            }
            83..87 => {
                let time = self.short_time();
                self.ledger.tell(format!("the log hangs for {time:?}"));
                self.log.hang_for(time);
            }
            87..91 => self.trim(),
            91..97 => self.set_back(),
            97..99 => self.replace(),
            _ => self.pause(20_000).await,
        }
    }

    fn short_time(&mut self) -> Duration {
        Duration::from_millis(self.random.random_range(0..7000))
    }

    /// One append of the ingest, and its hint.
    async fn deliver(&mut self, count: u64) {
        let events: Vec<_> = (0..count).map(|_| self.event()).collect();
        let epoch = self.log.epoch();
        let Ok(appended) = self
            .log
            .append(events.iter().map(|e| e.0.clone()).collect())
            .await
        else {
            return;
        };
        let sequenced = events.into_iter().zip(appended);
        let events = sequenced.map(|((item, repo), result)| {
            self.ledger.acknowledge(item.facts.id.as_str(), repo);
            model::Sequenced {
                sequence: result.sequence,
                item,
            }
        });
        let events = events.collect();
        let hint = BusMessage::Events(Arc::new(EventHint { epoch, events }));
        let published = self.bus.publish(&Topic::Broadcast, hint, None).await;
        published.expect("the simulated bus takes everything");
    }

    fn event(&mut self) -> (StoredEvent, &'static str) {
        self.events += 1;
        let id = format!("e{}", self.events);
        let repo = REPOS[self.random.random_range(0..REPOS.len())];
        let facts = EventFacts {
            id: EventId::new(&id).expect("letters and digits"),
            event_type: EventType::UPDATED,
            resource_type: ResourceType::ISSUE,
            resource_id: ResourceId::new("I_1").expect("letters and digits"),
            owner: Some("octo".to_owned()),
            repo: Some(repo.to_owned()),
            number: Some(1),
            actor: None,
            source: EventOrigin::WEBHOOK,
            tags: Vec::new(),
            timestamp: Timestamp::default(),
            received_at: self.now(),
        };
        let json = format!(r#"{{"id":"{id}"}}"#).into();
        let trace = None;
        (StoredEvent { facts, json, trace }, repo)
    }

    /// The receive time of an event that is received now.
    fn now(&self) -> Timestamp {
        Timestamp::default().plus(self.began_at.elapsed())
    }

    async fn connect(&mut self) {
        let client = self.random.random_range(0..CLIENTS);
        let edge = self.random.random_range(0..EDGES);
        self.ledger
            .tell(format!("client {client} connects to edge {edge}"));
        self.clients[client].connect(edge, &self.edges[edge]).await;
    }

    fn restart_edge(&mut self) {
        let edge = self.random.random_range(0..EDGES);
        self.ledger.tell(format!("edge {edge} restarts"));
        for client in &mut self.clients {
            if client.is_on(Some(edge)) {
                client.cut();
            }
        }
        self.edges[edge] = self.edge();
    }

    fn trim(&mut self) {
        let count = self.random.random_range(1..20);
        let trimmed = self.log.trim_front(count);
        self.ledger.trim(&ids(&trimmed));
    }

    fn set_back(&mut self) {
        let count = self.random.random_range(1..10);
        let lost = self.log.set_back(count);
        self.ledger.set_back(&ids(&lost));
        // The store is started again for that, and the bus with it.
        self.bus.interrupt();
    }

    fn replace(&mut self) {
        let lost = self.log.replace();
        self.ledger.set_back(&ids(&lost));
    }

    /// Everything is well again: clients reconnect, and the last events reach all of them.
    async fn settle(&mut self) {
        self.log.heal();
        sleep(SETTLE).await;
        for round in 0..2 {
            for client in 0..CLIENTS {
                if !self.clients[client].is_on(None) {
                    let edge = (client + round) % EDGES;
                    self.clients[client].connect(edge, &self.edges[edge]).await;
                }
            }
            sleep(SETTLE).await;
            self.deliver(3).await;
            sleep(SETTLE).await;
        }
    }
}

fn ids(events: &[StoredEvent]) -> Vec<String> {
    let id = |event: &StoredEvent| event.facts.id.as_str().to_owned();
    events.iter().map(id).collect()
}
