//! A bus that loses, delays and repeats messages.

use std::time::Duration;

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

/// The longest delay of a message.
const MAX_DELAY: Duration = Duration::from_millis(20);

/// A message with the time at which it arrives.
type Delayed = (Instant, BusEvent);

/// The bus of one history.
#[derive(Debug)]
pub(crate) struct SimulatedBus(Mutex<State>);

#[derive(Debug)]
struct State {
    random: StdRng,
    subscribers: Vec<(Topic, mpsc::UnboundedSender<Delayed>)>,
}

impl SimulatedBus {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(State {
            random: StdRng::seed_from_u64(seed),
            subscribers: Vec::new(),
        }))
    }

    /// The connections of all subscribers break and are restored.
    pub(crate) fn interrupt(&self) {
        for (_, subscriber) in &self.0.lock().subscribers {
            let _ = subscriber.send((Instant::now(), BusEvent::Gap));
        }
    }
}

#[async_trait]
impl Bus for SimulatedBus {
    async fn publish(
        &self,
        topic: &Topic,
        message: BusMessage,
        trace: Option<TraceContext>,
    ) -> Result<(), BusError> {
        let mut state = self.0.lock();
        let State {
            random,
            subscribers,
        } = &mut *state;
        for (_, subscriber) in subscribers.iter().filter(|(of, _)| of == topic) {
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
        Ok(())
    }

    async fn subscribe(&self, topic: &Topic) -> Result<BusSubscription, BusError> {
        let (sender, receiver) = mpsc::unbounded_channel::<Delayed>();
        self.0.lock().subscribers.push((topic.clone(), sender));
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
