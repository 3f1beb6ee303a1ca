//! Broadcasts: every connected client once, exact counts, and what is kept for those who are away.

use model::StreamId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

/// Opens a stream whose client reads nothing after its beginning.
async fn unread(node: &Node, path: &str) -> TcpStream {
    let url = node.at(path);
    let address = (url.host_str().unwrap(), url.port().unwrap());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {SEES_ALL}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut begin = String::new();
    while !begin.contains("connectionId") {
        let mut part = [0; 512];
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "{begin}");
        begin.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    stream
}

#[tokio::test]
async fn a_broadcast_that_was_cut_says_so_and_which_edge_is_still_sending() {
    for (path, durable) in [("/events/stream", false), ("/mcp/sse", true)] {
        let (_world, a, b, _tokens) = two_with_tokens().await;
        let _stream = unread(&b, path).await;
        let message = json!({ "result": { "text": "x".repeat(200 << 10) } });
        let mut told = Value::Null;
        // Until the buffers between the edge and its client are full.
        for _ in 0..200 {
            let body = json!({ "message": message, "durable": durable });
            let (status, answer) = post(&a, "/mcp/sse/broadcast", OPERATES, body).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            told = answer;
            if told["missing"] != json!([]) {
                // The machine was too busy for its answer, which says nothing of its clients.
                continue;
            }
            if told["sentCount"] == 0 {
                break;
            }
            let counted = (&told["sentCount"], &told["complete"], &told["stillSending"]);
            assert_eq!(counted, (&json!(1), &json!(true), &json!([])), "{told}");
        }
        let sending = told["stillSending"].as_array().unwrap();
        assert_eq!(
            (&told["sentCount"], &told["complete"], sending.len()),
            (&json!(0), &json!(false), 1),
            "{path}: {told}"
        );
        // It answered: it is not missing, and the client is still connected.
        assert_eq!(
            (&told["missing"], &told["totalConnections"]),
            (&json!([]), &json!(1)),
            "{told}"
        );
    }
}

#[tokio::test]
async fn clients_that_leave_with_a_broadcast_were_connected() {
    let (_world, a, b, _tokens) = two_with_tokens().await;
    // For its sake the edge waits longer than the others stay.
    let _slow = unread(&b, "/events/stream").await;
    let message = json!({ "result": { "text": "x".repeat(200 << 10) } });
    let broadcast = async || {
        let body = json!({ "message": message });
        let (status, told) = post(&a, "/mcp/sse/broadcast", OPERATES, body).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        told
    };
    let mut rounds = 0;
    while broadcast().await["stillSending"] == json!([]) {
        rounds += 1;
        assert!(rounds < 200, "its buffers are never full");
    }
    let mut leaving = Vec::new();
    for _ in 0..3 {
        let mut stream = Connection::open(&b, Some(SEES_ALL)).await.stream;
        leaving.push(tokio::spawn(async move {
            let _ = stream.next_event(SOON).await;
        }));
    }
    let told = broadcast().await;
    let count = |name: &str| told[name].as_u64().unwrap();
    assert!(count("sentCount") <= count("totalConnections"), "{told}");
    for left in leaving {
        left.await.unwrap();
    }
}

#[tokio::test]
async fn a_broadcast_reaches_every_kind_of_client_once_on_both_edges_and_counts_them() {
    let (_world, a, b, _tokens) = two_with_tokens().await;
    let mut connection = Connection::open(&a, Some(SEES_ALL)).await;
    let mut events = sse::open(&b.at("/events/stream"), bearer(Some(READS)))
        .await
        .unwrap();
    assert_eq!(
        events.next_event(SOON).await.unwrap().event.as_deref(),
        Some("connected")
    );
    let (id, stream) = principals::session(&a, SEES_ALL).await;
    drop(stream);
    until("its first stream has ended", || async {
        a.open_streams("session") == 0
    })
    .await;
    let mut session = sse::open(&b.at("/mcp"), principals::headers(SEES_ALL, Some(&id)))
        .await
        .unwrap();
    until("both edges have their streams", || async {
        a.open_streams("connection") + b.open_streams("events") + b.open_streams("session") == 3
    })
    .await;
    let documented = json!({ "type": "mcp-notification", "result": { "message": "maintenance", "level": "warning" } });
    for (filter, count) in [
        (json!(null), 3),
        (json!({ "tokenTypes": ["team"] }), 2),
        (json!({ "tokenTypes": ["readonly"] }), 1),
        (json!({ "permissions": ["read", "send"] }), 2),
        (json!({ "permissions": ["admin"] }), 0),
        (json!({ "principal": "reader" }), 1),
    ] {
        let body = json!({ "message": documented, "filter": filter });
        let (status, told) = post(&a, "/mcp/sse/broadcast", OPERATES, body).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        assert_eq!(
            (&told["success"], &told["complete"]),
            (&json!(true), &json!(true)),
            "{told}"
        );
        assert_eq!(
            (&told["sentCount"], &told["totalConnections"]),
            (&json!(count), &json!(3)),
            "{filter}: {told}"
        );
    }
    for _ in 0..3 {
        let (name, data) = named(&mut connection.stream).await;
        assert_eq!(
            (name.as_str(), &data["result"]["message"]),
            ("mcp-notification", &json!("maintenance"))
        );
        let message = next(&mut session).await;
        assert_eq!(message.method(), "notifications/message");
        assert_eq!(message.params()["level"], "warning");
        assert_eq!(message.params()["data"]["message"], "maintenance");
        let frame = events.next_event(SOON).await.unwrap();
        assert_eq!(frame.event.as_deref(), Some("mcp-notification"));
        assert_eq!(frame.json().unwrap()["result"]["message"], "maintenance");
    }
    for stream in [&mut connection.stream, &mut session, &mut events] {
        quiet(stream).await;
    }
    for (token, status) in [
        (READS, StatusCode::FORBIDDEN),
        (SEES_ALL, StatusCode::FORBIDDEN),
    ] {
        let body = json!({ "message": documented });
        assert_eq!(post(&a, "/mcp/sse/broadcast", token, body).await.0, status);
        assert_eq!(get(&a, "/mcp/sse/stats", token).await.0, status);
    }
    for wrong in [
        json!({ "message": { "id": 1, "method": "ping" } }),
        json!({ "message": documented, "filter": { "tokenTypes": ["root"] } }),
        json!({ "message": documented, "filter": { "colour": "red" } }),
        json!({ "message": { "result": "x".repeat(300 << 10) } }),
    ] {
        let (status, problem) = post(&a, "/mcp/sse/broadcast", OPERATES, wrong).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::BAD_REQUEST, &json!("parameter-invalid"))
        );
    }
}

#[tokio::test]
async fn who_is_away_gets_a_durable_broadcast_later_and_once_and_only_what_came_after_its_beginning()
 {
    let (world, a, b, _tokens) = two_with_tokens().await;
    let note = |n: u64| json!({ "method": "notifications/test", "params": { "n": n } });
    let broadcast = async |n: u64, durable: bool, filter: Value| {
        let body = json!({ "message": note(n), "durable": durable, "filter": filter });
        let (status, told) = post(&b, "/mcp/sse/broadcast", OPERATES, body).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        told["sentCount"].as_u64().unwrap()
    };
    assert_eq!(broadcast(0, true, Value::Null).await, 0);
    let (id, stream) = principals::session(&a, SEES_ALL).await;
    drop(stream);
    until("its first stream has ended", || async {
        a.open_streams("session") == 0
    })
    .await;
    let headers = || principals::headers(SEES_ALL, Some(&id));
    assert_eq!(broadcast(1, true, Value::Null).await, 0);
    assert_eq!(broadcast(2, false, Value::Null).await, 0);
    assert_eq!(
        broadcast(3, true, json!({ "principal": "reader" })).await,
        0
    );
    let mut stream = sse::open(&a.at("/mcp"), headers()).await.unwrap();
    let number = async |stream: &mut SseStream| loop {
        let message = next(stream).await;
        if message.method() == "notifications/test" {
            return (message.params()["n"].as_u64().unwrap(), message.id.clone());
        }
    };
    assert_eq!(number(&mut stream).await.0, 1);
    until("the stream is there", || async {
        a.open_streams("session") == 1
    })
    .await;
    assert_eq!(broadcast(4, true, Value::Null).await, 1);
    let (n, last) = number(&mut stream).await;
    assert_eq!(n, 4);
    drop(stream);
    until("the stream has ended", || async {
        a.open_streams("session") == 0
    })
    .await;
    assert_eq!(broadcast(5, true, Value::Null).await, 0);
    let mut resumed = sse::resume(&b.at("/mcp"), headers(), &last.unwrap())
        .await
        .unwrap();
    assert_eq!(number(&mut resumed).await.0, 5);
    quiet(&mut resumed).await;
    let kept = model::SessionId::new("forgewire-broadcasts").unwrap();
    let stream = StreamId::new("kept").unwrap();
    assert_eq!(world.kept(&kept, &stream).await, 5);
    // What is kept is no session's.
    let body = json!({ "sessionId": kept, "message": { "jsonrpc": "2.0", "method": "n" } });
    assert_eq!(
        post(&a, "/mcp/sse/send", OPERATES, body).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn what_is_kept_is_bounded_and_who_misses_something_is_told_once() {
    let (world, a, _b, _tokens) = two_with_tokens().await;
    let (id, first) = principals::session(&a, SEES_ALL).await;
    let headers = || principals::headers(SEES_ALL, Some(&id));
    drop(first);
    until("its first stream has ended", || async {
        a.open_streams("session") == 0
    })
    .await;
    for n in 0..110_u64 {
        let message = json!({ "method": "notifications/test", "params": { "n": n } });
        let body = json!({ "message": message, "durable": true });
        assert_eq!(
            post(&a, "/mcp/sse/broadcast", OPERATES, body).await.0,
            StatusCode::OK
        );
    }
    let kept = model::SessionId::new("forgewire-broadcasts").unwrap();
    let stream = StreamId::new("kept").unwrap();
    assert_eq!(world.kept(&kept, &stream).await, 100);

    let mut stream = sse::open(&a.at("/mcp"), headers()).await.unwrap();
    let notice = loop {
        let message = next(&mut stream).await;
        if message.method().starts_with("notifications/") {
            break message;
        }
    };
    assert_eq!(
        notice.params()["logger"],
        "forgewire.messages",
        "{notice:?}"
    );
    assert_eq!(notice.params()["data"]["truncated"], true);
    let mut last = None;
    for n in 10..110_u64 {
        let message = next(&mut stream).await;
        assert_eq!(message.params()["n"], n);
        last = message.id.clone();
    }
    drop(stream);
    until("the stream has ended", || async {
        a.open_streams("session") == 0
    })
    .await;
    let resumed = sse::resume(&a.at("/mcp"), headers(), &last.unwrap()).await;
    no_message(&mut resumed.unwrap()).await;
    // One that came later misses nothing.
    let (_, mut later) = principals::session(&a, SEES_ALL).await;
    no_message(&mut later).await;
}

#[tokio::test]
async fn a_connected_session_for_which_no_broadcast_was_is_not_told_that_it_misses_some() {
    let (_world, a, _b, _tokens) = two_with_tokens().await;
    let (_, mut stream) = principals::session(&a, SEES_ALL).await;
    let first = stream.next_event(SOON).await.unwrap();
    assert_eq!(first.data.as_deref(), Some(""), "{first:?}");
    for n in 0..220_u64 {
        let message = json!({ "method": "notifications/test", "params": { "n": n } });
        let filter = json!({ "principal": "nobody" });
        let body = json!({ "message": message, "durable": true, "filter": filter });
        let (status, told) = post(&a, "/mcp/sse/broadcast", OPERATES, body).await;
        assert_eq!((status, &told["sentCount"]), (StatusCode::OK, &json!(0)));
    }
    quiet(&mut stream).await;
}

/// Nothing comes but the frame with which a stream opens.
async fn no_message(stream: &mut SseStream) {
    let first = stream.next_event(SOON).await.unwrap();
    assert_eq!(first.data.as_deref(), Some(""), "{first:?}");
    quiet(stream).await;
}
