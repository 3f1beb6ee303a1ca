//! The receiver and the floor as the benchmark uses them: two processes connected by sockets.

#![allow(clippy::unwrap_used, reason = "a test panics where something is wrong")]

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const STREAMS: u64 = 40;
const ROUNDS: u64 = 25;

struct Helper {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Helper {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line:?}"))
    }

    fn report(&mut self) -> Value {
        self.say(&format!("report {ROUNDS}"));
        self.hear()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.stdin.take();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_stream_gets_every_event_once_and_in_one_order() {
    let streams = STREAMS.to_string();
    let mut floor = Helper::start(&["floor", "--streams", &streams]);
    let address = format!("127.0.0.1:{}", floor.hear()["port"]);
    let mut client = Helper::start(&["client", "--streams", &streams, "--targets", &address]);
    assert_eq!(client.hear()["opened"], STREAMS);

    let sample =
        "id: x\nevent: event\ndata: {\"t\":\"bench-at:0000000001:00000000000000000002\"}\n\n";
    let send = json!({ "rounds": ROUNDS, "interval_nanos": 2_000_000, "repositories": 1, "sample": sample });
    floor.say(&send.to_string());
    assert_eq!(
        floor.hear(),
        json!({ "frames": STREAMS * ROUNDS, "refused": 0 })
    );

    let deadline = Instant::now() + Duration::from_secs(10);
    let mut report = client.report();
    while report["waiting"] != 0 && Instant::now() < deadline {
        report = client.report();
    }
    assert_eq!(report["frames"], STREAMS * ROUNDS, "{report}");
    assert_eq!(
        (&report["fewest"], &report["most"]),
        (&json!(ROUNDS), &json!(ROUNDS))
    );
    assert_eq!(
        (&report["orders"], &report["wrong"], &report["ended"]),
        (&json!(1), &json!(0), &json!(0))
    );
    let (late, last) = (&report["latency"], &report["last_client"]);
    assert!(late["p50"].as_u64().unwrap() < 2_000_000, "{report}");
    assert!(last["p50"].as_u64() >= late["p50"].as_u64(), "{report}");
    assert!(
        report["sample"]
            .as_str()
            .unwrap()
            .contains(&format!("{ROUNDS:010}")),
        "{report}"
    );

    client.say("reset");
    client.hear();
    assert_eq!(client.report()["frames"], 0);
}

/// Each stream asks for one of several repositories, and the floor sends it only the events of that
/// one.
#[test]
fn streams_with_filters_get_their_part() {
    let streams = STREAMS.to_string();
    let mut floor = Helper::start(&["floor", "--streams", &streams]);
    let address = format!("127.0.0.1:{}", floor.hear()["port"]);
    let arguments = ["client", "--streams", &streams, "--targets", &address];
    let mut client = Helper::start(&[&arguments[..], &["--filters", "4"]].concat());
    assert_eq!(client.hear()["opened"], STREAMS);
    let sample = "event: event\ndata: bench-at:0000000001:00000000000000000002\n\n";
    let send =
        json!({ "rounds": ROUNDS, "interval_nanos": 0, "repositories": 4, "sample": sample });
    floor.say(&send.to_string());
    // Every event goes to a quarter of the streams.
    assert_eq!(floor.hear()["frames"], STREAMS / 4 * ROUNDS);
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut report = client.report();
    while report["waiting"] != 0 && Instant::now() < deadline {
        report = client.report();
    }
    assert_eq!(
        (&report["wrong"], &report["orders"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(
        (&report["fewest"], &report["most"]),
        (&json!(ROUNDS / 4), &json!(ROUNDS / 4 + 1))
    );
}
