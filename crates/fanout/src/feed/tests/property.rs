//! Any steps in any order, and in the end the totals are right.

use std::collections::VecDeque;

use event_flow::follow::{Followed, LossReason, LostEvents};
use proptest::prelude::*;

use super::{
    super::super::{format::StreamEnd, ring::Ring},
    *,
};

const REPOS: [&str; 3] = ["a", "b", "c"];
const URIS: [&str; 2] = ["github://events/Octo/A", "github://issues/octo/b/1"];

/// A step around a stream.
#[derive(Debug, Clone)]
enum Move {
    /// The log grows, skipping some sequence numbers; the edge does not know yet.
    Append {
        repo: usize,
        skipped: u64,
    },
    /// The edge receives the next event that it does not know.
    Publish,
    /// The client reads on, if there is a reason to.
    Poll,
    /// The session subscribes to a repository, from `back` events before the log's end on.
    AddRepo {
        repo: usize,
        back: u64,
    },
    /// The session subscribes to a resource.
    AddUri {
        uri: usize,
        back: u64,
    },
    /// The session cancels one of its subscriptions.
    Remove(usize),
    /// The log drops its oldest events.
    Trim(usize),
    Beat,
    /// One more read of the log is answered.
    LetRead,
    FailRead,
    /// Time passes, for retries.
    Wait,
    /// The client's socket takes up to this many bytes more.
    Room(usize),
    /// The connection breaks, possibly in the middle of a frame, and the client reconnects with the
    /// last id that it has.
    Break,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        6 => (0..3_usize, 0..2_u64)
            .prop_map(|(repo, skipped)| Move::Append { repo, skipped }),
        6 => Just(Move::Publish),
        8 => Just(Move::Poll),
        1 => (0..3_usize, 0..8_u64).prop_map(|(repo, back)| Move::AddRepo { repo, back }),
        1 => (0..2_usize, 0..8_u64).prop_map(|(uri, back)| Move::AddUri { uri, back }),
        1 => any::<usize>().prop_map(Move::Remove),
        1 => (1..4_usize).prop_map(Move::Trim),
        1 => Just(Move::Beat),
        3 => Just(Move::LetRead),
        1 => Just(Move::FailRead),
        1 => Just(Move::Wait),
        4 => (1..3000_usize).prop_map(Move::Room),
        1 => Just(Move::Break),
    ];
    prop::collection::vec(one, 0..160)
}

/// A subscription of the session: its object, and the position after which it applies. The stream
/// begins with a subscription to `a`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct TestSubscription {
    what: &'static str,
    since: u64,
}

#[derive(Debug, Clone, Copy)]
struct Happened {
    sequence: u64,
    repo: &'static str,
}

impl Happened {
    fn touches(self, uri: &str) -> bool {
        uri.to_ascii_lowercase() == format!("github://events/octo/{}", self.repo)
            || uri == format!("github://issues/octo/{}/1", self.repo)
    }
}

struct World {
    over: Over,
    log: Arc<GatedLog>,
    hub: Arc<Hub>,
    client: FeedClient,
    unpublished: VecDeque<u64>,
    all: Vec<Happened>,
    begin: u64,
    repos: Vec<TestSubscription>,
    uris: Vec<TestSubscription>,
    revision: u64,
    /// A subscription was cancelled: events of a later identical subscription may be sent again.
    removed: bool,
    changed: bool,
}

fn subscription(what: &'static str, since: u64) -> TestSubscription {
    TestSubscription { what, since }
}

fn pairs(subscriptions: &[TestSubscription]) -> Vec<(&'static str, u64)> {
    subscriptions
        .iter()
        .map(|subscription| (subscription.what, subscription.since))
        .collect()
}

impl World {
    /// Ten events exist beforehand; the ring has none of them.
    async fn new(over: Over, ring_events: usize, page_events: usize, begin: u64) -> Self {
        let log = GatedLog::new(page_events);
        let hub = fixture::hub(&log, Ring::new(ring_events, 1 << 20), 10);
        let mut all = Vec::new();
        for sequence in 1..=10_u64 {
            let repo = REPOS[usize::try_from(sequence).unwrap() % 3];
            log.push(fixture::event(sequence, repo, 0));
            all.push(Happened { sequence, repo });
        }
        hub.apply(fixture::started(fixture::EPOCH, 10));
        let repos = vec![subscription("a", 0)];
        let client = FeedClient::open(
            over,
            &hub,
            fixture::interest(0, &pairs(&repos), &[]),
            after(begin),
        )
        .await;
        let unpublished = VecDeque::new();
        let (uris, revision, removed, changed) = (Vec::new(), 0, false, false);
        Self {
            over,
            log,
            hub,
            client,
            unpublished,
            all,
            begin,
            repos,
            uris,
            revision,
            removed,
            changed,
        }
    }

    fn publish(&mut self) {
        let Some(next) = self.unpublished.pop_front() else {
            return;
        };
        let trimmed = self.log.trimmed_through().0;
        if next <= trimmed {
            let resumes_after = Sequence(trimmed);
            self.unpublished.retain(|sequence| *sequence > trimmed);
            let after = self.hub.position().sequence;
            self.hub.apply(Followed::Lost(LostEvents {
                range: model::LostRange {
                    after,
                    resumes_after,
                },
                reason: LossReason::Trimmed,
                tag: None,
            }));
            return;
        }
        let repo = self
            .all
            .iter()
            .find(|event| event.sequence == next)
            .unwrap()
            .repo;
        self.hub.apply(Followed::Events(vec![fixture::event(
            next,
            repo,
            self.bytes(next),
        )]));
    }

    /// Some events fill a batch alone.
    fn bytes(&self, sequence: u64) -> usize {
        if sequence % 4 == 3 {
            crate::limits::BATCH_BYTES
        } else {
            0
        }
    }

    fn change(&mut self) {
        self.revision += 1;
        self.changed = true;
        let interest = fixture::interest(self.revision, &pairs(&self.repos), &pairs(&self.uris));
        self.client.stream.set_interest(interest);
    }

    async fn apply(&mut self, a_move: Move) {
        let last = self.log.last().0;
        match a_move {
            Move::Append { repo, skipped } => {
                let (sequence, repo) = (last + 1 + skipped, REPOS[repo]);
                self.log
                    .push(fixture::event(sequence, repo, self.bytes(sequence)));
                self.all.push(Happened { sequence, repo });
                self.unpublished.push_back(sequence);
            }
            Move::Publish => self.publish(),
            Move::Poll => drop(self.client.poll()),
            Move::AddRepo { repo, back } => {
                let repo = REPOS[repo];
                if self
                    .repos
                    .iter()
                    .all(|subscription| subscription.what != repo)
                {
                    self.repos
                        .push(subscription(repo, last.saturating_sub(back)));
                    self.change();
                }
            }
            Move::AddUri { uri, back } => {
                let uri = URIS[uri];
                if self
                    .uris
                    .iter()
                    .all(|subscription| subscription.what != uri)
                {
                    self.uris.push(subscription(uri, last.saturating_sub(back)));
                    self.change();
                }
            }
            Move::Remove(n) => {
                let subscriptions = if n.is_multiple_of(2) {
                    &mut self.repos
                } else {
                    &mut self.uris
                };
                if !subscriptions.is_empty() {
                    subscriptions.remove(n % subscriptions.len());
                    self.removed = true;
                    self.change();
                }
            }
            Move::Trim(count) => self.log.trim_front(count),
            Move::Beat => self.client.stream.beat(),
            Move::LetRead => self.log.let_reads(1),
            Move::FailRead => self.log.fail_next(),
            Move::Room(bytes) => self.client.make_room(bytes),
            Move::Break => self.come_back().await,
            Move::Wait => tokio::time::sleep(crate::limits::CATCH_UP_PAUSE).await,
        }
        tokio::task::yield_now().await;
    }

    async fn settle(&mut self) {
        while !self.unpublished.is_empty() {
            self.publish();
        }
        self.log.let_reads(100_000);
        self.client.make_room(usize::MAX);
        self.client.drain().await;
    }

    /// A cursor records what its session asked for; that is tested with sessions. Here, only a
    /// stream with its original interest reconnects.
    async fn come_back(&mut self) {
        if self.changed {
            return;
        }
        let last = self.client.seen.iter().rev().find_map(|seen| match seen {
            Seen::Event { sequence, .. } => Some(*sequence),
            Seen::Truncated { cursor } | Seen::Named { cursor } => Some(*cursor),
            _ => None,
        });
        let begin = after(last.unwrap_or(self.begin));
        let interest = fixture::interest(0, &pairs(&self.repos), &[]);
        // It takes what the log lets through: opening asks for the log's head if the cursor is
        // ahead.
        self.log.let_reads(1);
        let client = FeedClient::open(self.over, &self.hub, interest, begin).await;
        let before = std::mem::replace(&mut self.client, client);
        self.client.seen = before.seen;
    }

    /// Everything up to here may be missing: the client was told.
    fn told_gone(&self) -> u64 {
        let cursors = self.client.seen.iter().filter_map(|seen| match seen {
            Seen::Truncated { cursor } => Some(*cursor),
            _ => None,
        });
        cursors.max().unwrap_or(0)
    }

    fn due(&self, subscription: &TestSubscription, event: Happened) -> bool {
        // The client already had the events before the stream's cursor when it first subscribed.
        let from = if subscription.what == "a" {
            subscription.since.max(self.begin)
        } else {
            subscription.since
        };
        event.sequence > from && event.sequence > self.told_gone()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let gone = self.told_gone();
        prop_assert!(
            gone <= self.log.trimmed_through().0,
            "told that something is gone, for nothing"
        );
        let mut whole_of = std::collections::BTreeMap::<u64, usize>::new();
        let mut told_of = std::collections::BTreeMap::<(u64, &str), usize>::new();
        for seen in &self.client.seen {
            let Seen::Event {
                sequence,
                whole,
                uris,
            } = seen
            else {
                continue;
            };
            *whole_of.entry(*sequence).or_default() += usize::from(*whole);
            for uri in uris {
                *told_of.entry((*sequence, uri)).or_default() += 1;
            }
        }
        for event in &self.all {
            let sequence = event.sequence;
            let whole = whole_of.get(&sequence).copied().unwrap_or(0);
            let due = self
                .repos
                .iter()
                .any(|w| w.what == event.repo && self.due(w, *event));
            prop_assert!(whole > 0 || !due, "event {sequence} is missing");
            prop_assert!(whole <= 1 || self.removed, "event {sequence} came twice");
            for uri in &self.uris {
                let told = told_of.get(&(sequence, uri.what)).copied().unwrap_or(0);
                let due = event.touches(uri.what) && self.due(uri, *event);
                prop_assert!(
                    told > 0 || !due,
                    "{} of event {sequence} is missing",
                    uri.what
                );
                prop_assert!(
                    told <= 1 || self.removed,
                    "{} of {sequence} twice",
                    uri.what
                );
            }
        }
        let sequences = self.client.sequences();
        if !self.changed {
            prop_assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
            let known: Vec<_> = self.all.iter().filter(|e| e.repo == "a").collect();
            let only_a = sequences
                .iter()
                .all(|s| known.iter().any(|e| e.sequence == *s));
            prop_assert!(only_a && sequences.iter().all(|s| *s > self.begin));
        }
        Ok(())
    }

    /// A resume on another edge, after any frame that the client has, gives exactly the rest.
    async fn resumes_elsewhere(&self, at: usize) -> Result<(), TestCaseError> {
        let sequences = self.client.sequences();
        let from = match sequences.len() {
            0 => return Ok(()),
            length => sequences[at % length],
        };
        let other = fixture::hub(&self.log, Ring::new(4, 1 << 20), 10);
        other.apply(fixture::started(fixture::EPOCH, self.log.last().0));
        let interest = fixture::interest(0, &pairs(&self.repos), &pairs(&self.uris));
        let over = Over::Socket { room: usize::MAX };
        let mut client = FeedClient::open(over, &other, interest, after(from)).await;
        client.drain().await;
        let trimmed = self.log.trimmed_through().0;
        let rest = self.all.iter().filter(|event| {
            let wants = |subscription: &TestSubscription| event.sequence > subscription.since;
            event.sequence > from.max(trimmed)
                && (self
                    .repos
                    .iter()
                    .any(|subscription| subscription.what == event.repo && wants(subscription))
                    || self.uris.iter().any(|subscription| {
                        event.touches(subscription.what) && wants(subscription)
                    }))
        });
        let rest: Vec<_> = rest.map(|event| event.sequence).collect();
        prop_assert_eq!(client.sequences(), rest);
        let told =
            matches!(client.seen.first(), Some(Seen::Truncated { cursor }) if *cursor == trimmed);
        prop_assert_eq!(told, from < trimmed);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_missing_and_nothing_comes_twice(
        moves in moves(),
        ring_events in 1..7_usize,
        page_events in 1..5_usize,
        begin in 0..11_u64,
        resume_at: usize,
        over in prop_oneof![
            Just(Over::Body),
            (0..4000_usize).prop_map(|room| Over::Socket { room }),
        ],
    ) {
        paused().block_on(async {
            let mut world = World::new(over, ring_events, page_events, begin).await;
            for a_move in moves {
                world.apply(a_move).await;
            }
            world.settle().await;
            world.check()?;
            world.resumes_elsewhere(resume_at).await?;
            // Nothing is sent after the end, and the end is sent at once.
            world.client.stream.end(StreamEnd::Drain);
            world.client.poll();
            prop_assert_eq!(world.client.seen.last(), Some(&Seen::Farewell));
            world.client.poll();
            prop_assert!(world.client.ended);
            let hub = Arc::clone(&world.hub);
            drop(world);
            prop_assert_eq!(hub.streams.len(), 0);
            Ok(())
        })?;
    }
}
