//! An edge that follows a script, and a watch in front of it.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode, header},
};
use event_watch::{WatchEnd, WatchError, WatchFilter, WatchOptions, run};
use futures_util::{StreamExt, stream};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// One answer of the edge.
pub(crate) enum Answer {
    /// A stream that ends.
    Stream(String),
    /// A stream that stays open.
    Open(String),
    /// A refusal, with headers and a body.
    Refusal(u16, &'static [(&'static str, &'static str)], String),
}

/// What a request said.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

#[derive(Clone)]
pub(crate) struct FakeEdge {
    pub(crate) url: String,
    script: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeEdge {
    /// An edge that gives these answers, the last of them for ever.
    pub(crate) async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let edge = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            asked: Arc::default(),
        };
        let app = Router::new().fallback(answer).with_state(edge.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        edge
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn options(&self, folder: &Path) -> WatchOptions {
        let filter = WatchFilter::parse("repo=acme/rocket").unwrap();
        let options = WatchOptions::new(&self.url, Some("fw_token"), &filter, folder.to_owned());
        options.unwrap().with_name("test").unwrap()
    }
}

async fn answer(State(edge): State<FakeEdge>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    edge.asked.lock().unwrap().push(Asked {
        query: parts.uri.to_string(),
        headers: parts.headers,
    });
    let next = {
        let mut script = edge.script.lock().unwrap();
        match script.len() {
            0 => Answer::Refusal(503, &[], String::new()),
            _ => script.pop_front().unwrap(),
        }
    };
    let stream = |body| {
        let answer = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
        answer.body(body).unwrap()
    };
    match next {
        Answer::Stream(text) => stream(Body::from(text)),
        Answer::Open(text) => {
            let first = stream::once(async move { Ok::<_, std::io::Error>(text) });
            stream(Body::from_stream(first.chain(stream::pending())))
        }
        Answer::Refusal(status, headers, body) => {
            let mut answer = Response::builder().status(StatusCode::from_u16(status).unwrap());
            for (name, value) in headers {
                answer = answer.header(*name, *value);
            }
            answer.body(Body::from(body)).unwrap()
        }
    }
}

/// The opening frames of a stream.
pub(crate) fn opening(cursor: &str) -> String {
    format!(": ok\nretry: 10\nid: {cursor}\nevent: connected\ndata: {{}}\n\n")
}

/// The frame of an event, whose id is its cursor.
pub(crate) fn event(id: &str) -> String {
    format!(
        "id: {id}\nevent: event\ndata: {{\"id\":\"{id}\",\"action\":\"opened\",\"resourceType\":\"issue\"}}\n\n"
    )
}

pub(crate) fn line(id: &str) -> String {
    format!("issue opened [id {id}]\n")
}

/// Watches until an end; what was written, and how it ended.
pub(crate) async fn watched(options: WatchOptions) -> (String, Result<WatchEnd, WatchError>) {
    let mut output = Vec::new();
    let ended = run(options, &mut output, CancellationToken::new()).await;
    (String::from_utf8(output).unwrap(), ended)
}

/// The position that the next watch would begin with.
pub(crate) fn kept(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("test.json")).unwrap_or_default()
}
