//! Questions to all edges, and their answers within a bounded time.
//!
//! No edge keeps a list of the others in a store. Each says over the bus, every [`PRESENCE_INTERVAL`], that it is
//! there, so an edge that asks knows whose answers to wait for, and names those that do not come. An edge that was
//! killed is missed for up to [`PRESENCE_LIFE`]; an edge that has just begun, and may not know all, waits for its
//! whole time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use model::IdSource;
use parking_lot::Mutex;
use ports::{Bus, EdgeName, EdgeNews, Topic};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::limits::{
    ANSWERS_PER_QUESTION, ANSWERS_WAIT, LEAVE_WAIT, MAX_EDGES, PRESENCE_INTERVAL, PRESENCE_LIFE,
    PRESENCE_SETTLED, QUESTIONS_WAITING,
};

/// This edge among the others.
#[derive(Debug)]
pub(crate) struct EdgePeers {
    name: EdgeName,
    bus: Arc<dyn Bus>,
    /// The other edges, and when each was heard of last.
    others: Mutex<BTreeMap<EdgeName, Instant>>,
    /// When this edge began to hear the others.
    listens_since: Mutex<Option<Instant>>,
    /// When this edge last heard its own presence over the bus.
    heard_itself: Mutex<Option<Instant>>,
    /// The next presence asks the others to answer with theirs.
    is_new: AtomicBool,
    /// A presence is due before its time.
    hello: Notify,
    next_question: AtomicU64,
    waiting: Mutex<HashMap<u64, mpsc::Sender<(EdgeName, String)>>>,
    questions: mpsc::Sender<AskedQuestion>,
}

/// A question of another edge.
#[derive(Debug)]
pub(crate) struct AskedQuestion {
    pub(crate) asker: EdgeName,
    pub(crate) question: u64,
    pub(crate) body: String,
}

/// The questions of other edges, for the component that answers them.
#[derive(Debug)]
pub(crate) struct AskedQuestions(pub(crate) mpsc::Receiver<AskedQuestion>);

/// The answers of edges, and the names of those that did not answer in time.
#[derive(Debug)]
pub(crate) struct EdgeAnswers<T> {
    pub(crate) answers: BTreeMap<EdgeName, T>,
    pub(crate) missing: Vec<EdgeName>,
    /// Others may be there whose messages this edge does not take, since their clock or its own is wrong.
    pub(crate) may_lack_others: bool,
}

impl<T> EdgeAnswers<T> {
    /// Whether these are the answers of all edges.
    pub(crate) fn are_all(&self) -> bool {
        self.missing.is_empty() && !self.may_lack_others
    }
}

/// A question that waits for answers, until this is dropped.
struct WaitingQuestion<'c> {
    owner: &'c EdgePeers,
    number: u64,
}

impl Drop for WaitingQuestion<'_> {
    fn drop(&mut self) {
        self.owner.waiting.lock().remove(&self.number);
    }
}

impl EdgePeers {
    pub(crate) fn new(bus: Arc<dyn Bus>, ids: &dyn IdSource) -> (Self, AskedQuestions) {
        let name = own_name(ids);
        info!(edge = %name, "the name of this edge among edges");
        let (questions, asked) = mpsc::channel(QUESTIONS_WAITING);
        let peers = Self {
            name,
            bus,
            others: Mutex::default(),
            heard_itself: Mutex::default(),
            listens_since: Mutex::default(),
            is_new: AtomicBool::new(true),
            hello: Notify::new(),
            next_question: AtomicU64::new(1),
            waiting: Mutex::default(),
            questions,
        };
        (peers, AskedQuestions(asked))
    }

    /// This edge.
    pub(crate) fn name(&self) -> &EdgeName {
        &self.name
    }

    /// From now on this edge hears the others; or it may have missed some of what they said.
    pub(crate) fn listens(&self) {
        self.listens_since.lock().get_or_insert_with(Instant::now);
        self.is_new.store(true, Ordering::Release);
        self.hello.notify_one();
    }

    /// Another edge is there, or leaves.
    pub(crate) fn note_presence(&self, edge: EdgeName, is_new: bool, leaves: bool) {
        if edge == self.name {
            *self.heard_itself.lock() = Some(Instant::now());
            return;
        }
        let mut others = self.others.lock();
        if leaves {
            others.remove(&edge);
        } else if others.len() < MAX_EDGES || others.contains_key(&edge) {
            others.insert(edge, Instant::now());
        }
        drop(others);
        if is_new {
            self.hello.notify_one();
        }
    }

    /// Another edge asks. Never blocks: with too many questions at once, it is not answered.
    pub(crate) fn note_question(&self, asker: EdgeName, question: u64, body: String) {
        if asker == self.name {
            return;
        }
        let asked = AskedQuestion {
            asker,
            question,
            body,
        };
        if self.questions.try_send(asked).is_err() {
            warn!("other edges ask more than this one answers");
        }
    }

    /// Another edge answers a question, perhaps one of this edge.
    pub(crate) fn note_answer(
        &self,
        edge: EdgeName,
        asker: &EdgeName,
        question: u64,
        body: String,
    ) {
        if *asker != self.name {
            return;
        }
        let waiting = self.waiting.lock().get(&question).cloned();
        if let Some(waiting) = waiting {
            // A full channel has more answers than there are edges.
            let _ = waiting.try_send((edge, body));
        }
    }

    /// Sends the answer to a question.
    pub(crate) async fn answer(&self, asked: &AskedQuestion, body: String) {
        let news = EdgeNews::EdgeAnswered {
            edge: self.name.clone(),
            asker: asked.asker.clone(),
            question: asked.question,
            body,
        };
        if !self.publish(news, Instant::now() + ANSWERS_WAIT).await {
            debug!(asker = %asked.asker, "an answer to another edge cannot be sent");
        }
    }

    async fn publish(&self, news: EdgeNews, until: Instant) -> bool {
        let publishing = self.bus.publish(&Topic::Broadcast, news.into(), None);
        matches!(timeout_at(until, publishing).await, Ok(Ok(())))
    }

    /// The edges whose answers are expected, apart from this one. Without the bus nothing is heard of the others, though
    /// they are there: who is silent is gone only if this edge has heard itself for longer.
    fn expected(&self) -> Vec<EdgeName> {
        let heard_itself = *self.heard_itself.lock();
        let mut others = self.others.lock();
        others.retain(|_, heard| {
            let longer = heard_itself.map(|itself| itself.saturating_duration_since(*heard));
            longer.is_none_or(|longer| longer < PRESENCE_LIFE)
        });
        others.keys().cloned().collect()
    }

    fn knows_all(&self) -> bool {
        let since = *self.listens_since.lock();
        since.is_some_and(|since| since.elapsed() >= PRESENCE_SETTLED)
    }

    /// Asks all edges, this one included, which answers with `own`; waits for the others for up to `wait`.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        body: String,
        wait: Duration,
        own: impl Future<Output = T>,
    ) -> EdgeAnswers<T> {
        let until = Instant::now() + wait;
        let number = self.next_question.fetch_add(1, Ordering::Relaxed);
        let (sender, mut answered) = mpsc::channel(ANSWERS_PER_QUESTION);
        self.waiting.lock().insert(number, sender);
        let _waiting = WaitingQuestion {
            owner: self,
            number,
        };
        let (expected, knows_all) = (self.expected(), self.knows_all());
        let news = EdgeNews::EdgesAsked {
            edge: self.name.clone(),
            question: number,
            body,
        };
        let mut answers = BTreeMap::new();
        let others = async {
            if !self.publish(news, until).await {
                warn!("other edges cannot be asked: the bus does not take the question");
                return;
            }
            while !(knows_all && expected.iter().all(|edge| answers.contains_key(edge))) {
                let Ok(Some((edge, body))) = timeout_at(until, answered.recv()).await else {
                    return;
                };
                match serde_json::from_str(&body) {
                    Ok(answer) => drop(answers.insert(edge, answer)),
                    Err(error) => warn!(%edge, %error, "the answer of an edge cannot be read"),
                }
            }
        };
        let (own, ()) = tokio::join!(own, others);
        let missing = expected.into_iter();
        let missing = missing.filter(|edge| !answers.contains_key(edge)).collect();
        answers.insert(self.name.clone(), own);
        let untimely = self.bus.since_untimely();
        EdgeAnswers {
            answers,
            missing,
            may_lack_others: untimely.is_some_and(|since| since < PRESENCE_LIFE),
        }
    }
}

/// The host's name, and what tells this process from others on it.
fn own_name(ids: &dyn IdSource) -> EdgeName {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host
        .trim()
        .chars()
        .filter(char::is_ascii_graphic)
        .take(64)
        .collect();
    let host = if host.is_empty() { "edge" } else { &host };
    // The lower half: that a process is told from others is enough.
    let unique = ids.random_u64() & u64::from(u32::MAX);
    EdgeName::new(&format!("{host}-{unique:08x}")).expect("a host name and digits")
}

/// Says over the bus that this edge is there, and at the end that it leaves. Runs until `stop`.
pub(crate) async fn present(peers: Arc<EdgePeers>, stop: CancellationToken) {
    let say = async |leaves: bool, within: Duration| {
        let news = EdgeNews::EdgePresent {
            edge: peers.name.clone(),
            is_new: peers.is_new.swap(false, Ordering::AcqRel),
            leaves,
        };
        if !peers.publish(news, Instant::now() + within).await {
            debug!("the bus does not take the presence of this edge");
        }
    };
    let mut times = interval(PRESENCE_INTERVAL);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let endless = async {
        // Not before this edge hears the answers.
        peers.hello.notified().await;
        loop {
            say(false, PRESENCE_INTERVAL).await;
            // Several edges may begin at once, and one answer is for all of them.
            let rest = Instant::now() + PRESENCE_SETTLED / 10;
            tokio::select! {
                _ = times.tick() => {}
                () = peers.hello.notified() => sleep_until(rest).await,
            }
        }
    };
    stop.run_until_cancelled(endless).await;
    say(true, LEAVE_WAIT).await;
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use model::RandomIds;
    use store_memory::InProcessBus;

    use super::*;

    fn peers() -> (Arc<EdgePeers>, AskedQuestions) {
        let bus = InProcessBus::new(NonZeroUsize::new(100).unwrap());
        let (peers, asked) = EdgePeers::new(Arc::new(bus), &RandomIds);
        (Arc::new(peers), asked)
    }

    fn edge(name: &str) -> EdgeName {
        EdgeName::new(name).unwrap()
    }

    /// Asks, and answers for those edges; gives the names in the answer, those that are missing, and the time.
    async fn ask(peers: &Arc<EdgePeers>, answering: &[&str]) -> (usize, Vec<EdgeName>, Duration) {
        let began = Instant::now();
        let asking = peers.ask("{}".to_owned(), ANSWERS_WAIT, async { 1_u64 });
        let answering = async {
            tokio::task::yield_now().await;
            let waiting = peers.waiting.lock().keys().next().copied();
            let Some(number) = waiting else {
                return;
            };
            for name in answering {
                peers.note_answer(edge(name), peers.name(), number, "1".to_owned());
            }
            // Of another edge's question, of another question, and not to be read.
            peers.note_answer(edge("a"), &edge("b"), number, "1".to_owned());
            peers.note_answer(edge("a"), peers.name(), number + 1, "1".to_owned());
            peers.note_answer(edge("a"), peers.name(), number, "?".to_owned());
        };
        let (answered, ()) = tokio::join!(asking, answering);
        assert_eq!(answered.are_all(), answered.missing.is_empty());
        let EdgeAnswers {
            answers, missing, ..
        } = answered;
        assert!(peers.waiting.lock().is_empty());
        assert_eq!(answers[peers.name()], 1);
        (answers.len(), missing, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_edge_waits_for_those_that_it_knows_and_names_who_does_not_answer() {
        let (peers, _asked) = peers();
        // It has just begun, and may not know all.
        assert_eq!(ask(&peers, &["b"]).await, (2, vec![], ANSWERS_WAIT));
        peers.listens();
        tokio::time::advance(PRESENCE_SETTLED).await;
        assert_eq!(ask(&peers, &[]).await, (1, vec![], Duration::ZERO));
        peers.note_presence(edge("b"), true, false);
        peers.note_presence(edge("c"), false, false);
        peers.note_presence(peers.name().clone(), false, false);
        assert_eq!(ask(&peers, &["b", "c"]).await, (3, vec![], Duration::ZERO));
        assert_eq!(
            ask(&peers, &["c"]).await,
            (2, vec![edge("b")], ANSWERS_WAIT)
        );
        peers.note_presence(edge("b"), false, true);
        assert_eq!(ask(&peers, &["c"]).await, (2, vec![], Duration::ZERO));
        // Without the bus it hears nobody, itself included: the others may be there.
        tokio::time::advance(PRESENCE_LIFE).await;
        assert_eq!(ask(&peers, &[]).await, (1, vec![edge("c")], ANSWERS_WAIT));
        peers.note_presence(peers.name().clone(), false, false);
        assert_eq!(ask(&peers, &[]).await, (1, vec![], Duration::ZERO));
    }

    /// A bus that leaves out what another edge says, since one of their clocks is wrong.
    #[derive(Debug)]
    struct UntimelyBus(InProcessBus, Option<Duration>);

    #[async_trait::async_trait]
    impl Bus for UntimelyBus {
        async fn publish(
            &self,
            topic: &Topic,
            message: ports::BusMessage,
            trace: Option<model::TraceContext>,
        ) -> Result<(), ports::BusError> {
            self.0.publish(topic, message, trace).await
        }

        async fn subscribe(
            &self,
            topic: &Topic,
        ) -> Result<ports::BusSubscription, ports::BusError> {
            self.0.subscribe(topic).await
        }

        async fn check(&self) -> Result<(), ports::BusError> {
            self.0.check().await
        }

        fn since_untimely(&self) -> Option<Duration> {
            self.1
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_edge_whose_clock_is_wrong_makes_answers_incomplete_though_it_is_not_heard() {
        for (since, are_all) in [
            (None, true),
            (Some(PRESENCE_INTERVAL), false),
            (Some(PRESENCE_LIFE), true),
        ] {
            let bus = InProcessBus::new(NonZeroUsize::new(100).unwrap());
            let bus = UntimelyBus(bus, since);
            let (peers, _asked) = EdgePeers::new(Arc::new(bus), &RandomIds);
            peers.listens();
            tokio::time::advance(PRESENCE_SETTLED).await;
            let asking = peers.ask("{}".to_owned(), ANSWERS_WAIT, async { 1_u64 });
            assert_eq!(asking.await.are_all(), are_all, "{since:?}");
        }
    }

    #[tokio::test]
    async fn with_too_many_questions_an_edge_does_not_answer() {
        let (peers, AskedQuestions(mut asked)) = peers();
        for number in 0..QUESTIONS_WAITING as u64 + 5 {
            peers.note_question(edge("b"), number, String::new());
        }
        peers.note_question(peers.name().clone(), 0, String::new());
        let mut waiting = 0;
        while asked.try_recv().is_ok() {
            waiting += 1;
        }
        assert_eq!(waiting, QUESTIONS_WAITING);
    }

    #[tokio::test]
    async fn no_more_edges_are_known_than_the_bound() {
        let (peers, _asked) = peers();
        for n in 0..MAX_EDGES + 5 {
            peers.note_presence(edge(&format!("edge-{n}")), false, false);
        }
        assert_eq!(peers.expected().len(), MAX_EDGES);
    }

    #[tokio::test(start_paused = true)]
    async fn an_edge_says_that_it_is_there_when_it_hears_the_others_and_that_it_leaves() {
        use futures_util::StreamExt;
        let (peers, _asked) = peers();
        let mut heard = peers.bus.subscribe(&Topic::Broadcast).await.unwrap().0;
        let mut next = async || match heard.next().await {
            Some(ports::BusEvent::Message(
                ports::BusMessage::Edge(EdgeNews::EdgePresent { is_new, leaves, .. }),
                _,
            )) => (is_new, leaves),
            other => panic!("{other:?}"),
        };
        let stop = CancellationToken::new();
        let presence = tokio::spawn(present(Arc::clone(&peers), stop.clone()));
        peers.listens();
        assert_eq!(next().await, (true, false));
        let began = Instant::now();
        assert_eq!(next().await, (false, false));
        assert!(began.elapsed() <= PRESENCE_INTERVAL);
        peers.note_presence(edge("b"), true, false);
        assert_eq!(next().await, (false, false));
        stop.cancel();
        presence.await.unwrap();
        assert_eq!(next().await, (false, true));
    }
}
