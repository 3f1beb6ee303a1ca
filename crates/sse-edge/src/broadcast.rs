//! Messages to many clients, and the numbers of clients: what each edge does for the question of another.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use fanout::{announcement::Announcement, census::StreamCensus, hub::Hub, metrics::StreamKind};
use futures_util::{StreamExt, stream::FuturesUnordered};
use mcp::{connection::BroadcastMessage, lenient::null_as_default};
use model::{SessionId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    background::Background,
    broadcast_filter::BroadcastFilter,
    error::EdgeError,
    limits::{
        ANSWERS_WAIT, BROADCAST_WAIT, CONCURRENT_KEPT, KEPT_ANSWERS_WAIT, KEPT_WAIT,
        QUESTIONS_AT_ONCE,
    },
    peers::{AskedQuestion, AskedQuestions, EdgeAnswers, EdgePeers},
    session::{SendOutcome, Sessions},
};

/// A question of one edge to all.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
enum EdgeQuestion {
    /// How many clients are there? Answer: [`StreamCensus`].
    Census,
}

/// A broadcast on its way to the edges. Answer: [`BroadcastReport`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EdgeBroadcast {
    broadcast: Box<RawValue>,
    #[serde(default, deserialize_with = "null_as_default")]
    filter: BroadcastFilter,
    at: Timestamp,
    /// Whether it is stored, so that sessions take it from there.
    is_kept: bool,
}

/// What one edge did for a broadcast.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BroadcastReport {
    /// Clients whose connection has taken the message.
    pub(crate) delivered: u64,
    /// Clients that were connected when it was sent, at least as many as have taken it.
    pub(crate) connections: u64,
    /// Whether the time for this report was over before every client had taken the message or left: more of them
    /// may take it, and are not counted.
    #[serde(default)]
    pub(crate) is_sending: bool,
}

/// The sessions that take a broadcast from the store.
#[derive(Debug, Default)]
struct KeptDeliveries {
    delivered: AtomicU64,
    /// Whether one of them takes it later.
    is_behind: AtomicBool,
}

/// What answers the questions of other edges.
#[derive(Debug)]
pub(crate) struct Broadcasts {
    hub: Arc<Hub>,
    sessions: Arc<Sessions>,
    peers: Arc<EdgePeers>,
    background: Background,
}

impl Broadcasts {
    pub(crate) fn new(
        hub: &Arc<Hub>,
        sessions: &Arc<Sessions>,
        peers: &Arc<EdgePeers>,
        background: &Background,
    ) -> Self {
        Self {
            hub: Arc::clone(hub),
            sessions: Arc::clone(sessions),
            peers: Arc::clone(peers),
            background: background.clone(),
        }
    }

    /// The numbers of clients on each edge.
    pub(crate) async fn census(&self) -> EdgeAnswers<StreamCensus> {
        let question = serde_json::to_string(&EdgeQuestion::Census).expect("a question is JSON");
        let own = async { self.hub.census() };
        self.peers.ask(question, ANSWERS_WAIT, own).await
    }

    /// The name of this edge.
    pub(crate) fn edge(&self) -> &str {
        self.peers.name().as_str()
    }

    /// Sends a message to the clients of all edges; with `keeps` it is stored first for the sessions that are away.
    pub(crate) async fn send(
        self: &Arc<Self>,
        message: &RawValue,
        filter: BroadcastFilter,
        at: Timestamp,
        keeps: bool,
    ) -> Result<EdgeAnswers<BroadcastReport>, EdgeError> {
        if keeps {
            self.sessions.keep_broadcast(message, &filter, at).await?;
        }
        let broadcast = EdgeBroadcast {
            broadcast: message.to_owned(),
            filter,
            at,
            is_kept: keeps,
        };
        let question = serde_json::to_string(&broadcast).expect("a broadcast is JSON");
        let wait = if keeps {
            KEPT_ANSWERS_WAIT
        } else {
            ANSWERS_WAIT
        };
        let asking = self.peers.ask(question, wait, self.deliver(broadcast));
        Ok(asking.await)
    }

    /// Delivers a broadcast to the clients of this edge.
    async fn deliver(self: &Arc<Self>, sent: EdgeBroadcast) -> BroadcastReport {
        let wait = if sent.is_kept {
            KEPT_WAIT
        } else {
            BROADCAST_WAIT
        };
        let until = Instant::now() + wait;
        let EdgeBroadcast {
            broadcast,
            filter,
            at,
            is_kept,
        } = sent;
        let Ok(message) = BroadcastMessage::read(&broadcast, at) else {
            // Of a later version: nobody here gets it.
            return BroadcastReport {
                connections: self.hub.census().total,
                is_sending: true,
                ..BroadcastReport::default()
            };
        };
        let connected = self.hub.census().total;
        let announcement = Arc::new(Announcement::new(message));
        let through_mailbox =
            |kind| is_kept && matches!(kind, StreamKind::Session | StreamKind::Connection);
        self.hub.announce(&announcement, |member| {
            !through_mailbox(member.kind) && filter.fits(member)
        });
        let kept = Arc::new(KeptDeliveries::default());
        let delivering = async {
            if is_kept {
                let (this, count) = (Arc::clone(self), Arc::clone(&kept));
                // It goes on when the time for the report is over.
                let all = async move { this.deliver_kept(until, &count).await };
                return self.background.spawn(all).await.is_ok();
            }
            true
        };
        let both = async { tokio::join!(delivering, announcement.settled()) };
        let has_ended = match timeout_at(until, both).await {
            Ok((has_ended, ())) => has_ended,
            Err(_) => false,
        };
        let is_sending = !has_ended || kept.is_behind.load(Ordering::Acquire);
        if is_sending {
            debug!("some clients do not take a broadcast in time");
        }
        let delivered = announcement.delivered() + kept.delivered.load(Ordering::Acquire);
        BroadcastReport {
            delivered,
            // Clients may come and go meanwhile, and whoever has taken it was connected.
            connections: connected.max(delivered),
            is_sending,
        }
    }

    /// Delivers what is kept to the sessions whose streams are here; counts those that have it.
    async fn deliver_kept(&self, until: Instant, kept: &KeptDeliveries) {
        self.sessions.forget_kept().await;
        let ids = futures_util::stream::iter(self.hub.sessions());
        let mut delivering = ids
            .map(|id| self.deliver_kept_to(id, until))
            .buffer_unordered(CONCURRENT_KEPT);
        while let Some(outcome) = delivering.next().await {
            match outcome {
                Some(SendOutcome::Delivered) => {
                    kept.delivered.fetch_add(1, Ordering::AcqRel);
                }
                Some(SendOutcome::Stored) => kept.is_behind.store(true, Ordering::Release),
                None => {}
            }
        }
    }

    /// What became of the broadcast for a session; `None` if it is not for it.
    async fn deliver_kept_to(&self, id: SessionId, until: Instant) -> Option<SendOutcome> {
        let principal = self.hub.session_reader(&id)?;
        match self.sessions.take_kept(&id, &principal).await {
            Ok(mut stored) => Some(stored.pop()?.outcome(until).await),
            Err(error) => {
                debug!(%error, session = %id, "a session takes kept broadcasts later");
                Some(SendOutcome::Stored)
            }
        }
    }

    async fn answer(self: &Arc<Self>, asked: AskedQuestion) {
        let body = if let Ok(broadcast) = serde_json::from_str::<EdgeBroadcast>(&asked.body) {
            serde_json::to_string(&self.deliver(broadcast).await)
        } else {
            match serde_json::from_str(&asked.body) {
                Ok(EdgeQuestion::Census) => serde_json::to_string(&self.hub.census()),
                Err(error) => {
                    warn!(asker = %asked.asker, %error, "a question of another edge is not known here");
                    return;
                }
            }
        };
        let body = body.expect("numbers are JSON");
        self.peers.answer(&asked, body).await;
    }
}

/// Answers the questions of other edges. Runs until `stop`.
pub(crate) async fn answer_questions(
    broadcasts: Arc<Broadcasts>,
    AskedQuestions(mut asked): AskedQuestions,
    stop: CancellationToken,
) {
    let endless = async {
        let mut answering = FuturesUnordered::new();
        loop {
            let has_room = answering.len() < QUESTIONS_AT_ONCE;
            tokio::select! {
                Some(()) = answering.next() => {}
                question = asked.recv(), if has_room => match question {
                    Some(question) => answering.push(broadcasts.answer(question)),
                    None => return,
                },
            }
        }
    };
    stop.run_until_cancelled(endless).await;
}
