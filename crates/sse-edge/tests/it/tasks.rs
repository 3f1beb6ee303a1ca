//! Tasks: any edge knows their state, and they belong to their owner alone.

use std::{sync::Arc, time::Duration};

use model::{ManualClock, PrincipalId, TaskId, Timestamp};
use ports::{EdgeNews, Topic};
use serde_json::{Value, json};
use testkit::mcp_client::{ListenStream, McpClient, ModernClient};

use super::world::*;

const EXTENSION: &str = "io.modelcontextprotocol/tasks";

pub(crate) fn client() -> ModernClient {
    ModernClient::with_capabilities(json!({ "extensions": { EXTENSION: {} } }))
}

/// A task that waits for an event of octo/cat.
pub(crate) async fn wait_for_cats(client: &ModernClient, node: &Node) -> String {
    wait_with(client, node, json!({ "filters": [{ "repo": "cat" }] })).await
}

pub(crate) async fn wait_with(client: &ModernClient, node: &Node, arguments: Value) -> String {
    let params = json!({ "name": "wait_for_events", "arguments": arguments });
    let made = client.call(&node.url, "tools/call", params).await.unwrap();
    assert_eq!(
        (&made["resultType"], &made["status"]),
        (&json!("task"), &json!("working"))
    );
    assert!(made.get("requestState").is_none() && made.get("result").is_none());
    made["taskId"].as_str().unwrap().to_owned()
}

pub(crate) async fn get(client: &ModernClient, node: &Node, task: &str) -> Value {
    let params = json!({ "taskId": task });
    client.call(&node.url, "tasks/get", params).await.unwrap()
}

pub(crate) async fn until_it_is(
    client: &ModernClient,
    node: &Node,
    task: &str,
    status: &str,
) -> Value {
    until(status, || async {
        get(client, node, task).await["status"] == status
    })
    .await;
    get(client, node, task).await
}

#[tokio::test]
async fn a_task_is_known_on_every_edge_at_once_and_ends_with_what_it_waited_for() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = client();
    let task = wait_for_cats(&client, &a).await;
    assert_eq!(get(&client, &b, &task).await["status"], "working");
    world.happens("dog").await;
    let cat = world.happens("cat").await;
    let done = until_it_is(&client, &b, &task, "completed").await;
    let events = &done["result"]["structuredContent"]["events"];
    assert_eq!(events.as_array().unwrap().len(), 1, "{done}");
    assert_eq!(events[0]["id"], cat);
}

#[tokio::test]
async fn who_listens_on_another_edge_is_told_how_it_stands_and_how_it_ends() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = client();
    let task = wait_for_cats(&client, &a).await;
    let filter = json!({ "taskIds": [task, "not-a-task-of-ours"] });
    let mut stream = client.listen(&b.url, filter).await.unwrap();
    assert_eq!(stream.acknowledged_filter(), &json!({ "taskIds": [task] }));
    let now = stream.next(SOON).await.unwrap();
    assert!(stream.has_subscription_id(&now));
    assert_eq!(
        (now.method(), &now.params()["status"]),
        ("notifications/tasks", &json!("working"))
    );
    world.happens("cat").await;
    let end = stream.next(SOON).await.unwrap();
    assert_eq!(end.params()["status"], "completed");
    assert_eq!(end.params()["taskId"], task);
    assert!(end.params()["result"]["content"].is_array());
}

#[tokio::test]
async fn a_task_that_was_cancelled_on_another_edge_stays_so() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = client();
    let task = wait_for_cats(&client, &a).await;
    for _ in 0..2 {
        let params = json!({ "taskId": task });
        let ack = client.call(&b.url, "tasks/cancel", params).await.unwrap();
        assert_eq!(ack["resultType"], "complete");
        assert!(ack.get("status").is_none());
    }
    assert_eq!(get(&client, &a, &task).await["status"], "cancelled");
    world.happens("cat").await;
    world.settle(&a).await;
    assert_eq!(get(&client, &b, &task).await["status"], "cancelled");
}

#[tokio::test]
async fn an_edge_that_stops_says_so_of_its_tasks() {
    let (_world, a, b) = EdgeWorld::two().await;
    let client = client();
    let task = wait_for_cats(&client, &a).await;
    a.life.shut_down();
    // The drain ends the wait: the answer is empty, and the client continues from the cursor.
    let done = until_it_is(&client, &b, &task, "completed").await;
    let data = &done["result"]["structuredContent"];
    assert_eq!(data["events"], json!([]));
    assert!(data["cursor"].is_string());
}

#[tokio::test]
async fn without_the_extension_there_are_no_tasks() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let task = wait_for_cats(&client(), &a).await;
    let plain = ModernClient::new();
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let params = json!({ "taskId": task, "inputResponses": {} });
        let reply = plain.request(&a.url, method, params).await.unwrap();
        let error = reply.into_result(method).unwrap_err();
        assert_eq!(
            (error.code(), error.status()),
            (Some(-32021), Some(400)),
            "{method}"
        );
    }
    let filter = json!({ "taskIds": [task] });
    let refused = plain.listen(&a.url, filter).await.unwrap_err();
    assert_eq!(refused.status(), Some(400), "{refused}");
    let arguments = json!({ "filters": [{ "repo": "cat" }], "maxWaitSeconds": 1 });
    let result = plain
        .call_tool(&a.url, "wait_for_events", arguments)
        .await
        .unwrap();
    assert_eq!(result["resultType"], "complete", "{result}");
}

/// The tasks of 2025-11-25 were another protocol: no session has any, and each of their methods is unknown there.
#[tokio::test]
async fn sessions_have_no_tasks() {
    let (_world, a, b) = EdgeWorld::two().await;
    let task = wait_for_cats(&client(), &a).await;
    for version in ["2025-06-18", "2025-11-25"] {
        let session = McpClient::initialize(&a.url, version).await.unwrap();
        assert!(session.initialize_result()["capabilities"]["tasks"].is_null());
        for method in ["get", "update", "cancel", "list", "result"] {
            let method = format!("tasks/{method}");
            let params = json!({ "taskId": task, "inputResponses": {} });
            let refused = session.call(&b.url, &method, params).await.unwrap_err();
            assert_eq!(refused.code(), Some(-32601), "{version}: {refused}");
        }
    }
    assert_eq!(get(&client(), &b, &task).await["status"], "working");
}

#[tokio::test]
async fn input_that_does_not_fit_makes_no_task() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let arguments = json!({ "maxWaitSeconds": 1_000_000 });
    let result = client()
        .call_tool(&a.url, "wait_for_events", arguments)
        .await
        .unwrap();
    assert_eq!(
        (&result["resultType"], &result["isError"]),
        (&json!("complete"), &json!(true))
    );
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("maxWaitSeconds"), "{text}");
    let unknown = json!({ "taskId": "never-was" });
    let error = client()
        .call(&a.url, "tasks/get", unknown)
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.status()), (Some(-32602), Some(200)));
}

/// A principal may have 1,000 tasks. Those that are over make room, so an agent that waits again and again
/// is never refused; those that are worked on do not.
#[tokio::test]
async fn tasks_that_are_over_make_room_and_those_in_work_do_not() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = client();
    let mut tasks = Vec::new();
    for _ in 0..1000 {
        tasks.push(wait_for_cats(&client, &a).await);
    }
    let arguments = json!({ "filters": [{ "repo": "cat" }] });
    let params = json!({ "name": "wait_for_events", "arguments": arguments });
    let refused = client.call(&b.url, "tools/call", params).await.unwrap_err();
    assert!(
        refused.to_string().contains("no room for another task"),
        "{refused}"
    );
    world.happens("cat").await;
    for task in &tasks {
        until_it_is(&client, &a, task, "completed").await;
    }
    let done = get(&client, &b, &tasks[999]).await;
    let day = 24 * 60 * 60 * 1000;
    assert!(
        (day..day + 600_000).contains(&done["ttlMs"].as_u64().unwrap()),
        "{done}"
    );
    let mut new = Vec::new();
    for _ in 0..3 {
        new.push(wait_for_cats(&client, &b).await);
    }
    let is_gone = async |task: &String| {
        let params = json!({ "taskId": task });
        client.call(&a.url, "tasks/get", params).await.is_err()
    };
    let mut gone = 0;
    for task in &tasks {
        gone += usize::from(is_gone(task).await);
    }
    assert_eq!(gone, 3);
    for task in &new {
        assert!(!is_gone(task).await);
    }
}

/// Tells all edges that a task may have changed.
async fn hint(world: &EdgeWorld, task: &str) {
    let news = EdgeNews::TaskChanged {
        owner: PrincipalId::anonymous(),
        task: TaskId::new(task).unwrap(),
    };
    let told = world
        .bus
        .publish(&Topic::Broadcast, news.into(), None)
        .await;
    told.unwrap();
}

/// The task and the status that a stream is told next.
async fn told(stream: &mut ListenStream) -> (String, String) {
    let told = stream.next(SOON).await.unwrap();
    assert_eq!(told.method(), "notifications/tasks");
    let text = |name: &str| told.params()[name].as_str().unwrap().to_owned();
    (text("taskId"), text("status"))
}

/// The last state of a task may have a megabyte: a stream gets it once, and a new stream once again.
#[tokio::test]
async fn a_stream_is_told_each_state_of_a_task_once() {
    let (world, a, b) = EdgeWorld::two().await;
    let client = client();
    let first = wait_for_cats(&client, &a).await;
    let filter = |tasks: &[&str]| json!({ "taskIds": tasks });
    let mut stream = client.listen(&b.url, filter(&[&first])).await.unwrap();
    assert_eq!(
        told(&mut stream).await,
        (first.clone(), "working".to_owned())
    );
    hint(&world, &first).await;
    world.happens("cat").await;
    let completed = (first.clone(), "completed".to_owned());
    assert_eq!(
        told(&mut stream).await,
        completed,
        "and not once more how it stood"
    );
    let second = wait_for_cats(&client, &a).await;
    let both = filter(&[&first, &second]);
    let mut stream = client.listen(&b.url, both).await.unwrap();
    let mut begins = [told(&mut stream).await, told(&mut stream).await];
    begins.sort_by_key(|(_, status)| status.clone());
    assert_eq!(begins, [completed, (second.clone(), "working".to_owned())]);
    for _ in 0..3 {
        hint(&world, &first).await;
        hint(&world, &second).await;
    }
    world.happens("cat").await;
    assert_eq!(told(&mut stream).await, (second, "completed".to_owned()));
    assert!(stream.next(QUIET).await.is_err());
}

/// The client of a task would otherwise wait until its stream ends, for up to an hour.
#[tokio::test]
async fn a_stream_is_told_that_a_task_is_gone() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(
        1_790_000_000_000,
    )));
    let world = EdgeWorld::at(clock.clone()).await;
    let (node, client) = (world.node().await, client());
    let task = wait_for_cats(&client, &node).await;
    let filter = json!({ "taskIds": [task] });
    let mut stream = client.listen(&node.url, filter).await.unwrap();
    assert_eq!(
        told(&mut stream).await,
        (task.clone(), "working".to_owned())
    );
    clock.advance(Duration::from_secs(3 * 24 * 3600));
    hint(&world, &task).await;
    let end = stream.next(SOON).await.unwrap();
    let told = end.params();
    assert_eq!(
        (&told["taskId"], &told["status"]),
        (&json!(task), &json!("failed"))
    );
    let text = told["error"]["message"].as_str().unwrap();
    assert!(text.contains("no longer kept"), "{text}");
}

/// A call keeps its arguments until it ends, and a task for a day.
#[tokio::test]
async fn what_a_call_keeps_is_bounded_and_the_refusal_names_the_field() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let client = client();
    let arguments = json!({ "cursor": "x".repeat(64 << 10) });
    let refused = client
        .call_tool(&a.url, "wait_for_events", arguments)
        .await
        .unwrap();
    assert_eq!(refused["isError"], true, "{refused}");
    let text = refused["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("arguments: "), "{text}");
    let call = |more: Value| {
        let mut params = json!({ "name": "wait_for_events", "arguments": {} });
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        client.call(&a.url, "tools/call", params)
    };
    for (field, more) in [
        (
            "inputResponses",
            json!({ "inputResponses": { "a": "x".repeat(200 << 10) } }),
        ),
        ("other", json!({ "other": "x".repeat(200 << 10) })),
    ] {
        let refused = call(more).await.unwrap_err();
        assert_eq!(refused.code(), Some(-32602), "{refused}");
        assert!(refused.to_string().contains(field), "{refused}");
    }
    let filler =
        json!({ "extensions": { EXTENSION: {} }, "roots": { "own": "x".repeat(20 << 10) } });
    let large = ModernClient::with_capabilities(filler);
    let refused = large
        .call(&a.url, "tools/list", json!({}))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("clientCapabilities"),
        "{refused}"
    );
}
