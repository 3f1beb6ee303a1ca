//! The guarantees of `Process`, tested with small shell scripts.

use super::*;

const SOON: Duration = Duration::from_secs(10);

fn shell(folder: &Path, script: &str) -> Process {
    Process::start(ProcessCommand {
        name: "shell".to_owned(),
        program: "sh".into(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
        logs: folder.to_owned(),
        own_group: false,
    })
    .unwrap()
}

/// Whether a process with this id exists, according to `/proc`.
fn exists(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

#[tokio::test]
async fn the_ready_line_is_awaited_and_the_logs_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"echo starting; echo oops >&2
        echo '{"ready":true,"admin":"127.0.0.1:9"}'; exec sleep 60"#;
    let mut process = shell(folder.path(), script);
    let ready = process.ready_line(SOON).await.unwrap();
    assert_eq!(ready.admin().unwrap().port(), Some(9));
    assert!(process.is_running());
    assert!(process.output().unwrap().starts_with("starting\n"));
    assert_eq!(process.errors().unwrap(), "oops\n");
}

#[tokio::test]
async fn a_process_that_ends_before_it_is_ready_shows_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = shell(
        folder.path(),
        "echo \"$GREETING\"; echo 'no such key: edge.lisen' >&2; exit 3",
    );
    let error = process.ready_line(SOON).await.unwrap_err().to_string();
    for part in ["shell ended", "3", "hello", "no such key: edge.lisen"] {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
    assert!(!process.is_running());
}

#[tokio::test]
async fn after_a_kill_the_next_run_must_say_ready_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("second");
    let script = format!(
        r#"if [ -e {0} ]; then sleep 60; fi; : > {0}; echo '{{"ready":true}}'; sleep 60"#,
        marker.display()
    );
    let mut process = shell(folder.path(), &script);
    process.ready_line(SOON).await.unwrap();
    let first = process.id().unwrap();
    process.kill().unwrap();
    assert!(!process.is_running() && !exists(first));
    process.restart().unwrap();
    let brief = Duration::from_millis(200);
    let error = process.ready_line(brief).await.unwrap_err().to_string();
    assert!(error.contains("no ready line within"), "{error}");
}

#[tokio::test]
async fn sigterm_gives_the_exit_status_and_a_deaf_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let polite = "trap 'exit 0' TERM; echo '{\"ready\":true}'; while :; do sleep 0.05; done";
    let mut process = shell(folder.path(), polite);
    process.ready_line(SOON).await.unwrap();
    assert!(process.terminate(SOON).await.unwrap().success());

    let deaf = "trap '' TERM; echo '{\"ready\":true}'; while :; do sleep 0.05; done";
    let mut process = shell(folder.path(), deaf);
    process.ready_line(SOON).await.unwrap();
    let error = process
        .terminate(Duration::from_millis(100))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("had to be killed"), "{error}");
    assert!(!process.is_running());
}

#[tokio::test]
async fn dropping_kills_and_so_does_the_watchdog() {
    let folder = tempfile::tempdir().unwrap();
    let process = shell(folder.path(), "exec sleep 60");
    let id = process.id().unwrap();
    drop(process);
    assert!(!exists(id));

    let mut process = shell(folder.path(), "exec sleep 60");
    // As the kernel does when the parent dies: close the watchdog's pipe.
    drop(process.running.as_mut().unwrap().watchdog.stdin.take());
    let started = Instant::now();
    while process.is_running() {
        assert!(
            started.elapsed() < SOON,
            "the watchdog does not kill the child"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
