//! The demo's MCP client: a session, a subscription, a stream; resumes after its last event.

use std::{sync::Arc, time::Duration};

use model::{Clock, SystemClock};
use reqwest::{
    Url,
    header::{HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use testkit::{
    mcp_client::McpClient,
    sse::{self, SseStream},
};
use tokio_util::sync::CancellationToken;

use super::{
    progress::{DemoProgress, say},
    state::{State, StateFile},
};

/// Longer than the heartbeat: silence beyond this means that the stream is dead.
const SILENCE: Duration = Duration::from_secs(60);
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Listens until `stop`, and prints what arrives.
pub(super) async fn listen(
    edge: Url,
    file: StateFile,
    shared: Arc<DemoProgress>,
    events: Option<usize>,
    stop: CancellationToken,
) {
    let mut state = file.load().unwrap_or_default();
    let mut arrived = 0;
    let endless = async {
        loop {
            match open(&edge, &mut state).await {
                Ok(mut stream) => {
                    file.save(&state);
                    shared.listening.notify_one();
                    while let Ok(frame) = stream.next_event(SILENCE).await {
                        let cursor = frame.id.as_deref();
                        let Some(event) = frame.json().and_then(event_of) else {
                            continue;
                        };
                        arrived += usize::from(print(&event, cursor, &mut state, &shared));
                        file.save(&state);
                        if events.is_some_and(|enough| arrived >= enough) {
                            shared.enough.cancel();
                        }
                    }
                }
                Err(error) => say(&format!("  the client cannot connect: {error:#}")),
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    };
    stop.run_until_cancelled(endless).await;
    file.save(&state);
}

/// Continues the session of the last run, or starts a new one.
async fn open(edge: &Url, state: &mut State) -> anyhow::Result<SseStream> {
    let mcp = edge.join("/mcp")?;
    if !state.session.is_empty() {
        let mut headers = HeaderMap::new();
        headers.insert("mcp-session-id", HeaderValue::from_str(&state.session)?);
        headers.insert(
            "mcp-protocol-version",
            HeaderValue::from_str(&state.version)?,
        );
        let last = state.last_event_id.as_deref().unwrap_or_default();
        if let Ok(stream) = sse::resume(&mcp, headers, last).await {
            say(&format!(
                "the client continues its session, after {} events",
                state.received
            ));
            return Ok(stream);
        }
    }
    let client = McpClient::connect(edge).await?;
    client
        .call_tool(edge, "subscribe_to_events", json!({}))
        .await?;
    state.session = client.session_id().unwrap_or_default().to_owned();
    state.version = client.version().to_owned();
    state.last_event_id = None;
    say("the client has a new session and is subscribed to every event");
    Ok(client.open_stream(edge, None).await?)
}

/// The resource event in a notification.
fn event_of(mut message: Value) -> Option<Value> {
    (message["params"]["logger"] == "github.events").then(|| message["params"]["data"].take())
}

/// Prints an event; returns whether it is new.
fn print(event: &Value, cursor: Option<&str>, state: &mut State, shared: &DemoProgress) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id = text(&event["id"]);
    let new = state.saw(&id, cursor);
    let posted = shared.posted.lock().remove(&id);
    let latency = match posted {
        Some(posted) => format!("{:.1} ms", posted.elapsed().as_secs_f64() * 1000.0),
        None => "from before".to_owned(),
    };
    let resource = &event["resource"];
    let number = resource["number"]
        .as_u64()
        .map(|number| format!(" #{number}"));
    let what = format!("{} {}", text(&event["action"]), text(&resource["title"]));
    let now = SystemClock.now().to_string();
    say(&format!(
        "  {}  {:<16} {:<40} {latency}{}",
        now.get(11..23).unwrap_or_default(),
        text(&event["resourceType"]) + &number.unwrap_or_default(),
        what.chars().take(40).collect::<String>(),
        if new { "" } else { "  (twice!)" }
    ));
    new
}
