//! Random histories, read through the cache of an edge and without it: both answer the same.
//!
//! The events are worse than GitHub's: any id may come under any name, late or not, and in any order of their times. The edge
//! follows the log when the history says so; comparisons show states without an event; the log is put back; and a read may
//! be under way while all of that happens.

mod world;

use std::cell::Cell;

use proptest::{prelude::*, test_runner::TestRunner};

use tokio::task::unconstrained;

use world::{CachedWorld, Happened, Question};

#[derive(Debug, Clone)]
enum Step {
    Event(Happened),
    /// The edge follows up to this many reports.
    Follow(usize),
    Read(Question),
    /// Begins a read that is answered now and arrives at [`Step::Arrive`].
    Begin(Question),
    Arrive,
    /// A comparison shows the state of an issue.
    Shown {
        repository: u64,
        number: u64,
        at: i64,
    },
    /// The log loses its last entries.
    PutBack(u64),
}

fn happened() -> impl Strategy<Value = Happened> {
    let ids = (
        prop::option::weighted(0.8, 1..=2_u64),
        prop::option::weighted(0.8, 10..=11_u64),
    );
    let names = (0..2_usize, 0..2_usize);
    let former = prop::option::weighted(0.2, (0..2_usize, 0..2_usize));
    let what = (0..5_usize, 1..=2_u64, 0..6_i64, any::<bool>());
    (names, ids, former, what).prop_map(|(names, ids, former, what)| Happened {
        names,
        ids,
        former,
        kind: what.0,
        number: what.1,
        made_at: what.2,
        late: what.3,
    })
}

/// One of which most events are true: each name has its id.
fn usual() -> impl Strategy<Value = Happened> {
    happened().prop_map(|it| Happened {
        ids: (
            Some(1 + it.names.0 as u64),
            Some(10 + (2 * it.names.0 + it.names.1) as u64),
        ),
        former: None,
        ..it
    })
}

fn question() -> impl Strategy<Value = Question> {
    // Few, so that most are asked again.
    let often = |max: usize| prop_oneof![4 => Just(0_usize), 1 => 0..max];
    let one = move || {
        (
            often(3),
            often(2),
            often(2),
            prop_oneof![4 => Just(1_u64), 1 => Just(2)],
        )
    };
    prop_oneof![
        3 => one().prop_map(Question::Uri),
        2 => prop::collection::vec(one(), 1..4).prop_map(Question::Many),
        2 => (often(3), often(2), prop::option::weighted(0.9, often(2)), prop::bool::weighted(0.2))
            .prop_map(Question::Page),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        2 => happened().prop_map(Step::Event),
        3 => usual().prop_map(Step::Event),
        8 => (1..9_usize).prop_map(Step::Follow),
        24 => question().prop_map(Step::Read),
        2 => question().prop_map(Step::Begin),
        2 => Just(Step::Arrive),
        1 => (10..=13_u64, 1..=2_u64, 0..9_i64)
            .prop_map(|(repository, number, at)| Step::Shown { repository, number, at }),
        1 => (0..4_u64).prop_map(Step::PutBack),
    ];
    prop::collection::vec(one, 1..150)
}

/// Plays a history; the number of reads, and of answers that came from the cache.
async fn play(steps: Vec<Step>) -> Result<(u64, u64), TestCaseError> {
    let (mut world, mut reads) = (CachedWorld::new(), 0);
    for step in steps {
        match step {
            Step::Event(happened) => world.happens(&happened),
            Step::Follow(reports) => world.follow(reports),
            Step::Read(question) => {
                let (cached, uncached) = world.read_both(&question).await;
                prop_assert_eq!(cached, uncached, "{:?}", question);
                reads += 1;
            }
            Step::Begin(question) => world.begin(question).await,
            Step::Arrive => world.arrive().await,
            Step::Shown {
                repository,
                number,
                at,
            } => world.show(repository, number, at),
            Step::PutBack(lost) => world.put_back(lost),
        }
    }
    Ok((reads, world.hits()))
}

#[test]
fn a_cached_answer_is_the_one_without_a_cache() {
    let usual = ProptestConfig::default();
    let config = ProptestConfig {
        cases: usual.cases.max(500),
        failure_persistence: None,
        ..usual
    };
    let (reads, hits) = (Cell::new(0), Cell::new(0));
    let played = TestRunner::new(config).run(&steps(), |steps| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        // A read that waits for one under way gives up at once.
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let (more_reads, more_hits) = runtime.block_on(unconstrained(play(steps)))?;
        reads.set(reads.get() + more_reads);
        hits.set(hits.get() + more_hits);
        Ok(())
    });
    played.unwrap();
    // Otherwise this shows nothing of the cache.
    assert!(hits.get() * 10 > reads.get(), "{hits:?} of {reads:?}");
}
