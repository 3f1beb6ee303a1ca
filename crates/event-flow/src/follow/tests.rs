//! Regardless of failures of the bus and the log, the output is the log: complete, once, in order.

use std::{num::NonZeroUsize, sync::atomic::AtomicUsize};

use async_trait::async_trait;
use model::{
    EventFacts, EventId, EventOrigin, EventType, ManualClock, ResourceId, ResourceType, SessionId,
    Timestamp, TraceContext,
};
use parking_lot::Mutex;
use ports::{
    AppendResult, BusError, EdgeNews, EventLogError, EventPage, EventsBefore, SeekResult,
    StoreFailure,
};
use store_layers::{PageEntries, StoredLog};
use store_memory::{InProcessBus, MemoryLogStore};
use tokio::sync::mpsc;

use super::*;

mod receipt;
mod set_back;

const SOON: Duration = Duration::from_secs(60);

pub(super) fn event(n: u64) -> StoredEvent {
    let facts = EventFacts {
        id: EventId::new(&format!("e{n}")).unwrap(),
        event_type: EventType::UPDATED,
        action: None,
        resource_type: ResourceType::ISSUE,
        resource_id: ResourceId::new("I_1").unwrap(),
        owner: None,
        repo: None,
        number: None,
        ids: model::GithubIds::default(),
        former: None,
        actor: None,
        author: None,
        source: EventOrigin::WEBHOOK,
        tags: Vec::new(),
        timestamp: Timestamp::default(),
        received_at: Timestamp::default(),
    };
    StoredEvent {
        facts: facts.into(),
        json: format!(r#"{{"id":"e{n}"}}"#).into(),
        trace: None,
    }
}

pub(super) fn sequenced(n: u64) -> Sequenced<StoredEvent> {
    Sequenced {
        sequence: Sequence(n),
        item: event(n),
    }
}

/// A log whose numbers the test sets, and that fails, hangs and is replaced on command.
#[derive(Debug, Default)]
struct ScriptedLog(Mutex<Script>);

#[derive(Debug, Default)]
struct Script {
    epoch: u64,
    trimmed_through: u64,
    numbers: Vec<u64>,
    /// Those of `numbers` that do not decode.
    undecodable: Vec<u64>,
    down: bool,
    hangs: bool,
    pages_fail: bool,
    older_fail: bool,
    reads: usize,
    reads_before: usize,
    /// The state of the log after its head was read the next time.
    after_head: Option<Box<Script>>,
}

impl Script {
    fn last(&self) -> u64 {
        self.numbers.last().copied().unwrap_or(self.trimmed_through)
    }
}

impl ScriptedLog {
    fn holding(numbers: impl IntoIterator<Item = u64>) -> Arc<Self> {
        let numbers = numbers.into_iter().collect();
        Arc::new(Self(Mutex::new(Script {
            epoch: 1,
            numbers,
            ..Script::default()
        })))
    }

    fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.0.lock());
    }

    fn append(&self, numbers: impl IntoIterator<Item = u64>) {
        self.change(|script| script.numbers.extend(numbers));
    }

    async fn answer(&self) -> Result<(), EventLogError> {
        let (down, hangs) = {
            let script = self.0.lock();
            (script.down, script.hangs)
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        match down {
            true => Err(EventLogError::Unavailable {
                op: "answer",
                source: "down".into(),
            }),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl EventLog for ScriptedLog {
    async fn append(&self, _: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        unreachable!("a follower reads")
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        self.answer().await?;
        let mut script = self.0.lock();
        script.reads += 1;
        if script.pages_fail {
            return Err(EventLogError::Corrupt {
                op: "read",
                source: "scripted".into(),
            });
        }
        let from = after.0.max(script.trimmed_through);
        let mut page = PageEntries::default();
        for number in script.numbers.iter().filter(|number| **number > from) {
            let decodes = !script.undecodable.contains(number);
            let item = decodes.then(|| event(*number)).ok_or(EntryTag::UNDECODABLE);
            let read = page.events.len() + page.undecodable.len();
            if read == limit || !page.push(Sequence(*number), item) {
                break;
            }
        }
        let through = page.last().unwrap_or(Sequence(from));
        let trimmed = (after.0 < from).then_some(Sequence(from));
        Ok(EventPage {
            through,
            at_head: through.0 >= script.last(),
            resumes_after: page.undecodable_through().or(trimmed),
            undecodable: page.undecodable,
            events: page.events,
        })
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        self.answer().await?;
        let mut script = self.0.lock();
        script.reads_before += 1;
        assert!(script.reads_before < 1000, "it reads the same for ever");
        if script.older_fail {
            return Err(StoreFailure::unavailable("read backwards", "scripted").into());
        }
        let older = script.numbers.iter().rev().filter(|n| **n < before.0);
        Ok(EventsBefore {
            events: older.take(limit).map(|n| sequenced(*n)).collect(),
            undecodable: Vec::new(),
        })
    }

    async fn seek(&self, _: Timestamp) -> Result<SeekResult, EventLogError> {
        Ok(SeekResult {
            position: Sequence(self.0.lock().trimmed_through),
            truncated: false,
            read_bytes: 0,
        })
    }

    async fn position_of(&self, _: &EventId) -> Result<Option<Sequence>, EventLogError> {
        unreachable!("a follower has positions")
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        self.answer().await?;
        let mut script = self.0.lock();
        let head = LogHead {
            epoch: Epoch(script.epoch),
            trimmed_through: Sequence(script.trimmed_through),
            last: Sequence(script.last()),
        };
        if let Some(next) = script.after_head.take() {
            *script = *next;
        }
        Ok(head)
    }

    async fn trim(&self, _: Timestamp) -> Result<u64, EventLogError> {
        unreachable!("a follower reads")
    }
}

/// A bus that sends what the test sends, and closes and refuses on command.
#[derive(Debug, Default)]
struct ScriptedBus {
    listeners: Mutex<Vec<(Topic, mpsc::UnboundedSender<BusEvent>)>>,
    refusals: AtomicUsize,
    subscribed: AtomicUsize,
}

const ORDER: std::sync::atomic::Ordering = std::sync::atomic::Ordering::SeqCst;

impl ScriptedBus {
    fn send(&self, topic: &Topic, event: &BusEvent) {
        for (listening, listener) in self.listeners.lock().iter() {
            if listening == topic {
                let _ = listener.send(event.clone());
            }
        }
    }

    fn hint(&self, epoch: u64, numbers: impl IntoIterator<Item = u64>) {
        let events = numbers.into_iter().map(sequenced).collect();
        let hint = EventHint {
            epoch: Epoch(epoch),
            events,
        };
        let message = BusMessage::Events(Arc::new(hint));
        self.send(&Topic::Broadcast, &BusEvent::Message(message, None));
    }

    /// Ends the subscriptions of a topic.
    fn close(&self, topic: &Topic) {
        self.listeners
            .lock()
            .retain(|(listening, _)| listening != topic);
    }
}

#[async_trait]
impl Bus for ScriptedBus {
    async fn publish(
        &self,
        _: &Topic,
        _: BusMessage,
        _: Option<TraceContext>,
    ) -> Result<(), BusError> {
        unreachable!("a follower only subscribes")
    }

    async fn subscribe(&self, topic: &Topic) -> Result<BusSubscription, BusError> {
        if self
            .refusals
            .fetch_update(ORDER, ORDER, |left| left.checked_sub(1))
            .is_ok()
        {
            return Err(BusError::Unavailable {
                op: "subscribe",
                source: "down".into(),
            });
        }
        let (listener, events) = mpsc::unbounded_channel();
        self.listeners.lock().push((topic.clone(), listener));
        self.subscribed.fetch_add(1, ORDER);
        let events = futures_util::stream::unfold(events, |mut events| async {
            Some((events.recv().await?, events))
        });
        Ok(BusSubscription(Box::pin(events)))
    }

    async fn check(&self) -> Result<(), BusError> {
        Ok(())
    }
}

/// An output of a follower, short enough to compare.
#[derive(Debug, Clone, PartialEq)]
enum Got {
    Started(u64, u64),
    Events(Vec<u64>),
    Lost(u64, u64, LossReason),
    CaughtUp,
    Stalled,
    Recovered,
    Other(BusMessage),
    OtherGap,
    SetBack(u64, u64),
}

impl From<Followed> for Got {
    fn from(followed: Followed) -> Self {
        match followed {
            Followed::Started {
                epoch, position, ..
            } => Self::Started(epoch.0, position.0),
            Followed::Events(events) => {
                let number = |event: Sequenced<StoredEvent>| {
                    assert_eq!(event.item, super::tests::event(event.sequence.0));
                    event.sequence.0
                };
                Self::Events(events.into_iter().map(number).collect())
            }
            Followed::Lost(lost) => {
                let (after, resumes_after) = (lost.range.after.0, lost.range.resumes_after.0);
                Self::Lost(after, resumes_after, lost.reason)
            }
            Followed::CaughtUp { .. } => Self::CaughtUp,
            Followed::Stalled => Self::Stalled,
            Followed::Recovered => Self::Recovered,
            Followed::Other(message) => Self::Other(message),
            Followed::OtherGap => Self::OtherGap,
            Followed::SetBack {
                was, resumes_after, ..
            } => Self::SetBack(was.0, resumes_after.0),
        }
    }
}

struct Following {
    got: mpsc::UnboundedReceiver<Got>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn start(log: Arc<dyn EventLog>, bus: Arc<dyn Bus>, options: FollowOptions) -> Following {
    let (sink, got) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let also = Some(Topic::AllSessions);
    let sink = move |followed| drop(sink.send(Got::from(followed)));
    let task = tokio::spawn(follow(log, bus, also, options, stop.clone(), sink));
    Following { got, stop, task }
}

impl Following {
    async fn next(&mut self) -> Got {
        let got = timeout(SOON, self.got.recv()).await;
        got.expect("an output in time").expect("it runs")
    }

    async fn expect(&mut self, wanted: impl IntoIterator<Item = Got>) {
        for wanted in wanted {
            assert_eq!(self.next().await, wanted);
        }
    }

    /// Reads up to this output; returns the outputs before it.
    async fn until(&mut self, wanted: &Got) -> Vec<Got> {
        let mut before = Vec::new();
        loop {
            let got = self.next().await;
            if got == *wanted {
                return before;
            }
            before.push(got);
        }
    }

    /// The events among the next outputs, up to and including this one.
    async fn events_through(&mut self, last: u64) -> Vec<u64> {
        let mut events = Vec::new();
        while events.last() != Some(&last) {
            if let Got::Events(more) = self.next().await {
                events.extend(more);
            }
        }
        events
    }

    /// Checks that there is no output for this long.
    async fn quiet(&mut self, duration: Duration) {
        if let Ok(got) = timeout(duration, self.got.recv()).await {
            panic!("{got:?}");
        }
    }
}

/// A follower of a log with the events 1 to 3, at its head.
async fn at_three() -> (Arc<ScriptedLog>, Arc<ScriptedBus>, Following) {
    let (log, bus) = (ScriptedLog::holding(1..=3), Arc::<ScriptedBus>::default());
    let mut following = start(log.clone(), bus.clone(), FollowOptions::default());
    following.expect([Got::Started(1, 3), Got::CaughtUp]).await;
    (log, bus, following)
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_passed_on_at_once_and_needs_no_read() {
    let (log, bus, mut following) = at_three().await;
    log.append(4..=5);
    let asked = Instant::now();
    bus.hint(1, 4..=4);
    bus.hint(1, 5..=5);
    following
        .expect([Got::Events(vec![4]), Got::Events(vec![5])])
        .await;
    assert_eq!((asked.elapsed(), log.0.lock().reads), (Duration::ZERO, 0));
}

#[tokio::test(start_paused = true)]
async fn hints_that_overtake_each_other_are_put_in_order_within_the_grace() {
    let (log, bus, mut following) = at_three().await;
    log.append(4..=6);
    bus.hint(1, 6..=6);
    bus.hint(1, 5..=5);
    bus.hint(1, 4..=4);
    bus.hint(1, 4..=6);
    assert_eq!(following.events_through(6).await, [4, 5, 6]);
    following.quiet(Duration::from_millis(100)).await;
    assert_eq!(log.0.lock().reads, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_hint_costs_the_grace_when_another_follows_and_the_poll_when_none_does() {
    let (log, bus, mut following) = at_three().await;
    let asked = Instant::now();
    log.append(4..=5);
    bus.hint(1, 5..=5);
    assert_eq!(following.events_through(5).await, [4, 5]);
    assert!(
        asked.elapsed() <= Duration::from_millis(10),
        "{:?}",
        asked.elapsed()
    );
    log.append([6]);
    assert_eq!(following.events_through(6).await, [6]);
    assert!(
        asked.elapsed() <= Duration::from_millis(550),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_gap_on_the_bus_is_looked_after_at_once() {
    let (log, bus, mut following) = at_three().await;
    log.append(4..=9);
    let asked = Instant::now();
    bus.send(&Topic::Broadcast, &BusEvent::Gap);
    following
        .expect([Got::Events((4..=9).collect()), Got::CaughtUp])
        .await;
    assert_eq!(asked.elapsed(), Duration::ZERO);
    bus.send(&Topic::AllSessions, &BusEvent::Gap);
    following.expect([Got::OtherGap]).await;
}

#[tokio::test(start_paused = true)]
async fn other_messages_are_passed_on() {
    let (_log, bus, mut following) = at_three().await;
    let message = BusMessage::Edge(EdgeNews::SessionEnded(SessionId::new("s").unwrap()));
    for topic in [Topic::AllSessions, Topic::Broadcast] {
        bus.send(&topic, &BusEvent::Message(message.clone(), None));
        following.expect([Got::Other(message.clone())]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_may_be_left_out() {
    let (log, bus, mut following) = at_three().await;
    log.append([7, 11]);
    bus.hint(1, [7]);
    bus.hint(1, [11]);
    assert_eq!(following.events_through(11).await, [7, 11]);
}

#[tokio::test(start_paused = true)]
async fn while_the_log_is_away_it_says_so_and_afterwards_nothing_is_missing() {
    let (log, bus, mut following) = at_three().await;
    for hangs in [false, true] {
        let last = log.0.lock().last();
        log.change(|script| (script.down, script.hangs) = (!hangs, hangs));
        following.expect([Got::Stalled]).await;
        log.append(last + 1..=last + 4);
        // Hints are still passed on as long as nothing is missing.
        bus.hint(1, [last + 1]);
        following.expect([Got::Events(vec![last + 1])]).await;
        bus.hint(1, [last + 3]);
        following.quiet(Duration::from_secs(20)).await;
        log.change(|script| (script.down, script.hangs) = (false, false));
        let rest = Got::Events((last + 2..=last + 4).collect());
        following
            .expect([Got::Recovered, rest, Got::CaughtUp])
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_answer_at_the_start_is_waited_for() {
    let (log, bus) = (ScriptedLog::holding(1..=3), Arc::<ScriptedBus>::default());
    log.change(|script| script.down = true);
    let mut following = start(log.clone(), bus.clone(), FollowOptions::default());
    following.expect([Got::Stalled]).await;
    log.change(|script| script.down = false);
    following
        .expect([Got::Started(1, 3), Got::CaughtUp, Got::Recovered])
        .await;
}

/// Its head alone is no start: without the entries before it, it could be put back unseen.
#[tokio::test(start_paused = true)]
async fn a_log_whose_entries_cannot_be_read_at_the_start_is_waited_for() {
    let (log, bus) = (ScriptedLog::holding(1..=3), Arc::<ScriptedBus>::default());
    log.change(|script| script.older_fail = true);
    let mut following = start(log.clone(), bus.clone(), FollowOptions::default());
    following.expect([Got::Stalled]).await;
    following.quiet(Duration::from_secs(60)).await;
    let reads = log.0.lock().reads_before;
    assert!(reads < 50, "the pauses grow: {reads} reads in a minute");
    log.append([4]);
    log.change(|script| script.older_fail = false);
    following
        .expect([Got::Started(1, 4), Got::CaughtUp, Got::Recovered])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_closes_is_subscribed_again_and_nothing_is_lost_or_doubled() {
    let (log, bus, mut following) = at_three().await;
    for topic in [Topic::Broadcast, Topic::AllSessions] {
        let last = log.0.lock().last();
        bus.refusals.store(3, ORDER);
        log.append([last + 1, last + 2]);
        bus.hint(1, [last + 1]);
        bus.close(&topic);
        following
            .expect([Got::Events(vec![last + 1]), Got::Stalled])
            .await;
        // Messages for sessions may have been lost too.
        following.expect([Got::OtherGap, Got::Recovered]).await;
        following
            .expect([Got::Events(vec![last + 2]), Got::CaughtUp])
            .await;
        log.append([last + 3]);
        bus.hint(1, [last + 3]);
        bus.hint(1, [last + 3]);
        following.expect([Got::Events(vec![last + 3])]).await;
        following.quiet(Duration::from_secs(2)).await;
    }
    assert_eq!(
        bus.subscribed.load(ORDER),
        6,
        "one subscription of each topic at a time"
    );
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_closes_during_a_read_loses_nothing() {
    let (log, bus, mut following) = at_three().await;
    log.append(4..=6);
    log.change(|script| script.hangs = true);
    bus.send(&Topic::Broadcast, &BusEvent::Gap);
    tokio::time::sleep(Duration::from_millis(1)).await;
    bus.close(&Topic::Broadcast);
    following.expect([Got::OtherGap]).await;
    log.change(|script| script.hangs = false);
    assert_eq!(following.events_through(6).await, [4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_new_log_is_followed_from_its_beginning() {
    let (log, bus, mut following) = at_three().await;
    log.change(|script| (script.epoch, script.numbers) = (2, vec![1, 2]));
    let asked = Instant::now();
    bus.hint(2, [2]);
    following
        .expect([Got::Started(2, 0), Got::Events(vec![1, 2]), Got::CaughtUp])
        .await;
    assert_eq!(asked.elapsed(), Duration::ZERO);
    bus.hint(1, [4]);
    following.quiet(Duration::from_secs(2)).await;
    log.change(|script| (script.epoch, script.numbers) = (3, vec![]));
    following.expect([Got::Started(3, 0), Got::CaughtUp]).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_comes_back_is_compared_with_what_was_followed() {
    let (log, bus) = (ScriptedLog::holding(1..=3), Arc::<ScriptedBus>::default());
    let replace = |epoch, numbers: Vec<u64>| {
        log.change(|script| (script.epoch, script.numbers) = (epoch, numbers));
        bus.hint(epoch, [1]);
    };
    // As an edge begins.
    let start_at = FollowStart::After(LogPosition {
        epoch: Epoch(1),
        sequence: Sequence(3),
        tag: None,
    });
    let options = FollowOptions {
        start: start_at,
        ..FollowOptions::default()
    };
    let mut following = start(log.clone(), bus.clone(), options);
    following.expect([Got::Started(1, 3), Got::CaughtUp]).await;
    // Two others in between.
    replace(3, vec![]);
    following.expect([Got::Started(3, 0), Got::CaughtUp]).await;
    replace(2, vec![1]);
    following
        .expect([Got::Started(2, 0), Got::Events(vec![1]), Got::CaughtUp])
        .await;
    // An older state of the first one.
    replace(1, vec![1]);
    following
        .expect([Got::Started(1, 3), Got::SetBack(3, 1), Got::CaughtUp])
        .await;
    // The second one as it was left, with more.
    replace(2, vec![1, 2]);
    following
        .expect([Got::Started(2, 1), Got::Events(vec![2]), Got::CaughtUp])
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_new_log_after_an_outage_counts_as_recovered() {
    let (log, _bus, mut following) = at_three().await;
    log.change(|script| script.down = true);
    following.expect([Got::Stalled]).await;
    log.change(|script| {
        *script = Script {
            epoch: 2,
            ..Script::default()
        }
    });
    following
        .expect([Got::Started(2, 0), Got::CaughtUp, Got::Recovered])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_was_replaced_unseen_is_not_taken_for_the_old_one() {
    let (log, bus, mut following) = at_three().await;
    log.change(|script| script.down = true);
    following.expect([Got::Stalled]).await;
    let longer = |epoch| Script {
        epoch,
        numbers: (1..=9).collect(),
        ..Script::default()
    };
    log.change(|script| *script = longer(2));
    following.expect([Got::Started(2, 0)]).await;
    assert_eq!(
        following.events_through(9).await,
        (1..=9).collect::<Vec<_>>()
    );
    log.change(|script| *script = longer(3));
    bus.close(&Topic::Broadcast);
    following.until(&Got::Started(3, 0)).await;
    assert_eq!(
        following.events_through(9).await,
        (1..=9).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_replaced_between_the_reads_of_a_comparison_is_found() {
    let (log, bus, mut following) = at_three().await;
    // Its head says that everything was trimmed, and its entries are those of another log.
    let next = Script {
        epoch: 2,
        numbers: (1..=9).collect(),
        ..Script::default()
    };
    log.change(|script| {
        (script.trimmed_through, script.numbers) = (3, Vec::new());
        script.after_head = Some(Box::new(next));
    });
    bus.send(&Topic::Broadcast, &BusEvent::Gap);
    following.until(&Got::Started(2, 0)).await;
    assert_eq!(
        following.events_through(9).await,
        (1..=9).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_that_cannot_be_read_is_not_made_good_by_a_head_that_can() {
    let (log, bus, mut following) = at_three().await;
    log.append(4..=5);
    log.change(|script| script.pages_fail = true);
    bus.send(&Topic::Broadcast, &BusEvent::Gap);
    following.expect([Got::Stalled]).await;
    following.quiet(Duration::from_secs(30)).await;
    log.change(|script| script.pages_fail = false);
    following
        .expect([Got::Recovered, Got::Events(vec![4, 5]), Got::CaughtUp])
        .await;
}

#[tokio::test(start_paused = true)]
async fn from_the_beginning_every_page_is_read_before_it_has_caught_up() {
    let (log, bus) = (ScriptedLog::holding(21..=33), Arc::<ScriptedBus>::default());
    log.change(|script| script.trimmed_through = 20);
    let options = FollowOptions {
        start: FollowStart::Beginning,
        page_events: 5,
        ..FollowOptions::default()
    };
    let mut following = start(log, bus, options);
    following.expect([Got::Started(1, 20)]).await;
    let before = following.until(&Got::CaughtUp).await;
    let pages = [21..=25, 26..=30, 31..=33].map(|page| Got::Events(page.collect()));
    assert_eq!(before, pages);
}

#[tokio::test(start_paused = true)]
async fn what_was_trimmed_before_it_was_read_is_told() {
    let (log, bus, mut following) = at_three().await;
    log.change(|script| (script.trimmed_through, script.numbers) = (8, vec![9]));
    bus.hint(1, [9]);
    following
        .expect([
            Got::Lost(3, 8, LossReason::Trimmed),
            Got::Events(vec![9]),
            Got::CaughtUp,
        ])
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_does_not_decode_is_told_as_such() {
    let (log, bus, mut following) = at_three().await;
    log.change(|script| (script.undecodable, script.numbers) = (vec![4], vec![1, 2, 3, 4, 5]));
    bus.hint(1, [5]);
    following
        .expect([
            Got::Lost(3, 4, LossReason::Undecodable),
            Got::Events(vec![5]),
            Got::CaughtUp,
        ])
        .await;
}

#[tokio::test(start_paused = true)]
async fn more_early_hints_than_are_kept_come_from_the_log() {
    let (log, bus) = (ScriptedLog::holding([]), Arc::<ScriptedBus>::default());
    let options = FollowOptions {
        max_early: 2,
        page_events: 7,
        ..FollowOptions::default()
    };
    let mut following = start(log.clone(), bus.clone(), options);
    following.expect([Got::Started(1, 0), Got::CaughtUp]).await;
    log.append(1..=40);
    (2..=40).rev().for_each(|number| bus.hint(1, [number]));
    assert_eq!(
        following.events_through(40).await,
        (1..=40).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn a_false_hint_does_not_make_it_read_for_ever() {
    let (log, bus, mut following) = at_three().await;
    bus.hint(1, [99]);
    following.expect([Got::CaughtUp]).await;
    following.quiet(Duration::from_secs(3)).await;
    // One for the hint, and the comparison with each poll.
    assert!(log.0.lock().reads <= 8, "{}", log.0.lock().reads);
    log.append([4]);
    assert_eq!(following.events_through(4).await, [4]);
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_it_wherever_it_is() {
    let (log, bus, following) = at_three().await;
    following.stop.cancel();
    timeout(SOON, following.task).await.unwrap().unwrap();
    assert!(
        bus.listeners.lock()[0].1.is_closed(),
        "no subscription is left"
    );
    log.change(|script| script.hangs = true);
    let waiting = start(log, bus, FollowOptions::default());
    tokio::time::sleep(Duration::from_secs(1)).await;
    waiting.stop.cancel();
    timeout(SOON, waiting.task).await.unwrap().unwrap();
}

/// With the real adapters: hints that a full queue dropped are read from the log.
#[tokio::test(start_paused = true)]
async fn the_log_in_memory_is_followed_through_a_bus_that_overflows() {
    const EVENTS: u64 = 2000;
    let capacity = |count| NonZeroUsize::new(count).unwrap();
    let log = Arc::new(StoredLog::new(MemoryLogStore::new(
        &ManualClock::default(),
        capacity(10_000),
    )));
    let bus = Arc::new(InProcessBus::new(capacity(8)));
    let mut following = start(log.clone(), bus.clone(), FollowOptions::default());
    let epoch = log.head().await.unwrap().epoch;
    following
        .expect([Got::Started(epoch.0, 0), Got::CaughtUp])
        .await;
    for number in 1..=EVENTS {
        log.append(vec![event(number)]).await.unwrap();
        let hint = EventHint {
            epoch,
            events: vec![sequenced(number)],
        };
        let message = BusMessage::Events(Arc::new(hint));
        // Every seventh publisher fails before it publishes.
        if number % 7 != 0 {
            bus.publish(&Topic::Broadcast, message, None).await.unwrap();
        }
        if number % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(
        following.events_through(EVENTS).await,
        (1..=EVENTS).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_stored_position_exactly_what_came_since_is_passed_on() {
    let log = ScriptedLog::holding(1..=5);
    let options = FollowOptions {
        start: FollowStart::After(LogPosition {
            epoch: Epoch(1),
            sequence: Sequence(3),
            tag: None,
        }),
        ..FollowOptions::default()
    };
    let mut following = start(log, Arc::new(ScriptedBus::default()), options);
    following
        .expect([Got::Started(1, 3), Got::Events(vec![4, 5])])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_stored_position_of_another_log_or_beyond_its_end_begins_with_all_that_is_there() {
    for (epoch, sequence) in [(9, 3), (1, 6)] {
        let log = ScriptedLog::holding(1..=5);
        let options = FollowOptions {
            start: FollowStart::After(LogPosition {
                epoch: Epoch(epoch),
                sequence: Sequence(sequence),
                tag: None,
            }),
            ..FollowOptions::default()
        };
        let mut following = start(log, Arc::new(ScriptedBus::default()), options);
        let all = vec![1, 2, 3, 4, 5];
        following
            .expect([Got::Started(1, 0), Got::Events(all)])
            .await;
    }
}
