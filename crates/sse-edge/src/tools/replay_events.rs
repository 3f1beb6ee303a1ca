//! `replay_events`: what came after a cursor or a time, in order, without a hole; can wait for more.

use std::time::Duration;

use async_trait::async_trait;
use event_flow::query::{EventQuery, Order, QueryPage};
use mcp::{
    params::InputError,
    tool::{Annotations, CallParams, CallResult, ToolDescriptor},
};
use model::{Cursor, CursorScope, Sequence, Timestamp};

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{
    Tool, done,
    filters::{self, Events, FilterInput},
};
use crate::{
    fanout::hub::Begin,
    policy::{Policy, RateClass},
    protocol::{CallError, Caller},
};

const NAME: &str = "replay_events";
const DEFAULT_LIMIT: usize = 100;
const MAX_EVENTS: usize = 1000;
/// Below the 60 s after which the strictest balancers cut an answer that does not come.
pub(super) const MAX_WAIT_SECONDS: u64 = 50;

/// How often a waiting call says that it still waits, to a client that asked for progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Input {
    /// Go on after this cursor (of get_recent_events, replay_events, subscribe_to_events or the id of a
    /// frame of GET /events/stream).
    #[serde(default)]
    cursor: Option<String>,
    /// Only events received at or after this time (RFC 3339).
    #[serde(default)]
    from: Option<String>,
    /// Only events received before this time (RFC 3339).
    #[serde(default)]
    to: Option<String>,
    /// Any of these has to fit; none means every event.
    #[serde(default)]
    filters: Vec<FilterInput>,
    /// At most so many events (default 100).
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
    /// Wait up to so many seconds for an event if there is none yet (default 0).
    #[serde(default)]
    #[schemars(range(min = 0, max = 50))]
    wait_seconds: u64,
}

/// The tool.
pub(super) struct ReplayEvents;

#[async_trait]
impl Tool for ReplayEvents {
    fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor::new::<Input>(
            NAME,
            "Replay GitHub events",
            "GitHub events after a cursor or since a time, oldest first, without a hole. Give the cursor of \
             the answer to the next call. `truncated` says that events after the cursor are no longer kept.",
            Annotations::read_only(),
        )
        .with_output::<Events>()
    }

    fn policy(&self) -> Policy {
        Policy::read(RateClass::Wait)
    }

    async fn call(&self, caller: &Caller, call: &CallParams) -> Result<CallResult, CallError> {
        answer(caller, call.arguments()?).await
    }
}

pub(super) async fn answer(caller: &Caller, input: Input) -> Result<CallResult, CallError> {
    if input.wait_seconds > MAX_WAIT_SECONDS {
        let reason = format!("must be from 0 to {MAX_WAIT_SECONDS}");
        return Err(InputError::new("waitSeconds", &reason).into());
    }
    let (after, gone) = position(caller, input.cursor.as_deref()).await?;
    let mut question = EventQuery {
        filters: filters::read(&input.filters)?,
        after,
        from: time("from", input.from.as_deref())?,
        to: time("to", input.to.as_deref())?,
        order: Order::OldestFirst,
        limit: filters::limit(input.limit, DEFAULT_LIMIT, MAX_EVENTS)?,
    };
    let mut page = wait(caller, &mut question, gone, input.wait_seconds).await?;
    page.truncated |= gone;
    done(&Events::of(caller, page))
}

/// What fits the question, or the first thing that comes to fit it within so many seconds. Ends early
/// when the edge drains; the question then begins where the caller may go on.
pub(super) async fn wait(
    caller: &Caller,
    question: &mut EventQuery,
    gone: bool,
    wait_seconds: u64,
) -> Result<QueryPage, CallError> {
    let begun = Instant::now();
    let until = begun + Duration::from_secs(wait_seconds);
    let mut page = filters::ask(caller, question).await?;
    while page.events.is_empty() && !page.truncated && !gone && Instant::now() < until {
        question.after = page.through;
        let published = caller
            .edge
            .hub
            .published_after(page.through, |event| filters::fits(caller, question, event));
        let soon = until.min(Instant::now() + PROGRESS_INTERVAL);
        if timeout_at(soon, published).await.is_err() {
            let (waited, all) = (begun.elapsed().as_secs_f64(), wait_seconds as f64);
            caller
                .outlet
                .progress(waited, Some(all), Some("waiting for an event"))
                .await;
            continue;
        }
        page = filters::ask(caller, question).await?;
        if page.through == question.after {
            // Sent away: the edge drains.
            break;
        }
    }
    Ok(page)
}

/// The position of a cursor, and whether something after it is gone: it may be of a log that was replaced,
/// or of a part that the log lost.
pub(super) async fn position(
    caller: &Caller,
    cursor: Option<&str>,
) -> Result<(Sequence, bool), CallError> {
    let Some(cursor) = cursor else {
        return Ok((Sequence::START, false));
    };
    let scope = CursorScope::events(&caller.principal.id);
    let cursor = Cursor::parse(cursor, scope)
        .map_err(|error| InputError::new("cursor", &error.to_string()))?;
    Ok(caller.edge.hub.resolve(Begin::After(cursor)).await?)
}

fn time(field: &str, text: Option<&str>) -> Result<Option<Timestamp>, InputError> {
    let parse = |text| {
        Timestamp::parse(text).ok_or_else(|| {
            InputError::new(field, "use RFC 3339, for instance 2026-11-20T10:00:00Z")
        })
    };
    text.map(parse).transpose()
}
