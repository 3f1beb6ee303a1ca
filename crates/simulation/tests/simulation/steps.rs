//! The steps of a history, and how often each happens.

use rand::{Rng, rngs::StdRng};

/// One step of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Deliver,
    Connect,
    Cut,
    OpenSession,
    CutSession,
    SendMessage,
    Subscribe,
    StartTask,
    AskTask,
    RestartEdge,
    InterruptBus,
    BusFails,
    StaleHint,
    LogFails,
    LogHangs,
    Trim,
    SetLogBack,
    ReplaceLog,
    PlantEntries,
    DamageEntry,
    StoreFails,
    StoreHangs,
    SaveStore,
    SetStoreBack,
    SetClock,
    LongPause,
}

/// Steps with their weights. Those of a group happen in half of the histories: few faults at a time find
/// more than all at once.
const GROUPS: [&[(Step, u32)]; 12] = [
    &[(Step::Deliver, 40), (Step::Connect, 10), (Step::Cut, 6)],
    &[
        (Step::OpenSession, 10),
        (Step::CutSession, 5),
        (Step::SendMessage, 12),
        (Step::Subscribe, 4),
    ],
    &[(Step::StartTask, 4), (Step::AskTask, 8)],
    &[(Step::RestartEdge, 5)],
    &[
        (Step::InterruptBus, 4),
        (Step::BusFails, 3),
        (Step::StaleHint, 3),
    ],
    &[(Step::LogFails, 4), (Step::LogHangs, 4)],
    &[(Step::Trim, 4)],
    &[(Step::SetLogBack, 6), (Step::ReplaceLog, 2)],
    &[(Step::PlantEntries, 3), (Step::DamageEntry, 3)],
    &[(Step::StoreFails, 4), (Step::StoreHangs, 4)],
    &[(Step::SaveStore, 8), (Step::SetStoreBack, 5)],
    &[(Step::SetClock, 6), (Step::LongPause, 1)],
];

/// The steps of one history.
#[derive(Debug)]
pub(crate) struct Steps(Vec<(Step, u32)>);

impl Steps {
    /// Chooses which groups of steps happen.
    pub(crate) fn choose(random: &mut StdRng) -> Self {
        let mut steps = GROUPS[0].to_vec();
        for group in &GROUPS[1..] {
            if random.random() {
                steps.extend_from_slice(group);
            }
        }
        Self(steps)
    }

    /// Whether a step may happen.
    pub(crate) fn has(&self, step: Step) -> bool {
        self.0.iter().any(|(of, _)| *of == step)
    }

    pub(crate) fn next(&self, random: &mut StdRng) -> Step {
        let sum = self.0.iter().map(|(_, weight)| weight).sum();
        let mut place = random.random_range(0..sum);
        for (step, weight) in &self.0 {
            if place < *weight {
                return *step;
            }
            place -= weight;
        }
        Step::Deliver
    }
}
