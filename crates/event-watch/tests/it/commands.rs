//! Commands: an event counts when its command has succeeded, and comes again otherwise.

use std::{fs, path::Path, time::Duration};

use event_watch::{EventCommand, WatchEnd, WatchOptions, WatchOutput, run};
use tokio_util::sync::CancellationToken;

use crate::edge::{Answer, FakeEdge, event, kept, opening, watched};

fn command(edge: &FakeEdge, folder: &Path, text: &str, max_attempts: u32) -> WatchOptions {
    let mut options = edge.options(folder);
    options.output = WatchOutput::Command(EventCommand {
        text: text.replace("FOLDER", &folder.display().to_string()),
        max_attempts: Some(max_attempts),
        time_limit: Duration::from_secs(30),
    });
    options.once = true;
    options
}

fn stream() -> Answer {
    Answer::Open(opening("c0") + &event("c1"))
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default()
}

#[tokio::test]
async fn a_command_gets_the_event_and_its_facts() {
    let edge = FakeEdge::start([stream()]).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let facts = "cat > FOLDER/event; env | grep ^FORGEWIRE_EVENT_ | sort > FOLDER/facts";
    let (output, ended) = watched(command(&edge, folder, facts, 1)).await;
    assert_eq!((output.as_str(), ended.unwrap()), ("", WatchEnd::Once));
    let event: serde_json::Value = serde_json::from_str(&text(folder, "event")).unwrap();
    assert_eq!(event["id"], "c1");
    assert_eq!(
        text(folder, "facts"),
        "FORGEWIRE_EVENT_ACTION=opened\nFORGEWIRE_EVENT_ATTEMPT=1\nFORGEWIRE_EVENT_ID=c1\n\
         FORGEWIRE_EVENT_KIND=event\nFORGEWIRE_EVENT_RESOURCE_TYPE=issue\n"
    );
    assert!(kept(folder).contains("\"c1\""));
}

#[tokio::test]
async fn a_command_that_fails_is_tried_again_and_then_ends_the_watch_with_the_event_kept() {
    let edge = FakeEdge::start([stream(), stream(), stream()]).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let fails = "echo $FORGEWIRE_EVENT_ID $FORGEWIRE_EVENT_ATTEMPT >> FOLDER/tries; exit 3";
    let error = watched(command(&edge, folder, fails, 2))
        .await
        .1
        .unwrap_err();
    assert_eq!(error.exit_code(), 6);
    let said = error.to_string();
    assert!(said.contains("2 times") && said.contains('3'), "{said}");
    assert_eq!(text(folder, "tries"), "c1 1\nc1 2\n");
    assert!(kept(folder).contains("\"c0\""), "{}", kept(folder));
    // The second attempt succeeds.
    let flaky = "echo again >> FOLDER/tries; test $FORGEWIRE_EVENT_ATTEMPT = 2";
    assert_eq!(
        watched(command(&edge, folder, flaky, 2)).await.1.unwrap(),
        WatchEnd::Once
    );
    assert_eq!(text(folder, "tries"), "c1 1\nc1 2\nagain\nagain\n");
    assert_eq!(edge.asked()[1].header("last-event-id"), Some("c0"));
}

#[tokio::test]
async fn a_gap_is_told_to_the_command_too() {
    let gap = "id: g1\nevent: truncated\ndata: {\"truncated\":true}\n\n";
    let edge = FakeEdge::start([Answer::Open(opening("c0") + gap + &event("c1"))]).await;
    let folder = tempfile::tempdir().unwrap();
    let kinds = "echo $FORGEWIRE_EVENT_KIND $FORGEWIRE_EVENT_ID >> FOLDER/kinds";
    let ended = watched(command(&edge, folder.path(), kinds, 1)).await.1;
    assert_eq!(ended.unwrap(), WatchEnd::Once);
    assert_eq!(text(folder.path(), "kinds"), "gap\nevent c1\n");
}

#[tokio::test]
async fn a_command_that_reads_nothing_of_a_large_event_has_succeeded_all_the_same() {
    let large = event("c1").replace("\"opened\"", &format!("\"{}\"", "x".repeat(500_000)));
    let edge = FakeEdge::start([Answer::Open(opening("c0") + &large)]).await;
    let folder = tempfile::tempdir().unwrap();
    let ended = watched(command(&edge, folder.path(), "exit 0", 1)).await.1;
    assert_eq!(ended.unwrap(), WatchEnd::Once);
}

#[tokio::test]
async fn a_command_that_does_not_end_is_ended_with_all_that_it_started() {
    let edge = FakeEdge::start([stream()]).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut options = command(&edge, folder, "sleep 1000 | sleep 1001; true", 1);
    if let WatchOutput::Command(command) = &mut options.output {
        command.time_limit = Duration::from_millis(300);
    }
    let error = watched(options).await.1.unwrap_err();
    assert_eq!(error.exit_code(), 6);
    assert!(error.to_string().contains("no end within"), "{error}");
}

/// A command that is at work when the watch is stopped has time to end, and then its event counts.
#[tokio::test]
async fn a_stop_lets_the_running_command_end() {
    for (ending, position) in [("exit 0", "\"c1\""), ("exit 1", "\"c0\"")] {
        let edge = FakeEdge::start([stream()]).await;
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let text =
            format!("touch FOLDER/begun; until test -e FOLDER/go; do sleep 0.01; done; {ending}");
        let options = command(&edge, folder, &text, 5);
        let stop = CancellationToken::new();
        let ended = tokio::spawn(run(options, tokio::io::sink(), stop.clone()));
        while !folder.join("begun").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
        fs::write(folder.join("go"), "").unwrap();
        ended.await.unwrap().unwrap();
        assert!(
            kept(folder).contains(position),
            "{ending}: {}",
            kept(folder)
        );
    }
}
