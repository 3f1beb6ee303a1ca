//! No read shows an older state than one that a client was notified of.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use contract::issue_event;
use model::{LogPosition, ResourceUri, Sequence};
use ports::{EventLog, ResourceError, ResourceReader};
use proptest::prelude::*;
use tokio::{task::JoinHandle, time::Instant};

use crate::setup;

/// Something that happens while clients read.
#[derive(Debug, Clone)]
enum Step {
    /// An issue gets its next state, which a client is notified of at once.
    Happens(u64),
    /// The follower is held back, or goes on.
    Hold(bool),
    /// The log cannot be read, or can again.
    Fail(bool),
    /// A client reads an issue.
    Read(u64),
    /// Time passes.
    Pause(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_u64).prop_map(Step::Happens),
        2 => any::<bool>().prop_map(Step::Hold),
        1 => any::<bool>().prop_map(Step::Fail),
        4 => (0..3_u64).prop_map(Step::Read),
        2 => (0..1500_u64).prop_map(Step::Pause),
    ];
    prop::collection::vec(step, 1..40)
}

/// A read in progress, and the number of the newest state that its client was notified of.
struct Reading {
    notified: u64,
    state: JoinHandle<Result<Option<u64>, ResourceError>>,
}

/// Reads an issue; gives the number of its state.
async fn read(
    reader: Arc<dyn ResourceReader>,
    number: u64,
    seen: LogPosition,
) -> Result<Option<u64>, ResourceError> {
    let uri = ResourceUri::parse(&format!("github://issues/octo/cat/{number}")).unwrap();
    let began = Instant::now();
    let state = reader.get_resource(&uri, Some(seen), None).await?;
    assert!(began.elapsed() < setup::DEADLINE, "{:?}", began.elapsed());
    Ok(state.map(|state| {
        let json: serde_json::Value = serde_json::from_slice(&state.json).unwrap();
        json["state"].as_u64().unwrap()
    }))
}

/// Runs the steps; `knows` says whether the caller's position has every event that its clients know.
async fn run(steps: Vec<Step>, knows: bool) {
    let (log, running, lifecycle) = setup::start().await;
    let epoch = log.head().await.unwrap().epoch;
    let mut states = BTreeMap::<u64, u64>::new();
    let mut newest = Sequence::START;
    let mut readings = Vec::new();
    for step in steps {
        match step {
            Step::Happens(number) => {
                let nth = states.entry(number).or_default();
                *nth += 1;
                let appended = log.append(vec![issue_event(number, *nth)]).await.unwrap();
                newest = appended[0].sequence;
            }
            Step::Hold(holds) => log.hold(holds),
            // Without the log, only the caller knows of the event.
            Step::Fail(fails) => log.fail(fails && knows),
            Step::Read(number) => {
                let sequence = if knows { newest } else { Sequence::START };
                let seen = LogPosition {
                    epoch,
                    sequence,
                    tag: None,
                };
                let state = tokio::spawn(read(running.reader(), number, seen));
                let notified = states.get(&number).copied().unwrap_or_default();
                readings.push(Reading { notified, state });
                tokio::task::yield_now().await;
            }
            Step::Pause(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
    }
    log.hold(false);
    log.fail(false);
    for reading in readings {
        match reading.state.await.unwrap() {
            Ok(state) => assert!(state.unwrap_or_default() >= reading.notified),
            Err(error) => assert!(matches!(error, ResourceError::Behind), "{error:?}"),
        }
    }
    lifecycle.shut_down();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_read_shows_an_older_state_than_one_that_was_notified(steps in steps(), knows: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps, knows));
    }
}
