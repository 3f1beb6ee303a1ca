//! The state shared by all routes.

use std::sync::Arc;

use access::{Authenticator, PresentRights, Principal};
use event_flow::history::EventHistory;
use fanout::hub::Hub;
use http::HeaderMap;
use mcp::{ProtocolVersion, Surface, capability::ClientCapabilities, profile::ServerInfo};
use mcp_server::{Caller, OfferRegistry, RateLimiter, output::CallOutput};
use model::{IdSource, TraceContext};

use crate::{
    background::Background,
    calls::{Calls, asking::RetryKeys},
    origins::Origins,
    session::Sessions,
    store_clock::StoreClock,
    tasks::Tasks,
};

/// The running edge.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) hub: Arc<Hub>,
    pub(crate) history: EventHistory,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) tasks: Arc<Tasks>,
    /// Seals the state that clients of the stateless era carry from one attempt to the next.
    pub(crate) retry_keys: Arc<RetryKeys>,
    /// The time by which all edges judge what they share.
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) auth: Arc<Authenticator>,
    pub(crate) origins: Origins,
    /// Everything that MCP clients can call and read.
    pub(crate) registry: OfferRegistry,
    /// The registry's server info, shared by callers, and by the streams that send a farewell with it.
    pub(crate) server_info: Arc<ServerInfo>,
    pub(crate) surface: Surface,
    pub(crate) rates: Arc<RateLimiter>,
    pub(crate) background: Background,
    pub(crate) max_body_bytes: usize,
    /// Path prefix of all routes; empty for none.
    pub(crate) base_path: String,
}

impl Edge {
    /// A caller without a session: the stateless era.
    pub(crate) fn caller(
        &self,
        principal: &Arc<Principal>,
        version: ProtocolVersion,
        client: ClientCapabilities,
        trace: Option<TraceContext>,
        output: CallOutput,
    ) -> Caller {
        Caller {
            principal: Arc::clone(principal),
            rights: PresentRights::new(Arc::clone(principal)),
            version,
            session: None,
            client,
            trace,
            since: self.hub.position(),
            param_headers: HeaderMap::new(),
            asking: None,
            output,
            is_task: false,
            server: Arc::clone(&self.server_info),
            rates: Arc::clone(&self.rates),
        }
    }
}
