//! State shared by all lines of a bridge.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
};

use mcp::{
    RequestId,
    line::{LineContext, LineKind},
};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{http::EndpointClient, limits::MAX_IN_FLIGHT, output::Output, replay::SessionReplay};

/// State shared by all lines.
#[derive(Debug)]
pub(crate) struct Bridge {
    pub(crate) http: EndpointClient,
    pub(crate) out: Output,
    pub(crate) known: Mutex<LineContext>,
    /// The facts needed to open a new session.
    pub(crate) replay: Mutex<SessionReplay>,
    /// Allows one task at a time to open a new session.
    pub(crate) reopening: tokio::sync::Mutex<()>,
    /// Number of the current session: a task that lost a session sees whether another has already
    /// opened the next one.
    pub(crate) generation: watch::Sender<u64>,
    pub(crate) running: Mutex<HashMap<RequestId, RunningRequest>>,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    pub(crate) following: AtomicBool,
    /// Ends the tasks without an end of their own: the session's stream, subscriptions.
    pub(crate) until_close: CancellationToken,
    /// Answers the running requests with an error.
    pub(crate) abandon: CancellationToken,
    /// Ends everything.
    pub(crate) stop: CancellationToken,
}

/// A running request.
#[derive(Debug, Clone)]
pub(crate) struct RunningRequest {
    pub(crate) kind: LineKind,
    pub(crate) cancel: CancellationToken,
}

impl Bridge {
    pub(crate) fn new(http: EndpointClient, out: Output) -> Self {
        let stop = CancellationToken::new();
        Self {
            http,
            out,
            known: Mutex::default(),
            replay: Mutex::default(),
            reopening: tokio::sync::Mutex::default(),
            generation: watch::Sender::new(0),
            running: Mutex::default(),
            permits: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
            tasks: TaskTracker::new(),
            following: AtomicBool::new(false),
            until_close: stop.child_token(),
            abandon: CancellationToken::new(),
            stop,
        }
    }
}
