//! Signed deliveries at a pace, over real HTTP. Those of one repository are sent one after the
//! other, so that their order in the log is known; the repositories are served concurrently.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::Url;
use testkit::fake_github::{Delivery, ReceiverAnswer, SendDeliveryError, WebhookSender};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use super::{
    books::Books,
    faults::{Fault, Faults},
    world::{Mark, MarkedWebhook, REPOSITORIES},
};

/// Time for which a delivery is retried until an ingest accepts it.
const DEADLINE: Duration = Duration::from_secs(60);

/// All senders; they stop at the signal `stop`, each with its last delivery acknowledged.
#[derive(Debug)]
pub(crate) struct Senders {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    faults: Arc<Mutex<Faults>>,
    answers: Arc<Mutex<SoakAnswers>>,
}

/// The first answers to deliveries; a delivery that is refused is sent again.
#[derive(Debug, Clone, Default)]
pub(crate) struct SoakAnswers {
    /// The time that each accepted delivery took, in microseconds.
    pub(crate) micros: Vec<u64>,
    /// Number of deliveries that were refused.
    pub(crate) refused: u64,
    /// Number of deliveries without an answer within GitHub's ten seconds.
    pub(crate) unanswered: u64,
    /// The first of both.
    pub(crate) example: Option<String>,
}

impl SoakAnswers {
    fn record(&mut self, answer: &Result<ReceiverAnswer, SendDeliveryError>) {
        match answer {
            Ok(answer) if answer.is_accepted() => {
                let micros = u64::try_from(answer.elapsed.as_micros());
                self.micros.push(micros.unwrap_or(u64::MAX));
            }
            Ok(answer) => {
                self.refused += 1;
                let example = || format!("{} {}", answer.status, answer.body);
                self.example.get_or_insert_with(example);
            }
            Err(error) => {
                self.unanswered += 1;
                self.example.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

impl Senders {
    /// Starts to send.
    pub(crate) fn start(
        ingest: &Url,
        hook: &MarkedWebhook,
        books: &Arc<Books>,
        events_per_second: u32,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let faults = Arc::new(Mutex::new(Faults::default()));
        let answers = Arc::new(Mutex::new(SoakAnswers::default()));
        let mut tasks = JoinSet::new();
        let every = Duration::from_secs(1) * REPOSITORIES as u32 / events_per_second;
        let (begin, sender) = (Instant::now(), WebhookSender::new());
        for repository in 0..REPOSITORIES {
            let sending = Sending {
                repository,
                ingest: ingest.clone(),
                hook: hook.clone(),
                books: Arc::clone(books),
                sender: sender.clone(),
                faults: Arc::clone(&faults),
                answers: Arc::clone(&answers),
            };
            // Spread over the interval, so that they are evenly distributed.
            let first = begin + every * repository as u32 / REPOSITORIES as u32;
            tasks.spawn(sending.run(first, every, stopped.clone()));
        }
        Self {
            stop,
            tasks,
            faults,
            answers,
        }
    }

    /// The answers since the last call.
    pub(crate) fn take_answers(&self) -> SoakAnswers {
        let answers = self.answers.lock();
        std::mem::take(&mut answers.unwrap_or_else(PoisonError::into_inner))
    }

    /// Stops, and waits until every delivery sent is acknowledged.
    pub(crate) async fn stop(mut self) -> Faults {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        let faults = self.faults.lock();
        faults.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Sending {
    repository: usize,
    ingest: Url,
    hook: MarkedWebhook,
    books: Arc<Books>,
    sender: WebhookSender,
    faults: Arc<Mutex<Faults>>,
    answers: Arc<Mutex<SoakAnswers>>,
}

impl Sending {
    async fn run(self, first: Instant, every: Duration, mut stopped: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval_at(first, every);
        // After a stall, the planned deliveries follow at once, as from a GitHub that catches up.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                _ = ticks.tick() => {}
            }
            let number = self.books.record_sending(self.repository);
            let mark = Mark {
                repository: self.repository,
                number,
                sent_millis: self.books.now_millis(),
            };
            match self.send(&self.hook.delivery(mark)).await {
                Ok(_) => self.books.record_acknowledged(self.repository, number),
                Err(error) => {
                    let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
                    faults.add(Fault::NotAccepted, || error.to_string());
                    // It is unknown whether the event is in the log, so all that follows would be
                    // unknown too.
                    return;
                }
            }
        }
    }
    /// Sends a delivery until it is accepted; its first answer is recorded.
    async fn send(&self, delivery: &Delivery) -> Result<ReceiverAnswer, SendDeliveryError> {
        let first = self.sender.send(&self.ingest, delivery).await;
        let answers = self.answers.lock();
        answers
            .unwrap_or_else(PoisonError::into_inner)
            .record(&first);
        match first {
            Ok(answer) if answer.is_accepted() => Ok(answer),
            _ => {
                let to = std::slice::from_ref(&self.ingest);
                self.sender
                    .send_until_accepted(to, delivery, DEADLINE)
                    .await
            }
        }
    }
}
