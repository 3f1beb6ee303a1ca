//! Tasks: any edge knows their state, and they belong to their owner alone.

use serde_json::{Value, json};
use testkit::mcp_client::ModernClient;

use super::world::*;

const EXTENSION: &str = "io.modelcontextprotocol/tasks";

pub(crate) fn client() -> ModernClient {
    ModernClient::with_capabilities(json!({ "extensions": { EXTENSION: {} } }))
}

/// A task that waits for an event of octo/cat.
pub(crate) async fn wait_for_cats(client: &ModernClient, node: &Node) -> String {
    let arguments = json!({ "filters": [{ "repo": "cat" }] });
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
