//! The two ends of the bridge: a client and a server that follow the test.

use std::{collections::VecDeque, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode},
};
use futures_util::stream;
use serde_json::{Value, json};
use stdio_bridge::{BridgeError, BridgeOptions, run};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, duplex},
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Longest time for an expected effect.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// Silence after which a test concludes that nothing more will happen.
pub(crate) const QUIET: Duration = Duration::from_millis(150);

/// A request that has reached the server and has no response yet.
pub(crate) struct Asked {
    pub(crate) what: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    reply: oneshot::Sender<Response<Body>>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    pub(crate) fn answer(self, status: u16, headers: &[(&str, &str)], body: impl Into<Body>) {
        let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        // The client may have disconnected, which is fine.
        let _ = self.reply.send(response.body(body.into()).unwrap());
    }

    pub(crate) fn json(self, status: u16, body: &Value) {
        let headers = [("content-type", "application/json")];
        self.answer(status, &headers, body.to_string());
    }

    pub(crate) fn result(self, result: &Value) {
        let body = json!({ "jsonrpc": "2.0", "id": self.body["id"], "result": result });
        self.json(200, &body);
    }

    pub(crate) fn accepted(self) {
        self.answer(202, &[], Body::empty());
    }

    /// Answers with a stream of events that is open as long as the returned sender.
    pub(crate) fn stream(self) -> Events {
        let (events, queue) = mpsc::unbounded_channel::<String>();
        let body = stream::unfold(queue, |mut queue| async {
            let event = queue.recv().await?;
            Some((Ok::<_, std::io::Error>(Bytes::from(event)), queue))
        });
        let headers = [("content-type", "text/event-stream")];
        self.answer(200, &headers, Body::from_stream(body));
        Events(events)
    }
}

/// An open stream; dropping it ends it.
pub(crate) struct Events(mpsc::UnboundedSender<String>);

impl Events {
    pub(crate) fn raw(&self, text: &str) {
        self.0.send(text.to_owned()).unwrap();
    }

    pub(crate) fn message(&self, id: &str, message: &Value) {
        let id = if id.is_empty() {
            String::new()
        } else {
            format!("id: {id}\n")
        };
        self.raw(&format!("{id}data: {message}\n\n"));
    }

    /// Waits until the client has disconnected.
    pub(crate) async fn left(&self) {
        timeout(SOON, self.0.closed())
            .await
            .expect("the client disconnects");
    }
}

/// The fake server.
pub(crate) struct Server {
    asked: mpsc::UnboundedReceiver<Asked>,
    passed: VecDeque<Asked>,
}

impl Server {
    /// The next request of a kind: `GET`, `DELETE`, the JSON-RPC method, or `response`. Requests of
    /// other kinds stay queued.
    pub(crate) async fn asked(&mut self, what: &str) -> Asked {
        if let Some(at) = self.passed.iter().position(|asked| asked.what == what) {
            return self.passed.remove(at).unwrap();
        }
        let waiting = async {
            loop {
                let asked = self.asked.recv().await.unwrap();
                if asked.what == what {
                    return asked;
                }
                self.passed.push_back(asked);
            }
        };
        let found = timeout(SOON, waiting).await;
        found.unwrap_or_else(|_| panic!("no {what} came"))
    }

    /// Checks that no request of a kind arrives for a while.
    pub(crate) async fn quiet(&mut self, what: &str) {
        let found = timeout(QUIET, async {
            while let Some(asked) = self.asked.recv().await {
                if asked.what == what {
                    return;
                }
                self.passed.push_back(asked);
            }
        });
        assert!(found.await.is_err(), "{what} came");
    }
}

/// The fake client.
pub(crate) struct Client {
    input: DuplexStream,
    output: Lines<BufReader<DuplexStream>>,
    bridge: JoinHandle<Result<(), BridgeError>>,
    pub(crate) stop: CancellationToken,
}

impl Client {
    pub(crate) async fn says(&mut self, message: &Value) {
        self.writes(&format!("{message}\n")).await;
    }

    pub(crate) async fn writes(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn hears(&mut self) -> Value {
        let line = timeout(SOON, self.hears_whenever()).await;
        line.expect("a line comes")
    }

    /// Like [`Client::hears`], without a time limit.
    pub(crate) async fn hears_whenever(&mut self) -> Value {
        let line = self.output.next_line().await.unwrap();
        serde_json::from_str(&line.expect("stdout is open")).unwrap()
    }

    pub(crate) async fn hears_nothing(&mut self) {
        let line = timeout(QUIET, self.output.next_line()).await;
        assert!(line.is_err(), "{line:?}");
    }

    /// Closes stdin and waits for the end of the bridge.
    pub(crate) async fn ends(self) -> Vec<Value> {
        let Self {
            input,
            mut output,
            bridge,
            ..
        } = self;
        drop(input);
        let ended = timeout(SOON, bridge).await.expect("the bridge ends");
        ended.unwrap().unwrap();
        let mut rest = Vec::new();
        while let Some(line) = output.next_line().await.unwrap() {
            rest.push(serde_json::from_str(&line).unwrap());
        }
        rest
    }
}

impl Client {
    /// Closes stdin and reads nothing; whether the bridge ends. Each of its last steps takes up to two
    /// seconds then.
    pub(crate) async fn ends_unread(self) -> bool {
        let Self {
            input,
            output: _never_read,
            bridge,
            ..
        } = self;
        drop(input);
        timeout(2 * SOON, bridge).await.is_ok()
    }
}

/// Starts a bridge between a fake server and a fake client.
pub(crate) async fn both() -> (Server, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let (asked, queue) = mpsc::unbounded_channel();
    let app = Router::new().fallback(ask).with_state(asked);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let server = Server {
        asked: queue,
        passed: VecDeque::new(),
    };
    (server, client(&url))
}

pub(crate) fn client(url: &str) -> Client {
    let (input, stdin) = duplex(1 << 20);
    let (stdout, output) = duplex(1 << 20);
    let options = BridgeOptions::new(url, Some("fw_test")).unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let bridge = tokio::spawn(async move { run(&options, stdin, stdout, stopped).await });
    Client {
        input,
        output: BufReader::new(output).lines(),
        bridge,
        stop,
    }
}

async fn ask(
    State(queue): State<mpsc::UnboundedSender<Asked>>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let what = match parts.method.as_str() {
        "POST" => body["method"].as_str().unwrap_or("response").to_owned(),
        method => method.to_owned(),
    };
    assert_eq!(parts.headers["authorization"], "Bearer fw_test");
    let (reply, answer) = oneshot::channel();
    let headers = parts.headers;
    queue
        .send(Asked {
            what,
            headers,
            body,
            reply,
        })
        .unwrap();
    answer.await.unwrap_or_default()
}
