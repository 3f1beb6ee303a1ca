//! Readers anywhere in a log that grows, has gaps and is trimmed: each gets the events after its
//! position.

use proptest::prelude::*;

use super::*;

/// A step around the pages.
#[derive(Debug, Clone)]
enum Move {
    /// The log grows, skipping some sequence numbers.
    Append { events: u64, skipped: u64 },
    /// The log drops its oldest events.
    Trim(usize),
    /// A reader examines up to `max` events of a page after its position.
    Read { reader: usize, max: usize },
    /// All pages are dropped, as after their lifetime.
    Forget,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        3 => (1..12_u64, 0..12_u64)
            .prop_map(|(events, skipped)| Move::Append { events, skipped }),
        1 => (1..12_usize).prop_map(Move::Trim),
        12 => (0..READERS, 1..12_usize).prop_map(|(reader, max)| Move::Read { reader, max }),
        1 => Just(Move::Forget),
    ];
    prop::collection::vec(one, 0..120)
}

const READERS: usize = 6;

#[derive(Debug, Default)]
struct Reader {
    begin: u64,
    position: Sequence,
    seen: Vec<u64>,
    /// The ranges that a reader was told are gone: from, to.
    told: Vec<(u64, u64)>,
}

impl Reader {
    fn at(begin: u64) -> Self {
        Self {
            begin,
            position: Sequence(begin),
            ..Self::default()
        }
    }

    /// Returns whether there was something.
    async fn read(&mut self, pages: &Arc<Pages>, max: usize) -> bool {
        let before = self.position;
        let page = pages.next_page(before).await.unwrap();
        if let Some(gone) = page.gap_after(before) {
            self.told.push((before.0, gone.0));
            self.position = gone;
        }
        let window = page.read(self.position, max, |entry| {
            self.seen.push(entry.sequence.0);
            true
        });
        let RingRead::Read { through, more } = window else {
            panic!("the page begins after the position");
        };
        assert_eq!(more, through < page.through());
        self.position = through;
        through > before
    }

    fn check(&self, log: &Model) -> Result<(), TestCaseError> {
        prop_assert!(self.seen.is_sorted_by(|a, b| a < b), "{:?}", self);
        let is_told = |event: &u64| {
            let within = |(from, to): &(u64, u64)| from < event && event <= to;
            self.told.iter().any(within)
        };
        for event in log.all.iter().filter(|event| **event > self.begin) {
            // Each event once: either reported gone or seen.
            prop_assert_ne!(
                self.seen.contains(event),
                is_told(event),
                "{} {:?}",
                event,
                self
            );
        }
        prop_assert!(self.seen.iter().all(|event| log.all.contains(event)));
        for (from, to) in &self.told {
            // Only if there were events, and all of them are gone.
            prop_assert!(log.all.iter().any(|event| from < event && event <= to));
            prop_assert!(*to <= log.trimmed);
        }
        Ok(())
    }
}

/// Every event that was ever in the log.
#[derive(Debug, Default)]
struct Model {
    all: Vec<u64>,
    trimmed: u64,
}

struct World {
    log: Arc<GatedLog>,
    model: Model,
    pages: Arc<Pages>,
    readers: Vec<Reader>,
}

impl World {
    async fn apply(&mut self, a_move: Move) {
        match a_move {
            Move::Append { events, skipped } => {
                let first = self.log.last().0 + 1 + skipped;
                fill(&self.log, first..=first + events - 1, 0);
                self.model.all.extend(first..first + events);
            }
            Move::Trim(count) => {
                self.log.trim_front(count);
                self.model.trimmed = self.log.trimmed_through().0;
            }
            Move::Read { reader, max } => {
                self.readers[reader].read(&self.pages, max).await;
            }
            Move::Forget => self.pages.cache.invalidate_all(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn reading_on_through_pages_gives_what_comes_after_any_position(
        before in prop::collection::vec((1..12_u64, 0..12_u64), 0..8),
        trimmed in 0..40_usize,
        begins in prop::collection::vec(0..80_u64, READERS),
        moves in moves(),
        page_events in 1..12_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let log = GatedLog::new(page_events);
            log.let_reads(1_000_000);
            let pages = pages(&log, PageBounds { events: 8, ..BOUNDS });
            let (model, readers) = (Model::default(), Vec::new());
            let mut world = World { log, model, pages, readers };
            for (events, skipped) in before {
                world.apply(Move::Append { events, skipped }).await;
            }
            world.apply(Move::Trim(trimmed)).await;
            let last = world.log.last().0;
            world.readers = begins.into_iter().map(|at| Reader::at(at.min(last))).collect();
            let before: Vec<_> = world.readers.iter().map(|reader| reader.begin).collect();
            for a_move in moves {
                world.apply(a_move).await;
            }
            for reader in &mut world.readers {
                while reader.read(&world.pages, usize::MAX).await {}
                reader.check(&world.model)?;
            }
            // Another reader of the same cursors does not depend on what was cached.
            world.pages.clear(1);
            let trimmed = world.model.trimmed;
            for begin in before {
                let mut reader = Reader::at(begin);
                while reader.read(&world.pages, usize::MAX).await {}
                reader.check(&world.model)?;
                let told = (begin < trimmed).then_some((begin, trimmed));
                prop_assert_eq!(reader.told, told.into_iter().collect::<Vec<_>>());
            }
            Ok(())
        })?;
    }
}
