//! Calls of the stateless era that need an answer first: each attempt may reach another edge. The
//! tools are those of the conformance suite.

use std::{io::Write, sync::Arc, time::Duration};

use access::Authenticator;
use model::{Clock, ManualClock, SystemClock};
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::mcp_client::{McpReply, ModernClient};

use super::{
    principals::{SEES_ALL, SEES_CATS, Tokens},
    world::*,
};

const TOOL: &str = "test_input_required_result_elicitation";

/// A configuration with a key that other edges may share.
struct Keyed {
    _file: tempfile::NamedTempFile,
    config: EdgeConfig,
}

fn keyed(letter: &str) -> Keyed {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(letter.repeat(44).as_bytes()).unwrap();
    let config = EdgeConfig {
        state_key_files: vec![file.path().to_owned()],
        ..EdgeConfig::default()
    };
    Keyed {
        _file: file,
        config,
    }
}

/// Calls a tool as a client with `capabilities`, adding the fields of `retry`.
async fn call(node: &Node, tool: &str, capabilities: Value, retry: Value) -> McpReply {
    as_principal(node, None, tool, capabilities, retry).await
}

async fn as_principal(
    node: &Node,
    token: Option<&str>,
    tool: &str,
    capabilities: Value,
    retry: Value,
) -> McpReply {
    let client = ModernClient::new();
    let mut message = client.message(
        "tools/call",
        json!({ "name": tool, "arguments": retry["arguments"] }),
    );
    let params = &mut message["params"];
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities;
    for member in ["inputResponses", "requestState"] {
        if !retry[member].is_null() {
            params[member] = retry[member].clone();
        }
    }
    let mut headers = ModernClient::headers(&message);
    if let Some(token) = token {
        let bearer = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        headers.insert("authorization", bearer);
    }
    client.send(&node.url, headers, &message).await.unwrap()
}

fn asks() -> Value {
    json!({ "elicitation": {} })
}

fn accepts(content: &Value) -> Value {
    json!({ "action": "accept", "content": content })
}

/// The answer to a question as a retry.
fn retry(asked: &McpReply, key: &str, answer: &Value) -> Value {
    let result = &asked.body["result"];
    assert_eq!(result["resultType"], "input_required", "{:?}", asked.body);
    assert!(result["inputRequests"][key].is_object(), "{result}");
    json!({ "inputResponses": { key: answer }, "requestState": result["requestState"] })
}

fn code(reply: &McpReply) -> i64 {
    reply.body["error"]["code"].as_i64().unwrap_or_default()
}

#[tokio::test]
async fn every_round_may_go_to_another_edge_that_has_the_key() {
    let (world, key) = (EdgeWorld::new().await, keyed("k"));
    let (a, b) = (
        world.node_with(&key.config, world.bus.clone()).await,
        world.node_with(&key.config, world.bus.clone()).await,
    );
    let tool = "test_input_required_result_multi_round";
    let one = call(&a, tool, asks(), json!({})).await;
    let name = retry(&one, "step1", &accepts(&json!({ "name": "Alice" })));
    let two = call(&b, tool, asks(), name).await;
    let colour = retry(&two, "step2", &accepts(&json!({ "color": "blue" })));
    let done = call(&a, tool, asks(), colour).await;
    let text = done.body["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("Alice") && text.contains("blue"), "{text}");
    // An edge with another key cannot read the state.
    let other = world.node_with(&keyed("z").config, world.bus.clone()).await;
    let name = retry(&one, "step1", &accepts(&json!({ "name": "Alice" })));
    assert_eq!(code(&call(&other, tool, asks(), name).await), -32602);
}

#[tokio::test]
async fn a_state_that_is_not_for_this_call_is_refused() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let (world, key) = (EdgeWorld::at(clock.clone()).await, keyed("k"));
    let (a, b) = (
        world.node_with(&key.config, world.bus.clone()).await,
        world.node_with(&key.config, world.bus.clone()).await,
    );
    let asked = call(&a, TOOL, asks(), json!({})).await;
    let good = retry(&asked, "user_name", &accepts(&json!({ "name": "Alice" })));
    let state = good["requestState"].as_str().unwrap().to_owned();
    for broken in [format!("{state}A"), state[1..].to_owned(), String::new()] {
        let mut retry = good.clone();
        retry["requestState"] = json!(broken);
        assert_eq!(
            code(&call(&b, TOOL, asks(), retry).await),
            -32602,
            "{broken}"
        );
    }
    let other_tool = "test_input_required_result_request_state";
    assert_eq!(
        code(&call(&b, other_tool, asks(), good.clone()).await),
        -32602
    );
    let mut other_arguments = good.clone();
    other_arguments["arguments"] = json!({ "more": 1 });
    assert_eq!(code(&call(&b, TOOL, asks(), other_arguments).await), -32602);
    let done = call(&b, TOOL, asks(), good.clone()).await;
    assert_eq!(
        done.body["result"]["resultType"], "complete",
        "{:?}",
        done.body
    );
    clock.advance(Duration::from_secs(3601));
    assert_eq!(code(&call(&b, TOOL, asks(), good).await), -32602);
}

#[tokio::test]
async fn a_state_is_as_old_as_the_store_says_whatever_clock_an_edge_has() {
    let days = Duration::from_secs(8 * 24 * 3600);
    let now = SystemClock.now();
    let key = keyed("k");
    let world = EdgeWorld::at(Arc::new(ManualClock::at(now))).await;
    let right = world.node_with(&key.config, world.bus.clone()).await;
    for wrong in [now.plus(days), now.minus(days)] {
        let (bus, auth) = (world.bus.clone(), Authenticator::none());
        let clock = Arc::new(ManualClock::at(wrong));
        let wrong = world.node_at(&key.config, bus, auth, clock).await;
        for (asks_here, taken_there) in [(&right, &wrong), (&wrong, &right)] {
            let asked = call(asks_here, TOOL, asks(), json!({})).await;
            let answer = accepts(&json!({ "name": "Alice" }));
            let answer = retry(&asked, "user_name", &answer);
            let done = call(taken_there, TOOL, asks(), answer).await;
            let result = &done.body["result"];
            assert_eq!(result["resultType"], "complete", "{:?}", done.body);
        }
    }
}

#[tokio::test]
async fn a_state_of_another_principal_is_refused() {
    let (world, key, tokens) = (EdgeWorld::new().await, keyed("k"), Tokens::new());
    let auth = Authenticator::tokens(&tokens.path, Arc::new(SystemClock)).unwrap();
    let node = world.node_for(&key.config, world.bus.clone(), auth).await;
    let asked = as_principal(&node, Some(SEES_ALL), TOOL, asks(), json!({})).await;
    let good = retry(&asked, "user_name", &accepts(&json!({ "name": "Alice" })));
    let foreign = as_principal(&node, Some(SEES_CATS), TOOL, asks(), good.clone()).await;
    assert_eq!(code(&foreign), -32602);
    let own = as_principal(&node, Some(SEES_ALL), TOOL, asks(), good).await;
    assert_eq!(own.body["result"]["resultType"], "complete");
}

#[tokio::test]
async fn what_the_request_does_not_declare_is_not_asked() {
    let world = EdgeWorld::new().await;
    let node = world.node().await;
    for (tool, needs) in [
        (TOOL, "elicitation"),
        ("test_missing_capability", "sampling"),
    ] {
        let refused = call(&node, tool, json!({ "roots": {} }), json!({})).await;
        assert_eq!((refused.status, code(&refused)), (400, -32021), "{tool}");
        let needed = &refused.body["error"]["data"]["requiredCapabilities"];
        assert_eq!(*needed, json!({ needs: {} }));
    }
}

#[tokio::test]
async fn a_user_who_declines_or_cancels_is_heard_and_a_wrong_answer_is_named() {
    let world = EdgeWorld::new().await;
    let node = world.node().await;
    for (action, word) in [("decline", "Declined"), ("cancel", "Cancelled")] {
        let asked = call(&node, TOOL, asks(), json!({})).await;
        let answer = retry(&asked, "user_name", &json!({ "action": action }));
        let done = call(&node, TOOL, asks(), answer).await;
        let text = done.body["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(word), "{text}");
    }
    let asked = call(&node, TOOL, asks(), json!({})).await;
    let wrong = retry(&asked, "user_name", &accepts(&json!({ "name": 7 })));
    let refused = call(&node, TOOL, asks(), wrong).await;
    let text = refused.body["error"]["message"].as_str().unwrap();
    assert!(text.contains("name"), "{text}");
    // None of the requested answers is there: the question is asked again.
    let again = json!({ "inputResponses": { "other": accepts(&json!({})) } });
    let again = call(&node, TOOL, asks(), again).await;
    assert_eq!(again.body["result"]["resultType"], "input_required");
}
