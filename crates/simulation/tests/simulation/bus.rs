//! A bus that loses, delays and repeats messages.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use model::TraceContext;
use parking_lot::Mutex;
use ports::{Bus, BusError, BusEvent, BusMessage, BusSubscription, Topic};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::link::{NodeLife, Outages};

/// The longest delay of a message.
const MAX_DELAY: Duration = Duration::from_millis(20);

/// A message with the time at which it arrives.
type Delayed = (Instant, BusEvent);

/// The bus of one history.
#[derive(Debug)]
pub(crate) struct SimulatedBus {
    state: Mutex<State>,
    /// Publishers cannot reach it; subscribers notice nothing of that.
    pub(crate) outages: Arc<Outages>,
}

#[derive(Debug)]
struct State {
    random: StdRng,
    subscribers: Vec<(Topic, mpsc::UnboundedSender<Delayed>)>,
    /// The hints so far.
    hints: Vec<BusMessage>,
}

impl SimulatedBus {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let state = State {
            random: StdRng::seed_from_u64(seed),
            subscribers: Vec::new(),
            hints: Vec::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            outages: Outages::new(seed),
        })
    }

    /// The connections of all subscribers break and are restored.
    pub(crate) fn interrupt(&self) {
        for (_, subscriber) in &self.state.lock().subscribers {
            let _ = subscriber.send((Instant::now(), BusEvent::Gap));
        }
    }

    /// One of the hints so far arrives again, much too late.
    pub(crate) fn repeat(&self) {
        let hint = {
            let State { random, hints, .. } = &mut *self.state.lock();
            let choice = random.random_range(0..hints.len().max(1));
            hints.get(choice).cloned()
        };
        if let Some(hint) = hint {
            self.deliver(&Topic::Broadcast, &hint, None);
        }
    }

    /// The log lost these events: their hints do not arrive again. The server of the log is that of the bus, so
    /// they are gone with it, and a role takes a stamp once.
    pub(crate) fn forget(&self, lost: &[String]) {
        let is_lost = |message: &BusMessage| match message {
            BusMessage::Events(hint) => {
                let mut events = hint.events.iter();
                events.any(|event| lost.iter().any(|id| id == event.item.facts.id.as_str()))
            }
            _ => false,
        };
        self.state.lock().hints.retain(|hint| !is_lost(hint));
    }

    fn deliver(&self, topic: &Topic, message: &BusMessage, trace: Option<TraceContext>) {
        let mut state = self.state.lock();
        let State {
            random,
            subscribers,
            hints,
        } = &mut *state;
        if matches!(message, BusMessage::Events(_)) {
            hints.push(message.clone());
        }
        subscribers.retain(|(_, subscriber)| !subscriber.is_closed());
        for (_, subscriber) in subscribers.iter().filter(|(of, _)| reaches(topic, of)) {
            let copies = match random.random_range(0..10) {
                0 => 0,
                1 => 2,
                _ => 1,
            };
            for _ in 0..copies {
                let delay = MAX_DELAY.mul_f64(random.random::<f64>());
                let event = BusEvent::Message(message.clone(), trace);
                let _ = subscriber.send((Instant::now() + delay, event));
            }
        }
    }
}

fn reaches(topic: &Topic, subscribed: &Topic) -> bool {
    topic == subscribed || matches!((topic, subscribed), (Topic::Session(_), Topic::AllSessions))
}

/// The bus as one node reaches it.
#[derive(Debug)]
pub(crate) struct BusHandle {
    pub(crate) bus: Arc<SimulatedBus>,
    pub(crate) node: NodeLife,
}

#[async_trait]
impl Bus for BusHandle {
    async fn publish(
        &self,
        topic: &Topic,
        message: BusMessage,
        trace: Option<TraceContext>,
    ) -> Result<(), BusError> {
        if self.bus.outages.fails() {
            let (op, source) = ("publish", "the simulation says so".into());
            return Err(BusError::Unavailable { op, source });
        }
        if self.node.lives() {
            self.bus.deliver(topic, &message, trace);
        }
        Ok(())
    }

    async fn subscribe(&self, topic: &Topic) -> Result<BusSubscription, BusError> {
        let (sender, receiver) = mpsc::unbounded_channel::<Delayed>();
        self.bus
            .state
            .lock()
            .subscribers
            .push((topic.clone(), sender));
        let arriving = stream::unfold(receiver, |mut receiver| async move {
            let (at, event) = receiver.recv().await?;
            sleep_until(at).await;
            Some((event, receiver))
        });
        Ok(BusSubscription(arriving.boxed()))
    }

    async fn check(&self) -> Result<(), BusError> {
        Ok(())
    }
}
