//! The tools as clients of earlier systems call them: written from those systems' documents, not from ours.

use model::{EventFacts, EventType, GithubIds, ResourceId, ResourceType, Timestamp};
use serde_json::{Value, json};
use sse_edge::EdgeConfig;
use testkit::mcp_client::McpClient;

use super::world::*;

/// The revision that those clients negotiate.
const REVISION: &str = "2025-06-18";

async fn client(node: &Node) -> McpClient {
    McpClient::initialize(&node.url, REVISION).await.unwrap()
}

async fn call(client: &McpClient, node: &Node, tool: &str, arguments: Value) -> Value {
    let result = client.call_tool(&node.url, tool, arguments).await.unwrap();
    assert_ne!(result["isError"], true, "{tool}: {result}");
    let data = &result["structuredContent"];
    assert_eq!(data["success"], true, "{data}");
    data.clone()
}

fn ids(data: &Value) -> Vec<&str> {
    let events = data["events"].as_array().unwrap();
    assert_eq!(data["count"], events.len(), "{data}");
    let ids = events.iter().map(|event| event["id"].as_str().unwrap());
    ids.collect()
}

/// An event of this kind about the resource with this numeric id.
fn about(kind: ResourceType, id: u64) -> impl FnOnce(&mut EventFacts) {
    move |event| {
        event.resource_type = kind;
        event.resource_id = ResourceId::new(&format!("N_{id}")).unwrap();
        event.ids = GithubIds {
            resource: Some(id),
            ..GithubIds::default()
        };
    }
}

/// One event of each documented kind, and one of a pull request; returns their ids.
async fn one_of_each(world: &EdgeWorld) -> [String; 5] {
    let kinds = [
        ResourceType::PROJECT,
        ResourceType::MILESTONE,
        ResourceType::ISSUE,
        ResourceType::SPRINT,
        ResourceType::PULL_REQUEST,
    ];
    let mut ids = Vec::new();
    for (id, kind) in (100..).zip(kinds) {
        ids.push(world.happens_as(about(kind, id)).await);
    }
    ids.try_into().unwrap()
}

#[tokio::test]
async fn the_three_documented_tools_take_the_documented_arguments() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = client(&a).await;
    let before = model::Clock::now(&model::SystemClock);
    let subscribed = call(
        &client,
        &a,
        "subscribe_to_events",
        json!({
            "clientId": "planner-1", "transport": "sse",
            "filters": [{ "resourceType": "PROJECT" }, { "resourceType": "SPRINT" }],
        }),
    )
    .await;
    assert!(subscribed["subscriptionId"].is_string(), "{subscribed}");
    assert_eq!(subscribed["clientId"], "planner-1");
    assert_eq!(subscribed["transport"], "sse");
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    let [project, milestone, issue, sprint, _] = one_of_each(&world).await;
    assert_eq!(
        next_events(&mut stream, 2).await,
        [project.clone(), sprint.clone()]
    );

    for (name, id, event) in [
        ("PROJECT", 100, &project),
        ("milestone", 101, &milestone),
        ("Issue", 102, &issue),
        ("SPRINT", 103, &sprint),
    ] {
        for id in [json!(id), json!(id.to_string()), json!(format!("N_{id}"))] {
            let asked = json!({ "resourceType": name, "resourceId": id, "limit": 10 });
            let recent = call(&client, &b, "get_recent_events", asked.clone()).await;
            assert_eq!(ids(&recent), [event], "{asked}");
            let mut asked = asked;
            asked["fromTimestamp"] = before.to_string().into();
            asked["eventType"] = "updated".into();
            let replayed = call(&client, &b, "replay_events", asked.clone()).await;
            assert_eq!(ids(&replayed), [event], "{asked}");
            assert_eq!(replayed["fromTimestamp"], before.to_string());
            assert!(replayed["toTimestamp"].is_null(), "{replayed}");
        }
        let of_another_kind = json!({ "resourceType": "draft_issue", "resourceId": id });
        let none = call(&client, &b, "get_recent_events", of_another_kind).await;
        assert!(
            ids(&none).is_empty(),
            "an id is that of a resource of its kind"
        );
    }
    let range = json!({
        "fromTimestamp": "2020-01-01T00:00:00Z", "toTimestamp": before.to_string(),
        "resourceType": "PROJECT", "limit": 10,
    });
    let earlier = call(&client, &a, "replay_events", range).await;
    assert!(ids(&earlier).is_empty(), "{earlier}");
    assert_eq!(earlier["toTimestamp"], before.to_string());
}

#[tokio::test]
async fn manage_events_takes_each_of_the_documented_actions() {
    let (world, a, _b) = EdgeWorld::two().await;
    let client = client(&a).await;
    let manage = |arguments| call(&client, &a, "manage_events", arguments);
    let [project, ..] = one_of_each(&world).await;
    let subscribed = manage(json!({
        "action": "subscribe", "clientId": "c", "transport": "SSE",
        "filters": [{ "resourceType": "ISSUE", "eventType": "created" }],
    }));
    let id = subscribed.await["subscriptionId"].clone();
    let recent = manage(json!({ "action": "get_recent", "resourceType": "PROJECT", "limit": 5 }));
    assert_eq!(ids(&recent.await), [&project]);
    let replayed = manage(json!({
        "action": "replay", "fromTimestamp": "2020-01-01T00:00:00.000Z", "resourceType": "PROJECT",
        "resourceId": "100", "limit": 1000,
    }));
    assert_eq!(ids(&replayed.await), [&project]);
    // Here `action` is the call; GitHub's word goes into a filter.
    let labeled = world.happens_as(|event| event.action = Some("labeled".into()));
    let labeled = labeled.await;
    let recent = manage(json!({ "action": "get_recent", "filters": [{ "action": "LABELED" }] }));
    assert_eq!(ids(&recent.await), [&labeled]);
    let listed = manage(json!({ "action": "list" })).await;
    assert_eq!(
        (
            &listed["count"],
            &listed["subscriptions"][0]["subscriptionId"]
        ),
        (&json!(1), &id)
    );
    manage(json!({ "action": "unsubscribe", "subscriptionId": id })).await;
    assert_eq!(manage(json!({ "action": "list" })).await["count"], 0);
}

#[tokio::test]
async fn issues_include_pull_requests_where_the_operator_or_the_caller_says_so() {
    let world = EdgeWorld::new().await;
    let config = EdgeConfig {
        issues_include_pull_requests: true,
        ..EdgeConfig::default()
    };
    let (plain, wide) = (
        world.node().await,
        world.node_with(&config, world.bus.clone()).await,
    );
    let [.., issue, _, pull] = one_of_each(&world).await;
    let (issue, pull) = (issue.as_str(), pull.as_str());
    let both = || vec![pull, issue];
    for (node, arguments, expected) in [
        (&plain, json!({}), vec![issue]),
        (&wide, json!({}), both()),
        (&plain, json!({ "includePullRequests": true }), both()),
        (
            &wide,
            json!({ "includePullRequests": "false" }),
            vec![issue],
        ),
        (&plain, json!({ "isPullRequest": true }), vec![pull]),
        (&wide, json!({ "isPullRequest": false }), vec![issue]),
    ] {
        let client = client(node).await;
        let mut asked = arguments.clone();
        asked["resourceType"] = "ISSUE".into();
        let recent = call(&client, node, "get_recent_events", asked).await;
        assert_eq!(ids(&recent), expected, "{arguments}");
        // In a list of filters, what stands beside it applies to each.
        let mut asked = arguments.clone();
        asked["filters"] = json!([{ "resourceType": "ISSUE" }]);
        if let Some(flag) = arguments.get("isPullRequest") {
            asked = json!({ "filters": [{ "resourceType": "ISSUE", "isPullRequest": flag }] });
        }
        let recent = call(&client, node, "get_recent_events", asked).await;
        assert_eq!(ids(&recent), expected, "{arguments}");
        let query = arguments.as_object().unwrap().iter();
        let query =
            query.map(|(name, value)| format!("&{name}={}", value.to_string().trim_matches('"')));
        let path = format!(
            "/events/recent?resourceType=ISSUE{}",
            query.collect::<String>()
        );
        let list: Value = reqwest::get(node.at(&path))
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(ids(&list), expected, "{path}");
    }
}

#[tokio::test]
async fn what_a_documented_call_cannot_do_is_said_by_name() {
    let (_world, a, _b) = EdgeWorld::two().await;
    // From 2025-11-25 on, refused input is a result that a model reads.
    let client = connect(&a).await;
    for (tool, arguments, words) in [
        (
            "subscribe_to_events",
            json!({ "clientId": "c", "transport": "webhook", "filters": [] }),
            &["transport", "webhook is not supported yet"][..],
        ),
        (
            "subscribe_to_events",
            json!({ "clientId": "c", "transport": "webhook", "endpoint": "https://example.org" }),
            &["transport", "webhook is not supported yet"],
        ),
        (
            "manage_events",
            json!({ "action": "subscribe", "transport": "webhook", "endpoint": { "url": "https://example.org" } }),
            &["transport", "webhook is not supported yet"],
        ),
        (
            "subscribe_to_events",
            json!({ "endpoint": "https://example.org" }),
            &["endpoint", "nothing is posted there", "leave it out"],
        ),
        (
            "subscribe_to_events",
            json!({ "transport": "carrier pigeon" }),
            &["transport", "sse or internal"],
        ),
        (
            "subscribe_to_events",
            json!({ "clientId": "c".repeat(257) }),
            &["clientId", "256"],
        ),
        (
            "get_recent_events",
            json!({ "resourceType": "WIKI page" }),
            &["resourceType: ", "WIKI page", "milestone", "sprint"],
        ),
        (
            "get_recent_events",
            json!({ "resourceType": "ISSUE", "filters": [{ "owner": "o" }] }),
            &["filters", "into a filter of the list"],
        ),
        (
            "get_recent_events",
            json!({ "resourceId": 1.5 }),
            &["resourceId"],
        ),
        (
            "replay_events",
            json!({ "fromTimestamp": "soon" }),
            &["fromTimestamp", "RFC 3339"],
        ),
        (
            "replay_events",
            json!({ "from": "2026-01-01", "fromTimestamp": "2026-01-01" }),
            &["fromTimestamp", "leave one of them out"],
        ),
        (
            "replay_events",
            json!({ "order": "desc", "cursor": "c" }),
            &["cursor", "previousCursor as before"],
        ),
        (
            "replay_events",
            json!({ "order": "desc", "waitSeconds": 1 }),
            &["waitSeconds"],
        ),
        (
            "replay_events",
            json!({ "before": "c" }),
            &["before", "order desc"],
        ),
    ] {
        let result = client.call_tool(&a.url, tool, arguments.clone()).await;
        let result = result.unwrap();
        let text = result["content"][0]["text"].as_str().unwrap();
        assert_eq!(result["isError"], true, "{tool} {arguments}: {text}");
        for word in words {
            assert!(text.contains(word), "{tool} {arguments}: {text}");
        }
    }
}

#[tokio::test]
async fn an_answer_for_sprints_says_what_they_are() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let client = client(&a).await;
    for tool in ["get_recent_events", "replay_events", "subscribe_to_events"] {
        let sprints = call(
            &client,
            &a,
            tool,
            json!({ "filters": [{ "resourceType": "SPRINT" }] }),
        );
        let note = sprints.await["notes"][0].as_str().unwrap().to_owned();
        assert!(note.contains("no webhook for iterations"), "{tool}: {note}");
        let issues = call(
            &client,
            &a,
            tool,
            json!({ "filters": [{ "resourceType": "ISSUE" }] }),
        );
        assert!(issues.await["notes"].is_null(), "{tool}");
    }
}

/// The schema says what the tools take, for clients and models that check against it.
#[tokio::test]
async fn the_documented_arguments_are_in_the_schemas() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let client = client(&a).await;
    let tools = client.list_tools(&a.url).await.unwrap();
    let fields = |name: &str| {
        let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}");
        let fields = tool["inputSchema"]["properties"].as_object().unwrap();
        fields.keys().cloned().collect::<Vec<_>>()
    };
    for (tool, documented) in [
        (
            "subscribe_to_events",
            &["clientId", "filters", "transport"][..],
        ),
        (
            "get_recent_events",
            &["resourceType", "resourceId", "limit"],
        ),
        (
            "replay_events",
            &[
                "fromTimestamp",
                "toTimestamp",
                "resourceType",
                "resourceId",
                "eventType",
                "limit",
            ],
        ),
    ] {
        let fields = fields(tool);
        for field in documented {
            assert!(fields.iter().any(|known| known == field), "{tool}: {field}");
        }
    }
}

/// Filters of REST, of the stream and of the tools are the same.
#[tokio::test]
async fn an_action_and_a_numeric_id_select_on_every_surface() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = client(&a).await;
    let query = "action=Labeled&resourceId=102&resourceType=ISSUE";
    let url = a.at(&format!("/events/stream?{query}"));
    let mut stream = testkit::sse::open(&url, Default::default()).await.unwrap();
    stream.next_event(SOON).await.unwrap();
    let labeled = |id| {
        move |event: &mut EventFacts| {
            about(ResourceType::ISSUE, id)(event);
            event.action = Some("labeled".into());
        }
    };
    world.happens_as(about(ResourceType::ISSUE, 102)).await;
    world.happens_as(labeled(103)).await;
    let wanted = world.happens_as(labeled(102)).await;
    world
        .happens_as(|event| {
            labeled(102)(event);
            event.resource_type = ResourceType::MILESTONE;
            event.event_type = EventType::CLOSED;
        })
        .await;
    let frame = stream.next_event(SOON).await.unwrap().json().unwrap();
    assert_eq!(frame["id"], wanted.as_str());
    quiet(&mut stream).await;
    let since = Timestamp::from_unix_millis(0);
    for path in [
        format!("/events/recent?{query}"),
        format!("/events/replay/{since}?{query}"),
    ] {
        let list: Value = reqwest::get(b.at(&path))
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(ids(&list), [&wanted], "{path}");
    }
    let filter = json!({ "action": "LABELED", "databaseId": 102, "resourceType": "issue" });
    for arguments in [filter.clone(), json!({ "filters": filter })] {
        for tool in ["get_recent_events", "replay_events"] {
            let found = call(&client, &b, tool, arguments.clone()).await;
            assert_eq!(ids(&found), [&wanted], "{tool} {arguments}");
        }
    }
}

#[tokio::test]
async fn a_named_subscription_that_is_deleted_is_gone_from_its_session_too() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = client(&a).await;
    let mut stream = client.open_stream(&a.url, None).await.unwrap();
    let other = self::client(&b).await;
    let filters = json!([{ "resourceType": "ISSUE" }]);
    for by_tool in [false, true] {
        let asked = json!({ "clientId": "planner-1", "filters": filters });
        let made = call(&client, &a, "subscribe_to_events", asked).await;
        let [.., issue, _, _] = one_of_each(&world).await;
        assert_eq!(next_events(&mut stream, 1).await, [issue]);
        let id = made["subscriptionId"].as_str().unwrap();
        if by_tool {
            let asked = json!({ "action": "unsubscribe", "subscriptionId": id });
            call(&other, &b, "manage_events", asked).await;
        } else {
            let url = b.at(&format!("/events/subscribe/{id}"));
            let deleted = reqwest::Client::new().delete(url).send().await.unwrap();
            assert!(deleted.status().is_success(), "{deleted:?}");
        }
        let listed = call(&client, &a, "manage_events", json!({ "action": "list" })).await;
        assert_eq!(listed["count"], 0, "{listed}");
    }
    for client_id in ["planner-1", "planner-2"] {
        let asked = json!({ "clientId": client_id, "filters": filters });
        call(&client, &a, "subscribe_to_events", asked).await;
    }
    let asked = json!({ "action": "unsubscribe", "all": true });
    let ended = call(&client, &b, "manage_events", asked).await;
    assert_eq!(ended["unsubscribedCount"], 2, "{ended}");
    one_of_each(&world).await;
    let asked = json!({ "filters": [{ "resourceType": "MILESTONE" }] });
    call(&client, &a, "subscribe_to_events", asked).await;
    let [_, milestone, ..] = one_of_each(&world).await;
    assert_eq!(next_events(&mut stream, 1).await, [milestone]);
}
