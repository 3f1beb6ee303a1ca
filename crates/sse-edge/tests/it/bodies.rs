//! Bodies that are held back: their memory has a bound on all surfaces together, and honest requests are served.

use std::time::Duration;

use serde_json::json;
use service_kit::limits::BODY_BUDGET_BYTES;
use testkit::mcp_client::ModernClient;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    task::JoinHandle,
    time::timeout,
};

use super::world::*;

const MIB: usize = 1 << 20;
/// Bodies of strangers: twice what large bodies may hold.
const WITHHELD: usize = 100;
/// Well below the time that a body may take.
const AT_ONCE: Duration = Duration::from_secs(8);

/// Sends all of a body but its last byte to a path, and waits for the answer.
fn withhold(node: &Node, path: &str, headers: &str, bytes: usize) -> JoinHandle<String> {
    let address = node.url.socket_addrs(|| None).unwrap()[0];
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}\
         content-length: {bytes}\r\n\r\n"
    );
    tokio::spawn(async move {
        // Strangers have another address than the honest clients.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.66:0".parse().unwrap()).unwrap();
        let mut socket = socket.connect(address).await.unwrap();
        let piece = vec![b' '; 64 << 10];
        let writing = async {
            socket.write_all(head.as_bytes()).await?;
            let mut left = bytes - 1;
            while left > 0 {
                let size = left.min(piece.len());
                socket.write_all(&piece[..size]).await?;
                left -= size;
            }
            Ok::<_, std::io::Error>(())
        };
        // The edge may answer and close before it has read everything.
        let _ = writing.await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    })
}

fn held(node: &Node) -> usize {
    let bytes = |size| node.metric(&format!("forgewire_body_bytes{{size=\"{size}\"}}"));
    usize::try_from(bytes("small") + bytes("large")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_held_back_take_no_more_than_the_budget() {
    let world = EdgeWorld::new().await;
    let node = world.node().await;
    let paths = [
        "/mcp",
        "/messages?sessionId=x",
        "/mcp/sse/send",
        "/mcp/stream",
    ];
    let strangers: Vec<_> = (0..WITHHELD)
        .map(|n| withhold(&node, paths[n % paths.len()], "", 4 * MIB))
        .collect();
    until("strangers hold what they can send", || async {
        held(&node) > BODY_BUDGET_BYTES / 4
    })
    .await;
    // A small and a large request, meanwhile.
    let honest = async {
        let client = connect(&node).await;
        client.ping(&node.url).await.unwrap();
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": { "filler": "x".repeat(MIB) } });
        let posted = reqwest::Client::new()
            .post(node.at("/mcp"))
            .header("mcp-session-id", client.session_id().unwrap())
            .header("accept", "application/json, text/event-stream")
            .json(&message);
        posted.send().await.unwrap().status().as_u16()
    };
    let served = timeout(SOON * 3, honest).await;
    assert_eq!(served.expect("it is served"), 200);
    let watching = async {
        for stranger in strangers {
            while !stranger.is_finished() {
                assert!(held(&node) <= BODY_BUDGET_BYTES);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let answer = stranger.await.unwrap();
            assert!(!answer.contains("HTTP/1.1 202"), "{answer}");
        }
    };
    timeout(SOON * 3, watching)
        .await
        .expect("each of them is given up");
    until("all memory is free", || async { held(&node) == 0 }).await;
    let metrics = node.metrics();
    let given_up = metrics
        .lines()
        .filter(|line| line.starts_with("forgewire_bodies_given_up_total{"));
    let counts = given_up.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
    assert!(counts.sum::<usize>() >= WITHHELD, "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_body_that_does_not_end_says_why_and_closes() {
    let world = EdgeWorld::new().await;
    let node = world.node().await;
    for (path, code) in [("/mcp", "-32600"), ("/mcp/sse/send", "body-stalled")] {
        // Large, and without its end: it is given up before its time is over.
        let answer = timeout(AT_ONCE, withhold(&node, path, "", MIB)).await;
        let answer = answer.expect("it is given up").unwrap();
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(
            answer.contains(code) && answer.contains("too slowly"),
            "{answer}"
        );
    }
    for (path, code) in [("/mcp", "-32600"), ("/mcp/sse/send", "body-too-large")] {
        let answer = withhold(&node, path, "", 4 * MIB + 1).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.contains(code), "{answer}");
    }
}

/// A line of NDJSON is a body too.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_line_that_does_not_end_is_told() {
    let world = EdgeWorld::new().await;
    let node = world.node().await;
    let answer = timeout(AT_ONCE, withhold(&node, "/mcp/stream", "", MIB)).await;
    let answer = answer.expect("it is given up").unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("too slowly"),
        "{answer}"
    );
    assert_eq!(held(&node), 0);
}

/// Without this, calls that wait would hold arguments of any size, one for each.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_holds_nothing_of_its_body() {
    let world = EdgeWorld::new().await;
    let node = world.node().await;
    let filler = " ".repeat(2 * MIB);
    let wait = |filter: &str| {
        let arguments = json!({ "maxWaitSeconds": 50, "filters": [{ "repo": filter }] });
        let params = json!({ "name": "wait_for_events", "arguments": arguments });
        let message = ModernClient::new().message("tools/call", params);
        let post = reqwest::Client::new()
            .post(node.at("/mcp"))
            .headers(ModernClient::headers(&message))
            .header("content-type", "application/json")
            .body(format!("{filler}{message}"));
        tokio::spawn(async move { post.send().await.map(|answer| answer.status()) })
    };
    let (cat, dog) = (wait("cat"), wait("dog"));
    // Both arrive, are read, and wait: a filter and its one field, of each.
    let is_waiting = || async {
        // The gauge is set with each event.
        world.happens("other").await;
        node.metric("forgewire_edge_match_cost") == 2 * 2
    };
    until("both calls wait", is_waiting).await;
    until("their bodies are dropped", || async { held(&node) == 0 }).await;
    world.happens("cat").await;
    assert_eq!(cat.await.unwrap().unwrap(), 200);
    assert_eq!(held(&node), 0);
    dog.abort();
}
