//! The tools that a model can call.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::mcp_client::{McpClient, ModernClient};

use super::world::*;

async fn tool(client: &McpClient, node: &Node, name: &str, arguments: Value) -> Value {
    let result = client.call_tool(&node.url, name, arguments).await.unwrap();
    assert_ne!(result["isError"], true, "{result}");
    result["structuredContent"].clone()
}

fn ids(data: &Value) -> Vec<&str> {
    let events = data["events"].as_array().unwrap();
    assert_eq!(data["count"], events.len());
    events
        .iter()
        .map(|event| event["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn recent_then_replay_gives_everything_once() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let (first, second) = (world.happens("cat").await, world.happens("dog").await);
    let recent = tool(&client, &a, "get_recent_events", json!({})).await;
    assert_eq!(ids(&recent), [second.as_str(), &first]);
    let third = world.happens("cat").await;
    let rest = tool(
        &client,
        &b,
        "replay_events",
        json!({ "cursor": recent["cursor"] }),
    )
    .await;
    assert_eq!(
        (ids(&rest), &rest["truncated"]),
        (vec![third.as_str()], &json!(false))
    );
    let cats = json!({ "filters": [{ "repo": "CAT" }], "limit": 1 });
    let page = tool(&client, &a, "replay_events", cats).await;
    assert_eq!(
        (ids(&page), &page["hasMore"]),
        (vec![first.as_str()], &json!(true))
    );
}

#[tokio::test]
async fn the_alias_gives_what_the_tools_give() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    world.happens("cat").await;
    world.happens("dog").await;
    let filters = json!([{ "repo": "cat" }]);
    for (name, action) in [
        ("get_recent_events", "get_recent"),
        ("replay_events", "replay"),
    ] {
        let direct = tool(&client, &a, name, json!({ "filters": filters })).await;
        let arguments = json!({ "action": action, "filters": filters });
        let mut alias = tool(&client, &b, "manage_events", arguments).await;
        // No two cursors are the same; they lead to the same place.
        assert_ne!(alias["cursor"], direct["cursor"]);
        for cursor in [&alias["cursor"], &direct["cursor"]] {
            let rest = tool(&client, &b, "replay_events", json!({ "cursor": cursor })).await;
            assert_eq!(rest["events"], json!([]));
        }
        for cursor in ["cursor", "nextCursor"] {
            alias[cursor] = direct[cursor].clone();
        }
        assert_eq!(alias, direct);
    }
    let manage = |arguments| tool(&client, &a, "manage_events", arguments);
    let made = manage(json!({ "action": "subscribe", "filters": filters })).await;
    let id = made["subscriptionId"].as_str().unwrap();
    let listed = manage(json!({ "action": "list" })).await;
    assert_eq!(listed["subscriptions"][0]["subscriptionId"], id);
    assert_eq!(listed["subscriptions"][0]["filters"], filters);
    manage(json!({ "action": "unsubscribe", "subscriptionId": id })).await;
    assert_eq!(
        manage(json!({ "action": "list" })).await["subscriptions"],
        json!([])
    );
    for wrong in [
        json!({ "action": "unsubscribe", "subscriptionId": id }),
        json!({ "action": "unsubscribe" }),
        json!({ "action": "get_recent", "unknown": 1 }),
        json!({ "action": "dance" }),
    ] {
        let result = client
            .call_tool(&a.url, "manage_events", wrong.clone())
            .await
            .unwrap();
        assert_eq!(result["isError"], true, "{wrong}: {result}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_explained_to_the_model() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    for (name, arguments, word) in [
        ("get_recent_events", json!({ "limit": 0 }), "limit"),
        (
            "get_recent_events",
            json!({ "filters": [{ "resourceType": "wiki page" }] }),
            "pull_request",
        ),
        ("replay_events", json!({ "cursor": "x" }), "cursor"),
        ("replay_events", json!({ "waitSeconds": 51 }), "waitSeconds"),
        ("replay_events", json!({ "from": "yesterday" }), "RFC 3339"),
        ("subscribe_to_events", json!({ "filter": [] }), "filter"),
    ] {
        let result = client.call_tool(&a.url, name, arguments).await.unwrap();
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(
            result["isError"] == true && text.contains(word),
            "{name}: {text}"
        );
    }
    let unknown = client
        .call_tool(&a.url, "no_such_tool", json!({}))
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Some(-32602));
}

#[tokio::test]
async fn a_replay_that_waits_wakes_with_the_event_that_fits() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let cursor = tool(&client, &a, "get_recent_events", json!({})).await["cursor"].clone();
    for node in [&a, &b] {
        let arguments =
            json!({ "cursor": cursor, "filters": [{ "repo": "cat" }], "waitSeconds": 10 });
        let asked = Instant::now();
        let waiting = tool(&client, node, "replay_events", arguments);
        let happening = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            world.happens("dog").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            world.happens("cat").await
        };
        let (data, cat) = tokio::join!(waiting, happening);
        assert_eq!(
            ids(&data)[0],
            if node.url == a.url {
                cat.as_str()
            } else {
                "e2"
            }
        );
        assert!(asked.elapsed() < Duration::from_secs(5));
    }
    let arguments = json!({ "filters": [{ "repo": "bird" }], "waitSeconds": 1 });
    let asked = Instant::now();
    let data = tool(&client, &a, "replay_events", arguments).await;
    assert_eq!(ids(&data), [""; 0]);
    assert!(asked.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_replay_that_waits_is_answered_when_the_edge_drains() {
    let (world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    world.happens("dog").await;
    let arguments = json!({ "filters": [{ "repo": "cat" }], "waitSeconds": 12 });
    let draining = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        a.life.shut_down();
    };
    let asked = Instant::now();
    let (data, ()) = tokio::join!(tool(&client, &a, "replay_events", arguments), draining);
    assert_eq!(ids(&data), [""; 0]);
    assert!(data["cursor"].is_string() && asked.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn resources_are_read_in_both_eras() {
    let (world, a, b) = EdgeWorld::two().await;
    let (client, modern) = (connect(&a).await, ModernClient::new());
    let event = world.happens("cat").await;
    world.happens("dog").await;
    let issue = "github://issues/Octo/CAT/7";
    let list = "github://events/octo/cat";
    for node in [&a, &b] {
        for contents in [
            client.read_resource(&node.url, issue).await.unwrap(),
            modern.read_resource(&node.url, issue).await.unwrap(),
        ] {
            assert_eq!(contents[0]["uri"], issue);
            assert_eq!(contents[0]["text"], r#"{"number":7}"#);
        }
        let contents = client.read_resource(&node.url, list).await.unwrap();
        let data: Value = serde_json::from_str(contents[0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(data["events"][0]["id"], event);
        assert_eq!(data["events"].as_array().unwrap().len(), 1);
    }
    for unknown in ["github://issues/octo/cat/8", "http://x"] {
        let error = client.read_resource(&a.url, unknown).await.unwrap_err();
        assert_eq!(error.code(), Some(-32002), "{error}");
    }
}

#[tokio::test]
async fn without_a_session_a_subscription_says_what_to_listen_to() {
    let (world, a, b) = EdgeWorld::two().await;
    let modern = ModernClient::new();
    let filters = json!({ "filters": [{ "owner": "Octo", "repo": "Cat" }] });
    let result = modern
        .call_tool(&a.url, "subscribe_to_events", filters)
        .await
        .unwrap();
    let data = &result["structuredContent"];
    assert_eq!(data["listenUris"], json!(["github://events/octo/cat"]));
    let event = world.happens("cat").await;
    let arguments = json!({ "cursor": data["cursor"] });
    let rest = modern
        .call_tool(&b.url, "replay_events", arguments)
        .await
        .unwrap();
    assert_eq!(ids(&rest["structuredContent"]), [event.as_str()]);
    let discovered = modern.discover(&a.url).await.unwrap();
    assert!(
        discovered["capabilities"]["tools"].is_object(),
        "{discovered}"
    );
}

/// A value that does not fit the schema, for each kind that our schemas have.
fn misfits(schema: &Value) -> Vec<Value> {
    let is = |kind: &str| match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|other| other == kind),
        one => one == kind,
    };
    let mut misfits = vec![json!({ "no": "such" })];
    // A list of texts may be one text, as in REST.
    let takes_text = is("string") || schema["items"]["type"] == "string";
    if !takes_text && schema["enum"].is_null() && schema["oneOf"].is_null() {
        misfits.push(json!("text"));
    }
    if !is("integer") {
        misfits.push(json!(7));
    }
    if !is("boolean") {
        misfits.push(json!(true));
    }
    for (bound, beyond) in [("minimum", -1), ("maximum", 1)] {
        if let Some(bound) = schema[bound].as_i64() {
            misfits.push(json!(bound + beyond));
        }
    }
    misfits
}

/// Valid arguments, where the schema requires some.
fn required(schema: &Value) -> Value {
    let mut arguments = json!({});
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap();
        arguments[name] = match name {
            "action" => json!("list"),
            _ => json!("text"),
        };
    }
    arguments
}

#[tokio::test]
async fn whatever_does_not_fit_a_schema_is_named_by_every_tool() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let mut tried = 0;
    for described in client.list_tools(&a.url).await.unwrap() {
        let name = described["name"].as_str().unwrap();
        // Not every fixture of the conformance suite reads all that it declares.
        if is_fixture(name) {
            continue;
        }
        let schema = &described["inputSchema"];
        for (property, of) in schema["properties"].as_object().unwrap() {
            let mut wrong: Vec<_> = misfits(of)
                .into_iter()
                .map(|value| (property.as_str(), value))
                .collect();
            if let Some(inner) = of["items"]["properties"].as_object() {
                for (member, of) in inner {
                    wrong.extend(
                        misfits(of)
                            .into_iter()
                            .map(|value| (member.as_str(), json!([{ member: value }]))),
                    );
                }
            }
            for (field, value) in wrong {
                let mut arguments = required(schema);
                arguments[property] = value;
                let asked = arguments.to_string();
                let result = client.call_tool(&a.url, name, arguments).await.unwrap();
                let text = result["content"][0]["text"].as_str().unwrap();
                assert!(
                    result["isError"] == true && text.contains(field),
                    "{name} {asked} does not name {field}: {text}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 60, "{tried}");
}

/// The sync role has to be as far as the edge that told the client (RR-02).
#[tokio::test]
async fn a_read_names_a_position_that_covers_what_the_client_was_told() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = connect(&a).await;
    let uri = "github://issues/octo/cat/7";
    client.subscribe(&a.url, uri).await.unwrap();
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    for _ in 0..3 {
        world.happens("cat").await;
        let message = next(&mut stream).await;
        assert_eq!(message.method(), "notifications/resources/updated");
        client.read_resource(&a.url, uri).await.unwrap();
        let head = world.log.head().await.unwrap();
        let seen = world.seen.lock().expect("a position");
        assert_eq!((seen.epoch, seen.sequence), (head.epoch, head.last));
    }
    client.read_resource(&b.url, uri).await.unwrap();
    assert!(world.seen.lock().is_some());
}
