//! The receiver and the floor as the benchmark uses them: two processes and the sockets between them.

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
        self.say("report");
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
    let send = json!({ "rounds": ROUNDS, "interval_nanos": 2_000_000, "sample": sample });
    floor.say(&send.to_string());
    assert_eq!(
        floor.hear(),
        json!({ "frames": STREAMS * ROUNDS, "refused": 0 })
    );

    let deadline = Instant::now() + Duration::from_secs(10);
    let mut report = client.report();
    while report["fewest"] != ROUNDS && Instant::now() < deadline {
        report = client.report();
    }
    assert_eq!(report["frames"], STREAMS * ROUNDS, "{report}");
    assert_eq!(
        (&report["fewest"], &report["most"]),
        (&json!(ROUNDS), &json!(ROUNDS))
    );
    assert_eq!(
        (&report["orders"], &report["ended"]),
        (&json!(1), &json!(0))
    );
    assert!(report["set"].is_u64(), "{report}");
    assert!(
        report["p50_micros"].as_u64().unwrap() < 2_000_000,
        "{report}"
    );
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
