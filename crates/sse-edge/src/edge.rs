//! The state shared by all routes.

use std::{sync::Arc, time::Duration};

use access::{Authenticator, PresentRights, Principal};
use event_flow::history::EventHistory;
use fanout::hub::Hub;
use mcp::{ProtocolVersion, Surface, profile::ServerInfo};
use mcp_server::{
    Caller, OfferRegistry, RateClass, RateLimited, RateLimiter, call_metrics::CallMetrics,
    caller::CallClient, cpu_turns::CpuTurns, offered_tools::OfferedTools, output::CallOutput,
};
use model::{Clock, FilterDefaults, IdSource, SessionId, TraceContext};
use service_kit::{
    audit::AuditLog, bodies::BodyBudget, http_metrics::HttpMetrics, proxies::TrustedProxies,
};

use crate::{
    answer_budget::AnswerBudget,
    background::Background,
    broadcast::Broadcasts,
    calls::{
        Calls, asking::RetryKeys, parked_sessions::ParkedSessions, posted_watch::PostedWatch,
        record::CallRecorder,
    },
    compression::AnswerCompression,
    health::EdgeHealthPage,
    origins::Origins,
    peers::EdgePeers,
    session::Sessions,
    shared_bytes::SharedBytes,
    store_clock::StoreClock,
    subscriptions::Subscriptions,
    tasks::{TaskTeller, Tasks},
    wake_wheel::WakeWheel,
};

/// The running edge.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) hub: Arc<Hub>,
    pub(crate) history: EventHistory,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) calls: Arc<Calls>,
    /// Where calls of sessions wait.
    pub(crate) parked: ParkedSessions,
    /// When answers that are waited for have to say something.
    pub(crate) wheel: Arc<WakeWheel>,
    /// Params and answers of batches that are worked on.
    pub(crate) batches: Arc<SharedBytes>,
    /// Lines that wait on NDJSON connections.
    pub(crate) lines: Arc<SharedBytes>,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) task_teller: Arc<TaskTeller>,
    pub(crate) peers: Arc<EdgePeers>,
    pub(crate) broadcasts: Arc<Broadcasts>,
    /// Seals the state that clients of the stateless era carry from one attempt to the next.
    pub(crate) retry_keys: Arc<RetryKeys>,
    /// The time by which all edges judge what they share.
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) auth: Arc<Authenticator>,
    pub(crate) origins: Origins,
    /// Refused hosts, origins and tokens.
    pub(crate) audit: Arc<AuditLog>,
    /// The proxies that name the addresses of clients.
    pub(crate) proxies: TrustedProxies,
    pub(crate) compression: AnswerCompression,
    /// Everything that MCP clients can call and read.
    pub(crate) registry: OfferRegistry,
    /// The registry's server info, shared by callers, and by the streams that send a farewell with it.
    pub(crate) server_info: Arc<ServerInfo>,
    pub(crate) surface: Surface,
    pub(crate) rates: Arc<RateLimiter>,
    pub(crate) call_metrics: CallMetrics,
    pub(crate) http_metrics: HttpMetrics,
    pub(crate) turns: Arc<CpuTurns>,
    /// Bytes of answers under way.
    pub(crate) answers: Arc<AnswerBudget>,
    pub(crate) background: Background,
    /// The memory for bodies, which all roles of the process share.
    pub(crate) bodies: Arc<BodyBudget>,
    pub(crate) max_body_bytes: usize,
    pub(crate) health_page: EdgeHealthPage,
    /// What filters mean where they do not say so themselves.
    pub(crate) filter_defaults: FilterDefaults,
    /// Path prefix of all routes; empty for none.
    pub(crate) base_path: String,
    /// Whether `/mcp/sse` takes a token in the query.
    pub(crate) has_query_tokens: bool,
    /// Whether the page for trying it is there.
    pub(crate) has_demo_page: bool,
}

impl Edge {
    /// Admits a request that uses a store or the log, or opens something that stays.
    ///
    /// # Errors
    /// The principal has reached its limit of such requests.
    pub(crate) fn admit(&self, principal: &Principal) -> Result<(), RateLimited> {
        let admitted = self.rates.admit(&principal.id, RateClass::Store);
        admitted.map(drop)
    }

    /// Admits a message of a session. One that this edge does not know costs a look into the store: names
    /// that were made up are bounded like other uses of it.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub(crate) fn admit_message(
        &self,
        principal: &Principal,
        session: &SessionId,
    ) -> Result<(), RateLimited> {
        match self.sessions.is_fresh(session) {
            true => Ok(()),
            false => self.admit(principal),
        }
    }

    /// What the stream of a call is written with.
    pub(crate) fn call_recorder(&self) -> CallRecorder {
        CallRecorder {
            calls: Arc::clone(&self.calls),
            sessions: Arc::clone(&self.sessions),
            background: self.background.clone(),
            parked: self.parked.clone(),
        }
    }

    /// What looks after the posted calls of sessions.
    pub(crate) fn posted_watch(&self) -> PostedWatch {
        PostedWatch {
            calls: Arc::clone(&self.calls),
            sessions: Arc::clone(&self.sessions),
            hub: Arc::clone(&self.hub),
            background: self.background.clone(),
        }
    }

    /// A caller without a session: the stateless era.
    pub(crate) fn caller(
        &self,
        principal: &Arc<Principal>,
        version: ProtocolVersion,
        client: CallClient,
        trace: Option<TraceContext>,
        output: CallOutput,
    ) -> Caller {
        Caller {
            principal: Arc::clone(principal),
            rights: PresentRights::new(Arc::clone(principal)),
            version,
            client: client.into(),
            trace,
            since: self.hub.position(),
            output,
            is_task: false,
            waits_until: None,
            began: self.clock.now(),
            ran_before: Duration::ZERO,
            parks: false,
            earlier: None,
            server: Arc::clone(&self.server_info),
            offered: OfferedTools::default(),
            rates: Arc::clone(&self.rates),
        }
    }
}
