//! Malformed requests on a socket, byte by byte: each gets the answer that the rules require, and
//! the edge serves the next client.

use std::time::Duration;

use reqwest::Url;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::world::*;

const JSON: &str =
    "content-type: application/json\r\naccept: application/json, text/event-stream\r\n";
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// Writes bytes, reads until the edge closes.
async fn send(node: &Node, bytes: &[u8]) -> String {
    let address = (node.url.host_str().unwrap(), node.url.port().unwrap());
    let mut socket = TcpStream::connect(address).await.unwrap();
    // The edge may answer and close before it has read everything.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = timeout(SOON, socket.read_to_end(&mut answer));
    let _ = reading.await.expect("the edge answers and closes");
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(method: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\
         {headers}\r\n{body}"
    )
}

fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).unwrap_or_default();
    status
        .parse()
        .unwrap_or_else(|_| panic!("no answer: {answer:?}"))
}

/// The JSON-RPC error in an answer: (code, id).
fn error(answer: &str) -> (i64, Value) {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer:?}"));
    assert_eq!(body["jsonrpc"], "2.0", "{answer:?}");
    (body["error"]["code"].as_i64().unwrap(), body["id"].clone())
}

async fn still_serves(node: &Node) {
    connect(node).await.ping(&node.url).await.unwrap();
}

#[tokio::test]
async fn a_session_header_that_could_not_be_ours_names_no_session() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let ours = connect(&a).await.session_id().unwrap().to_owned();
    let encoded = ours.replace('-', "%2d");
    let two = format!("{ours}\r\nmcp-session-id: other");
    let listed = format!("{ours}, {ours}");
    let long = "a".repeat(10_000);
    let dotted = format!("{ours}.*");
    for id in [
        &*encoded,
        &*two,
        &*listed,
        &*long,
        &*dotted,
        "%2e%2e%2f",
        "%00",
        "a\tb",
        ">",
        "\u{e9}",
        "\"\"",
        "",
    ] {
        for (method, body) in [("POST", PING), ("GET", ""), ("DELETE", "")] {
            let headers = format!("{JSON}mcp-session-id: {id}\r\n");
            let answer = send(&a, request(method, &headers, body).as_bytes()).await;
            assert_eq!(status(&answer), 404, "{method} {id:.40}: {answer}");
            assert_eq!(error(&answer).0, -32001, "{method} {id:.40}: {answer}");
        }
    }
    // Control characters that HTTP itself forbids in a header never reach our code.
    for control in ["\0", "\u{1}", "\u{7f}", "a\rb"] {
        let headers = format!("{JSON}mcp-session-id: {control}\r\n");
        let answer = send(&a, request("POST", &headers, PING).as_bytes()).await;
        assert_eq!(status(&answer), 400, "{control:?}: {answer}");
    }
    still_serves(&a).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_too_deep_or_ambiguous_is_refused_in_json_rpc() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let nested = |n: usize| {
        let (open, close) = ("[".repeat(n), "]".repeat(n));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{open}{close}}}}}"#)
    };
    let ping = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    let large = format!("{PING}{}", " ".repeat((4 << 20) + 1 - PING.len()));
    let bodies = [
        (large, 413, -32600),
        (nested(63), 400, -32600),
        (nested(10_000), 400, -32600),
        ("[".repeat(10_000), 400, -32600),
        (ping(&format!("\"{}\"", "a".repeat(257))), 400, -32600),
        (ping("null"), 400, -32600),
        (ping("1.5"), 400, -32600),
        (ping("1e300"), 400, -32600),
        (ping("9223372036854775808"), 400, -32600),
        (ping("[1]"), 400, -32600),
        (ping("1,\"id\":2"), 400, -32600),
        (ping("1,\"method\":\"initialize\""), 400, -32600),
        (ping("1,\"jsonrpc\":\"2.0\""), 400, -32600),
        (ping("1") + &ping("2"), 400, -32700),
        (PING.to_owned() + "\u{feff}", 400, -32700),
        ("\u{feff}\u{feff}".to_owned() + PING, 400, -32700),
        (String::new(), 400, -32700),
    ];
    let session = connect(&a).await.session_id().unwrap().to_owned();
    let headers = format!("{JSON}mcp-session-id: {session}\r\n");
    for (body, expected, code) in bodies {
        let answer = send(&a, request("POST", &headers, &body).as_bytes()).await;
        assert_eq!(status(&answer), expected, "{body:.60}: {answer}");
        assert_eq!(error(&answer), (code, Value::Null), "{body:.60}: {answer}");
    }
    for id in ["\"a\"", "-9223372036854775808", "9223372036854775807"] {
        let answer = send(&a, request("POST", &headers, &ping(id)).as_bytes()).await;
        assert!(
            answer.ends_with(&format!(r#""id":{id},"result":{{}}}}"#)),
            "{answer}"
        );
    }
    let deepest = send(&a, request("POST", &headers, &nested(62)).as_bytes()).await;
    assert_eq!(status(&deepest), 200);
    still_serves(&a).await;
}

#[tokio::test]
async fn a_rebound_name_is_refused_in_the_words_of_the_path() {
    let (_world, a, _b) = EdgeWorld::two().await;
    for host in [
        "evil.example",
        "localhost.evil.example:80",
        "10.0.0.1",
        "\u{e9}",
    ] {
        let rebound =
            request("POST", JSON, PING).replace("host: localhost", &format!("host: {host}"));
        let answer = send(&a, rebound.as_bytes()).await;
        assert_eq!(status(&answer), 403, "{host}: {answer}");
        assert_eq!(error(&answer), (-32600, Value::Null));
        assert!(!answer.to_ascii_lowercase().contains("access-control"));
        let answer = send(&a, rebound.replace("/mcp", "/events/recent").as_bytes()).await;
        assert_eq!(status(&answer), 403, "{host}: {answer}");
        assert!(answer.contains("application/problem+json") && answer.contains("host-refused"));
    }
    let other = request("POST", JSON, PING).replace("/mcp", "http://evil.example/mcp");
    assert_eq!(status(&send(&a, other.as_bytes()).await), 403);
    let twice = request("POST", &format!("{JSON}host: evil.example\r\n"), PING);
    assert!([400, 403].contains(&status(&send(&a, twice.as_bytes()).await)));
    for host in ["LOCALHOST", "127.0.0.1:3000", "[::1]"] {
        let local =
            request("POST", JSON, PING).replace("host: localhost", &format!("host: {host}"));
        assert_eq!(
            status(&send(&a, local.as_bytes()).await),
            400,
            "{host}: no session"
        );
    }
    let foreign = request(
        "POST",
        &format!("{JSON}origin: https://evil.example\r\n"),
        PING,
    );
    let answer = send(&a, foreign.as_bytes()).await;
    assert_eq!((status(&answer), error(&answer).0), (403, -32600));
}

#[tokio::test]
async fn heads_that_are_too_large_and_garbage_in_the_pipe_end_one_connection_only() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let session = connect(&a).await.session_id().unwrap().to_owned();
    let headers = format!("{JSON}mcp-session-id: {session}\r\n");
    let large = format!("{headers}x-large: {}\r\n", "x".repeat(64 << 10));
    let many: String = (0..1000).map(|n| format!("x-{n}: y\r\n")).collect();
    for headers in [large, format!("{headers}{many}")] {
        let answer = send(&a, request("POST", &headers, PING).as_bytes()).await;
        assert_eq!(status(&answer), 431, "{answer}");
    }
    // Two requests one after the other, then bytes that are no request.
    let ping = request("POST", &headers, PING).replace("connection: close\r\n", "");
    let answer = send(&a, format!("{ping}{ping}\0\u{1}garbage\r\n\r\n").as_bytes()).await;
    let statuses: Vec<_> = answer.matches("HTTP/1.1 ").collect();
    assert_eq!(statuses.len(), 3, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    // A body with two lengths is invalid.
    let lengths = request("POST", &format!("{headers}content-length: 3\r\n"), PING);
    assert_eq!(status(&send(&a, lengths.as_bytes()).await), 400);
    for nonsense in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\r\n\r\n",
    ] {
        assert_eq!(
            status(&send(&a, nonsense.as_bytes()).await),
            400,
            "{nonsense:?}"
        );
    }
    still_serves(&a).await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_answered_and_cut() {
    let (_world, a, _b) = EdgeWorld::two().await;
    let head = request("POST", JSON, "").replace("content-length: 0", "content-length: 1000");
    let answer = tokio::spawn({
        let url = a.url.clone();
        async move { slowly(&url, &head).await }
    });
    // Other clients are served meanwhile.
    still_serves(&a).await;
    let answer = answer.await.unwrap();
    assert_eq!(status(&answer), 408, "{answer}");
    assert_eq!(error(&answer), (-32600, Value::Null));
}

/// Sends a byte of the body every second; returns the answer that arrives instead.
async fn slowly(url: &Url, head: &str) -> String {
    let address = (url.host_str().unwrap(), url.port().unwrap());
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    writer.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let dripping = async {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        read = timeout(SOON * 3, reader.read_to_end(&mut answer)) => drop(read.expect("cut")),
        () = dripping => drop(reader.read_to_end(&mut answer).await),
    }
    String::from_utf8_lossy(&answer).into_owned()
}
