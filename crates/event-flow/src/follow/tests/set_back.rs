//! A log that is put back to an earlier state under the same epoch: what comes out is the log as it is in
//! the end, and every event once since the last set-back.

use std::collections::{BTreeMap, BTreeSet};

use ports::UndecodableEntry;
use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

/// A log with dense numbers whose store can be put back; its events have ids that are never given out again.
#[derive(Debug, Default)]
struct RestoredLog(Mutex<Contents>);

#[derive(Debug, Default)]
struct Contents {
    /// The ids of the entries 1, 2, 3, …
    ids: Vec<u64>,
    /// Those that do not decode, and nobody knows which events they are.
    undecodable: BTreeSet<u64>,
    next_id: u64,
    down: bool,
}

fn entry(sequence: u64, id: u64) -> Sequenced<StoredEvent> {
    let mut item = event(id);
    // Ids rise with time.
    Arc::make_mut(&mut item.facts).received_at =
        Timestamp::from_unix_millis(i64::try_from(id).unwrap());
    Sequenced {
        sequence: Sequence(sequence),
        item,
    }
}

impl Contents {
    fn last(&self) -> u64 {
        self.ids.len() as u64
    }

    fn is_undecodable(&self, entry: &Sequenced<StoredEvent>) -> bool {
        let place = usize::try_from(entry.sequence.0 - 1).unwrap();
        self.undecodable.contains(&self.ids[place])
    }

    fn answer(&self) -> Result<(), EventLogError> {
        match self.down {
            true => Err(EventLogError::Unavailable {
                op: "answer",
                source: "down".into(),
            }),
            false => Ok(()),
        }
    }

    /// The entries after a position and before another.
    fn range(
        &self,
        after: Sequence,
        before: Sequence,
    ) -> impl DoubleEndedIterator<Item = Sequenced<StoredEvent>> {
        let ids = self.ids.iter().enumerate();
        let ids = ids.skip(usize::try_from(after.0).unwrap());
        let count = before.0.saturating_sub(after.0 + 1);
        let ids = ids.take(usize::try_from(count).unwrap());
        ids.map(|(index, id)| entry(index as u64 + 1, *id))
    }
}

impl RestoredLog {
    fn append(&self, count: u64) -> Vec<Sequenced<StoredEvent>> {
        let mut log = self.0.lock();
        let append = |_| {
            log.next_id += 1;
            let id = log.next_id;
            log.ids.push(id);
            entry(log.last(), id)
        };
        (0..count).map(append).collect()
    }

    fn set_back(&self, lost: u64) {
        let mut log = self.0.lock();
        let kept = log.last().saturating_sub(lost);
        log.ids.truncate(usize::try_from(kept).unwrap());
    }

    /// The newest entry does not decode.
    fn damage(&self) {
        let mut log = self.0.lock();
        let newest = log.ids.last().copied();
        log.undecodable.extend(newest);
    }

    fn ids(&self) -> Vec<u64> {
        let log = self.0.lock();
        let mut ids = log.ids.clone();
        ids.retain(|id| !log.undecodable.contains(id));
        ids
    }
}

#[async_trait]
impl EventLog for RestoredLog {
    async fn append(&self, _: Vec<StoredEvent>) -> Result<Vec<AppendResult>, EventLogError> {
        unreachable!("a follower reads")
    }

    async fn read_after(&self, after: Sequence, limit: usize) -> Result<EventPage, EventLogError> {
        let log = self.0.lock();
        log.answer()?;
        let mut read = PageEntries::default();
        for entry in log.range(after, Sequence(u64::MAX)).take(limit) {
            let item = match log.is_undecodable(&entry) {
                true => Err(EntryTag::UNDECODABLE),
                false => Ok(entry.item),
            };
            if !read.push(entry.sequence, item) {
                break;
            }
        }
        let through = read.last().unwrap_or(after);
        Ok(EventPage {
            through,
            at_head: through.0 >= log.last(),
            resumes_after: read.undecodable_through(),
            undecodable: read.undecodable,
            events: read.events,
        })
    }

    async fn read_before(
        &self,
        before: Sequence,
        limit: usize,
    ) -> Result<EventsBefore, EventLogError> {
        let log = self.0.lock();
        log.answer()?;
        let older = log.range(Sequence::START, before).rev().take(limit);
        let (undecodable, events): (Vec<_>, _) = older.partition(|entry| log.is_undecodable(entry));
        let unknown = |entry: Sequenced<StoredEvent>| UndecodableEntry {
            sequence: entry.sequence,
            tag: EntryTag::UNDECODABLE,
        };
        Ok(EventsBefore {
            events,
            undecodable: undecodable.into_iter().map(unknown).collect(),
        })
    }

    async fn seek(&self, time: Timestamp) -> Result<SeekResult, EventLogError> {
        let log = self.0.lock();
        let mut events = log.range(Sequence::START, Sequence(u64::MAX));
        let first = events.find(|event| event.item.facts.received_at >= time);
        let position = first.map_or(Sequence(log.last()), |event| event.sequence.previous());
        Ok(SeekResult {
            position,
            truncated: false,
            read_bytes: 0,
        })
    }

    async fn position_of(&self, _: &EventId) -> Result<Option<Sequence>, EventLogError> {
        unreachable!("a follower has positions")
    }

    async fn head(&self) -> Result<LogHead, EventLogError> {
        let log = self.0.lock();
        log.answer()?;
        Ok(LogHead {
            epoch: Epoch(1),
            trimmed_through: Sequence::START,
            last: Sequence(log.last()),
        })
    }

    async fn trim(&self, _: Timestamp) -> Result<u64, EventLogError> {
        unreachable!("a follower reads")
    }
}

/// What a sink has that follows the reports: by position, the id and how often it came since the position
/// was last given up.
#[derive(Debug, Default)]
struct Sink {
    events: BTreeMap<u64, (EventId, usize)>,
    set_backs: Vec<(u64, u64)>,
}

impl Sink {
    fn take(&mut self, followed: Followed) {
        match followed {
            Followed::Events(events) => {
                for event in events {
                    let id = event.item.facts.id.clone();
                    let entry = self
                        .events
                        .entry(event.sequence.0)
                        .or_insert((id.clone(), 0));
                    entry.1 += 1;
                    assert_eq!(entry.0, id, "a position has one event");
                }
            }
            Followed::SetBack {
                was, resumes_after, ..
            } => {
                assert!(resumes_after < was);
                self.events.split_off(&resumes_after.next().0);
                self.set_backs.push((was.0, resumes_after.0));
            }
            _ => {}
        }
    }

    fn ids(&self) -> Vec<EventId> {
        assert!(
            self.events.values().all(|(_, count)| *count == 1),
            "{self:?}"
        );
        self.events.values().map(|(id, _)| id.clone()).collect()
    }
}

struct World {
    log: Arc<RestoredLog>,
    bus: Arc<ScriptedBus>,
    sink: Arc<Mutex<Sink>>,
    stop: CancellationToken,
}

impl World {
    /// A follower from the beginning of a log with this many entries.
    async fn new(entries: u64) -> Self {
        let log = Arc::new(RestoredLog::default());
        log.append(entries);
        let world = Self {
            log: Arc::clone(&log),
            bus: Arc::default(),
            sink: Arc::default(),
            stop: CancellationToken::new(),
        };
        let options = FollowOptions {
            start: FollowStart::Beginning,
            page_events: 7,
            max_early: 4,
            ..FollowOptions::default()
        };
        let sink = Arc::clone(&world.sink);
        let sink = move |followed| sink.lock().take(followed);
        let (bus, stop) = (world.bus.clone(), world.stop.clone());
        tokio::spawn(follow(log, bus, None, options, stop, sink));
        world.polled().await;
        world
    }

    fn hint(&self, events: Vec<Sequenced<StoredEvent>>) {
        let hint = EventHint {
            epoch: Epoch(1),
            events,
        };
        let message = BusMessage::Events(Arc::new(hint));
        self.bus
            .send(&Topic::Broadcast, &BusEvent::Message(message, None));
    }

    /// Lets the follower poll the head several times, and read what it finds.
    async fn polled(&self) {
        tokio::time::sleep(Duration::from_secs(6)).await;
    }

    fn check(&self) {
        let wanted = self
            .log
            .ids()
            .into_iter()
            .map(|id| event(id).facts.id.clone());
        let wanted: Vec<_> = wanted.collect();
        assert_eq!(self.sink.lock().ids(), wanted);
    }

    fn set_backs(&self) -> Vec<(u64, u64)> {
        self.sink.lock().set_backs.clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_before_the_position_is_proof() {
    let world = World::new(40).await;
    world.log.set_back(20);
    world.polled().await;
    assert_eq!(world.set_backs(), [(40, 20)]);
    world.log.append(3);
    world.polled().await;
    world.check();
}

/// The case of a NATS server that comes back without its newest events: by the time of the next look, as
/// many new ones have taken their numbers, and more.
#[tokio::test(start_paused = true)]
async fn a_log_that_has_grown_past_the_position_is_noticed_by_its_entries() {
    for has_hints in [false, true] {
        let world = World::new(40).await;
        world.log.set_back(20);
        let new = world.log.append(50);
        if has_hints {
            new.into_iter().for_each(|event| world.hint(vec![event]));
            tokio::task::yield_now().await;
        } else {
            world.bus.send(&Topic::Broadcast, &BusEvent::Gap);
        }
        world.polled().await;
        assert_eq!(world.set_backs(), [(40, 20)]);
        world.check();
    }
}

/// The entry that took the number of the position does not decode, and the bus was not interrupted.
#[tokio::test(start_paused = true)]
async fn an_undecodable_entry_in_the_place_of_the_position_shows_a_set_back() {
    for later in [0, 5] {
        let world = World::new(40).await;
        world.log.set_back(3);
        world.log.append(3);
        world.log.damage();
        world.log.append(later);
        world.polled().await;
        assert_eq!(world.set_backs(), [(40, 37)]);
        world.check();
    }
}

/// An entry was skipped because it does not decode, and one that does took its number.
#[tokio::test(start_paused = true)]
async fn an_event_in_the_place_of_an_undecodable_entry_shows_a_set_back() {
    for entries in [0, 40] {
        let world = World::new(entries).await;
        world.log.append(1);
        world.log.damage();
        world.polled().await;
        world.log.set_back(1);
        world.log.append(1);
        world.polled().await;
        assert_eq!(world.set_backs(), [(entries + 1, entries)]);
        world.check();
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_back_beyond_what_is_remembered_continues_by_time() {
    let entries = TRAIL_ENTRIES as u64 + 100;
    let world = World::new(entries).await;
    world.log.set_back(entries - 10);
    world.log.append(entries + 5);
    world.polled().await;
    assert_eq!(world.set_backs(), [(entries, 10)]);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_false_hint_for_a_followed_position_costs_one_comparison_and_tells_no_one() {
    let world = World::new(40).await;
    world.hint(vec![entry(33, 1000)]);
    world.polled().await;
    assert_eq!(world.set_backs(), []);
    world.check();
}

/// A false or stale hint for the next position hides the real event only until the log is read.
#[tokio::test(start_paused = true)]
async fn a_false_hint_for_the_next_position_is_taken_back_and_the_real_event_comes() {
    for (real_hint, later) in [(false, 0), (false, 3), (true, 0), (true, 3)] {
        let world = World::new(5).await;
        world.hint(vec![entry(6, 1000)]);
        let real = world.log.append(1);
        if real_hint {
            world.hint(real);
        }
        let rest = world.log.append(later);
        world.hint(rest);
        world.polled().await;
        assert_eq!(world.set_backs().len(), 1, "{real_hint} {later}");
        world.check();
    }
}

/// What happens to the log and its hints.
#[derive(Debug, Clone)]
enum Move {
    /// The log grows by this many entries; their hints are published, lost, or delayed.
    Append(u64, Hint),
    /// One of the delayed hints arrives, of whatever state of the log.
    Deliver(usize),
    /// The log loses its newest entries.
    SetBack(u64),
    /// The bus reports that it may have lost messages.
    Gap,
    /// The bus is closed.
    Close,
    /// The log does not answer from now on, or answers again.
    Down(bool),
    /// Time passes, in milliseconds.
    Wait(u64),
    /// The other tasks run.
    Yield,
}

#[derive(Debug, Clone, Copy)]
enum Hint {
    Sent,
    Lost,
    Delayed,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let hint = prop_oneof![Just(Hint::Sent), Just(Hint::Lost), Just(Hint::Delayed)];
    let one = prop_oneof![
        6 => (1..12_u64, hint).prop_map(|(count, hint)| Move::Append(count, hint)),
        3 => any::<usize>().prop_map(Move::Deliver),
        3 => (1..30_u64).prop_map(Move::SetBack),
        1 => Just(Move::Gap),
        1 => Just(Move::Close),
        1 => any::<bool>().prop_map(Move::Down),
        3 => (0..700_u64).prop_map(Move::Wait),
        4 => Just(Move::Yield),
    ];
    prop::collection::vec(one, 0..60)
}

async fn apply(world: &World, delayed: &mut Vec<Sequenced<StoredEvent>>, a_move: Move) {
    match a_move {
        Move::Append(count, hint) => {
            let events = world.log.append(count);
            match hint {
                Hint::Sent => world.hint(events),
                Hint::Lost => {}
                Hint::Delayed => delayed.extend(events),
            }
        }
        Move::Deliver(n) if !delayed.is_empty() => {
            let event = delayed.remove(n % delayed.len());
            world.hint(vec![event]);
        }
        Move::Deliver(_) => {}
        Move::SetBack(lost) => world.log.set_back(lost),
        Move::Gap => world.bus.send(&Topic::Broadcast, &BusEvent::Gap),
        Move::Close => world.bus.close(&Topic::Broadcast),
        Move::Down(down) => world.log.0.lock().down = down,
        Move::Wait(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
        Move::Yield => tokio::task::yield_now().await,
    }
}

proptest! {
    // The same histories in every run, unless PROPTEST_RNG_SEED requests others.
    #![proptest_config(ProptestConfig {
        rng_seed: match ProptestConfig::default().rng_seed {
            RngSeed::Random => RngSeed::Fixed(4),
            asked_for => asked_for,
        },
        ..ProptestConfig::with_cases(400)
    })]

    /// However often the log goes back, and whatever the bus does with its hints, the sink has in the end
    /// exactly the events of the log, each once since it last had to give up its position.
    #[test]
    fn what_comes_out_is_the_log_however_often_it_goes_back(moves in moves(), entries in 0..50_u64) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let world = World::new(entries).await;
            let mut delayed = Vec::new();
            for a_move in moves {
                apply(&world, &mut delayed, a_move).await;
            }
            world.log.0.lock().down = false;
            world.polled().await;
            world.check();
        });
    }
}
