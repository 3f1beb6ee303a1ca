//! Edges whose clocks are wrong: what they share is judged by the store's clock.

use std::{sync::Arc, time::Duration};

use access::Authenticator;
use model::{Clock, ManualClock, Timestamp};
use sse_edge::EdgeConfig;

use super::{tasks, world::*};

/// Longer than the lease of a task.
const SECONDS: Duration = Duration::from_secs(90);
/// Longer than the lifetime of a session.
const DAYS: Duration = Duration::from_secs(8 * 24 * 3600);

/// Two edges: the clock of the first is the store's, that of the second is as wrong as `wrong` says.
async fn apart(wrong: impl Fn(Timestamp) -> Timestamp) -> (EdgeWorld, Node, Node) {
    let now = Timestamp::from_unix_millis(1_790_000_000_000);
    let clock = Arc::new(ManualClock::at(now));
    let world = EdgeWorld::at(clock).await;
    let right = world.node().await;
    let (config, bus) = (EdgeConfig::default(), world.bus.clone());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(wrong(now)));
    let wrong = world.node_at(&config, bus, Authenticator::none(), clock);
    let wrong = wrong.await;
    (world, right, wrong)
}

async fn far_apart(by: Duration) -> [(EdgeWorld, Node, Node); 2] {
    [
        apart(|now| now.plus(by)).await,
        apart(|now| now.minus(by)).await,
    ]
}

#[tokio::test]
async fn no_task_of_another_edge_is_given_up_by_a_wrong_clock() {
    for by in [SECONDS, DAYS] {
        for (world, right, wrong) in far_apart(by).await {
            let client = tasks::client();
            let started = [
                tasks::wait_for_cats(&client, &right).await,
                tasks::wait_for_cats(&client, &wrong).await,
            ];
            for task in &started {
                for node in [&wrong, &right] {
                    let status = tasks::get(&client, node, task).await;
                    assert_eq!(status["status"], "working", "{by:?}: {status}");
                }
            }
            world.happens("cat").await;
            for task in &started {
                tasks::until_it_is(&client, &wrong, task, "completed").await;
            }
        }
    }
}

#[tokio::test]
async fn no_session_is_ended_by_a_wrong_clock() {
    for by in [SECONDS, DAYS] {
        for (world, right, wrong) in far_apart(by).await {
            let client = connect(&right).await;
            let other = connect(&wrong).await;
            let mut stream = client.open_stream(&wrong.url, None).await.unwrap();
            subscribe(&client, &wrong, "cat").await;
            for node in [&wrong, &right] {
                client.ping(&node.url).await.unwrap();
                other.ping(&node.url).await.unwrap();
            }
            let cat = world.happens("cat").await;
            assert_eq!(next_events(&mut stream, 1).await, [cat]);
            assert_eq!(world.sessions().await, 2);
        }
    }
}

#[tokio::test]
async fn the_skew_of_an_edge_can_be_measured() {
    let (_world, right, wrong) = apart(|now| now.plus(SECONDS)).await;
    for (node, seconds) in [(right, "0.0"), (wrong, "90.0")] {
        let line = format!("forgewire_edge_clock_skew_seconds {seconds}");
        let text = node.metrics();
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}
