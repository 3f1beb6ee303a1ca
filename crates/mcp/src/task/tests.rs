use std::time::Duration;

use model::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    client::ClientRequest, mrtr::InputRequests, tagged::SUBSCRIPTION_ID, tool::CallToolResult,
};

const VERSION: ProtocolVersion = ProtocolVersion::V2026_07_28;

fn at(seconds: u64) -> Timestamp {
    let start = Timestamp::parse("2026-11-20T10:00:00Z").unwrap();
    start.plus(Duration::from_secs(seconds))
}

fn task() -> Task {
    Task::new(TaskId::new("t-1").unwrap(), at(0), Some(60_000), Some(500))
}

fn result_of(message: &Bytes) -> Value {
    let message: Value = serde_json::from_slice(message).unwrap();
    message["result"].clone()
}

fn got(task: &Task) -> Value {
    let server = ServerInfo::new("f", "1");
    result_of(&get_result(VERSION, &server, &RequestId::Integer(1), task))
}

fn questions(keys: &[&str]) -> InputRequests {
    let add = |all: InputRequests, key: &&str| all.with(*key, ClientRequest::ListRoots);
    keys.iter().fold(InputRequests::new(), add)
}

fn answers(keys: &[&str]) -> BTreeMap<String, Box<RawValue>> {
    let answer = || RawValue::from_string(r#"{"roots":[]}"#.into()).unwrap();
    keys.iter()
        .map(|key| ((*key).to_owned(), answer()))
        .collect()
}

fn raw(json: &Value) -> Box<RawValue> {
    RawValue::from_string(json.to_string()).unwrap()
}

#[test]
fn a_new_task_is_told_without_outcome() {
    let server = ServerInfo::new("f", "1");
    let created = result_of(&create_result(
        VERSION,
        &server,
        &RequestId::Integer(1),
        &task(),
    ));
    assert_eq!(
        created,
        json!({
            "resultType": "task", "taskId": "t-1", "status": "working",
            "createdAt": "2026-11-20T10:00:00.000Z", "lastUpdatedAt": "2026-11-20T10:00:00.000Z",
            "ttlMs": 60000, "pollIntervalMs": 500,
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "f", "version": "1"}}
        })
    );
    let for_ever = Task::new(TaskId::new("t").unwrap(), at(0), None, None);
    assert_eq!(got(&for_ever)["ttlMs"], Value::Null);
    assert!(got(&for_ever).as_object().unwrap().contains_key("ttlMs"));
    assert!(!for_ever.is_expired(at(1_000_000)));
    assert!(!task().is_expired(at(59)) && task().is_expired(at(60)));
}

#[test]
fn the_outcome_is_inline_once_there_is_one() {
    let mut done = task();
    let result = CallToolResult::failed("no");
    done.complete(&result.for_version(VERSION), at(1)).unwrap();
    let shown = got(&done);
    assert_eq!(shown["resultType"], "complete");
    assert_eq!(
        shown["status"], "completed",
        "a tool that failed is a task that is done"
    );
    assert_eq!(shown["result"]["isError"], true);
    assert_eq!(shown["lastUpdatedAt"], "2026-11-20T10:00:01.000Z");
    let mut failed = task();
    failed.fail(&RpcError::internal(), at(1)).unwrap();
    assert_eq!(
        got(&failed)["error"],
        json!({"code": -32603, "message": "internal error"})
    );
    let mut cancelled = task();
    cancelled.cancel(at(1)).unwrap();
    assert_eq!(got(&cancelled)["status"], "cancelled");
    for over in [done, failed, cancelled] {
        assert_eq!(got(&over).get("inputRequests"), None);
        assert_eq!(got(&over).get("requestState"), None);
    }
}

#[test]
fn questions_stay_open_until_each_is_answered_and_keys_are_never_used_again() {
    let mut task = task();
    task.ask(&questions(&["a", "b"]), VERSION, at(1)).unwrap();
    assert_eq!(got(&task)["inputRequests"]["a"]["method"], "roots/list");
    let taken = task.answer(answers(&["a", "nobody_asked"]), at(2));
    assert_eq!(taken.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(task.status(), TaskStatus::InputRequired);
    assert_eq!(got(&task)["inputRequests"].as_object().unwrap().len(), 1);
    assert!(
        task.answer(answers(&["a"]), at(3)).is_empty(),
        "answered already"
    );
    let again = task.ask(&questions(&["a"]), VERSION, at(3));
    assert_eq!(again, Err(IllegalChange::KeyUsed("a".into())));
    task.ask(&questions(&["c"]), VERSION, at(3)).unwrap();
    task.answer(answers(&["b", "c"]), at(4));
    assert_eq!(task.status(), TaskStatus::Working);
    assert!(task.answer(answers(&["b"]), at(5)).is_empty());
}

#[test]
fn a_task_asks_a_bounded_number_of_questions() {
    let mut task = task();
    for n in 0..256 {
        task.ask(&questions(&[&n.to_string()]), VERSION, at(1))
            .unwrap();
    }
    let more = task.ask(&questions(&["more"]), VERSION, at(1));
    assert_eq!(more, Err(IllegalChange::TooManyInputs));
}

#[test]
fn a_stored_task_comes_back_whole() {
    let mut asking = task();
    asking.ask(&questions(&["a"]), VERSION, at(1)).unwrap();
    asking.set_message("waiting", at(1)).unwrap();
    let mut done = task();
    done.complete(&json!({"content": [], "big": 1.50}), at(1))
        .unwrap();
    for task in [task(), asking, done] {
        let stored = serde_json::to_vec(&task).unwrap();
        let back: Task = serde_json::from_slice(&stored).unwrap();
        assert_eq!(got(&back), got(&task));
        assert_eq!(serde_json::to_vec(&back).unwrap(), stored);
    }
}

#[test]
fn listeners_get_what_get_would_give() {
    let mut task = task();
    task.complete(&json!({"content": []}), at(1)).unwrap();
    let message = changed(&task).message(&RequestId::Integer(7));
    let message: Value = serde_json::from_slice(&message).unwrap();
    assert_eq!(message["method"], "notifications/tasks");
    assert_eq!(message["params"]["result"], json!({"content": []}));
    assert_eq!(message["params"]["_meta"][SUBSCRIPTION_ID], 7);
}

#[test]
fn params_that_cannot_name_a_task_of_ours_name_none() {
    let id = parse_id(Some(&raw(&json!({"taskId": "t-1", "_meta": {}})))).unwrap();
    assert_eq!(id.as_str(), "t-1");
    let long = "x".repeat(129);
    for bad in [
        json!({}),
        json!({"taskId": 7}),
        json!({"taskId": ""}),
        json!({"taskId": "a.b"}),
        json!({"taskId": "a*"}),
        json!({"taskId": long}),
    ] {
        assert_eq!(
            parse_id(Some(&raw(&bad))).unwrap_err().code.number(),
            -32602,
            "{bad}"
        );
    }
    let update = |params: Value| UpdateTaskParams::parse(Some(&raw(&params)));
    let good = update(json!({"taskId": "t", "inputResponses": {"a": {}}})).unwrap();
    assert_eq!(good.responses.len(), 1);
    let many: serde_json::Map<String, Value> = (0..65).map(|n| (n.to_string(), json!(1))).collect();
    for bad in [
        json!({"taskId": "t"}),
        json!({"taskId": "t", "inputResponses": []}),
        json!({"taskId": "t", "inputResponses": many}),
        json!({"taskId": "a.b", "inputResponses": {}}),
    ] {
        assert_eq!(update(bad).unwrap_err().code.number(), -32602);
    }
}

#[test]
fn the_extension_has_to_be_declared_on_the_request() {
    let client = |value| ClientCapabilities::from_value(value).unwrap();
    let with = client(json!({"extensions": {EXTENSION: {}}}));
    assert_eq!(require_extension(&with), Ok(()));
    for without in [
        json!({}),
        json!({"extensions": {}}),
        json!({"extensions": {EXTENSION: null}}),
    ] {
        let refusal = require_extension(&client(without)).unwrap_err();
        assert_eq!(refusal.status, 400);
        assert_eq!(refusal.error.code.number(), -32021);
        assert_eq!(
            refusal.error.data,
            Some(json!({"requiredCapabilities": {"extensions": {EXTENSION: {}}}}))
        );
    }
}

/// An operation on a task.
#[derive(Clone, Debug)]
enum Step {
    Say,
    Ask(u8),
    Answer(u8),
    Complete,
    Fail,
    Cancel,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Say),
        8 => (0_u8..6).prop_map(Step::Ask),
        8 => (0_u8..6).prop_map(Step::Answer),
        1 => Just(Step::Complete),
        1 => Just(Step::Fail),
        1 => Just(Step::Cancel),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_an_end_is_final_and_time_does_not_run_back(
        steps in proptest::collection::vec((step(), 0_u64..100), 0..40),
    ) {
        let mut task = task();
        for (step, seconds) in steps {
            let before = got(&task);
            let was_over = task.status().is_terminal();
            let changed = match step {
                Step::Say => task.set_message("m", at(seconds)).is_ok(),
                Step::Ask(key) => {
                    task.ask(&questions(&[&key.to_string()]), VERSION, at(seconds)).is_ok()
                }
                Step::Answer(key) => {
                    !task.answer(answers(&[&key.to_string()]), at(seconds)).is_empty()
                }
                Step::Complete => task.complete(&json!({}), at(seconds)).is_ok(),
                Step::Fail => task.fail(&RpcError::internal(), at(seconds)).is_ok(),
                Step::Cancel => task.cancel(at(seconds)).is_ok(),
            };
            let after = got(&task);
            prop_assert!(!(was_over && changed));
            prop_assert!(changed || before == after, "what is refused changes nothing");
            prop_assert!(before["lastUpdatedAt"].as_str() <= after["lastUpdatedAt"].as_str());
            let waits = task.status() == TaskStatus::InputRequired;
            prop_assert_eq!(waits, after.get("inputRequests").is_some());
        }
    }
}
