use super::*;
use crate::client::{ElicitResult, Elicitation, Form, FormField, FormProperty};
use serde_json::{Map, Value, json};

const VERSION: ProtocolVersion = ProtocolVersion::V2026_07_28;

fn name() -> ClientRequest {
    ClientRequest::Elicit(Elicitation::Form {
        message: "What is your name?".into(),
        form: Form::new(vec![FormProperty::required("name", FormField::text())]),
    })
}

fn retry(params: &Value) -> Result<Retry, RpcError> {
    Retry::parse(Some(&RawValue::from_string(params.to_string()).unwrap()))
}

fn client(capabilities: Value) -> ClientCapabilities {
    ClientCapabilities::from_value(capabilities).unwrap()
}

fn encoded(required: &InputRequired) -> Value {
    let server = ServerInfo::new("f", "1");
    let bytes = required.encode(VERSION, &server, &RequestId::Integer(7));
    let message: Value = serde_json::from_slice(&bytes).unwrap();
    message["result"].clone()
}

#[test]
fn a_result_asks_with_questions_or_a_state_or_both() {
    let requests = InputRequests::new()
        .with("user_name", name())
        .with("client_roots", ClientRequest::ListRoots);
    let required = InputRequired::ask(VERSION, &requests).unwrap();
    let result = encoded(&required.with_state("s".into()));
    assert_eq!(result["resultType"], "input_required");
    assert_eq!(result["requestState"], "s");
    assert_eq!(
        result["inputRequests"],
        json!({
            "client_roots": {"method": "roots/list", "params": {}},
            "user_name": {"method": "elicitation/create", "params": {
                "mode": "form", "message": "What is your name?", "requestedSchema": {
                    "type": "object", "properties": {"name": {"type": "string"}},
                    "required": ["name"]
                }
            }}
        })
    );
    assert!(InputRequired::ask(VERSION, &InputRequests::new()).is_none());
    let bare = encoded(&InputRequired::retry("s".into()));
    assert_eq!(bare.get("inputRequests"), None);
    assert_eq!(bare.get("ttlMs"), None);
}

#[test]
fn only_what_the_request_declares_is_asked() {
    let requests = InputRequests::new()
        .with("n", name())
        .with("r", ClientRequest::ListRoots);
    let roots_only = client(json!({"roots": {}}));
    let refusal = requests.check(VERSION, &roots_only).unwrap_err();
    assert_eq!(
        refusal.error.data,
        Some(json!({"requiredCapabilities": {"elicitation": {}}}))
    );
    let possible = requests.clone().possible(VERSION, &roots_only);
    assert_eq!(
        possible.iter().map(|(key, _)| key).collect::<Vec<_>>(),
        ["r"]
    );
    let both = client(json!({"roots": {}, "elicitation": {}}));
    assert_eq!(requests.check(VERSION, &both), Ok(()));
}

#[test]
fn answers_are_collected_and_what_is_missing_is_asked_again() {
    let requests = InputRequests::new()
        .with("n", name())
        .with("r", ClientRequest::ListRoots);
    let some = retry(&json!({"name": "t", "inputResponses": {
        "n": {"action": "accept", "content": {"name": "octocat", "x": 1}},
        "nobody_asked": 7
    }}))
    .unwrap();
    assert!(some.is_retry());
    let collected = requests.collect(&some).unwrap();
    let content = Map::from_iter([("name".to_owned(), json!("octocat"))]);
    let expected = ClientResult::Elicited(ElicitResult::Accepted(content));
    assert_eq!(collected.answers["n"], expected);
    assert_eq!(
        collected.missing,
        InputRequests::new().with("r", ClientRequest::ListRoots)
    );
    let bad = retry(&json!({"inputResponses": {"n": 12345}})).unwrap();
    let error = InputRequests::new()
        .with("n", name())
        .collect(&bad)
        .unwrap_err();
    assert!(error.to_string().starts_with("inputResponses: "), "{error}");
}

#[test]
fn a_first_attempt_has_nothing_and_malformed_retries_are_refused() {
    let first = retry(&json!({"name": "t", "arguments": {}})).unwrap();
    assert!(!first.is_retry() && first.state().is_none());
    assert!(!Retry::parse(None).unwrap().is_retry());
    let nulls = retry(&json!({"inputResponses": null, "requestState": null})).unwrap();
    assert!(!nulls.is_retry() && nulls.state().is_none());
    let many: Map<String, Value> = (0..65).map(|n| (n.to_string(), json!({}))).collect();
    for bad in [
        json!({"inputResponses": []}),
        json!({"inputResponses": many}),
        json!({"requestState": 7}),
        json!({"requestState": "x".repeat(MAX_REQUEST_STATE_BYTES + 1)}),
    ] {
        assert_eq!(retry(&bad).unwrap_err().code.number(), -32602);
    }
}

#[test]
fn only_three_methods_ask() {
    for method in ["tools/call", "prompts/get", "resources/read"] {
        assert!(is_supported(method));
    }
    assert!(!is_supported("tools/list") && !is_supported("server/discover"));
}
