//! What a role starts with.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;
use ports::ResourceReader;
use service_kit::{
    admin::HealthDetail,
    descriptors::Descriptors,
    http::{self, HttpLimits},
    lifecycle::{Lifecycle, OnExit},
    metrics::MetricsRegistry,
};
use tokio::net::TcpListener;

use crate::{backends::OpenBackends, config::Config, toolsets::MakeToolsets};

/// Everything that a role needs to start. One role can leave something to the next.
#[derive(Debug)]
pub(crate) struct Startup<'a> {
    pub(crate) config: &'a Config,
    pub(crate) backends: &'a OpenBackends,
    pub(crate) registry: &'a mut MetricsRegistry,
    pub(crate) lifecycle: &'a Lifecycle,
    pub(crate) descriptors: Descriptors,
    /// One for each role, by its name.
    pub(crate) listeners: BTreeMap<&'static str, TcpListener>,
    /// Makes the toolsets from outside the product that the edge offers too.
    pub(crate) toolsets: MakeToolsets,
    /// What each role shows in `/health`, by its name.
    pub(crate) details: Vec<(&'static str, HealthDetail)>,
    /// The sync role of this process, once it has started.
    pub(crate) local_resources: Option<Arc<dyn ResourceReader>>,
}

impl Startup<'_> {
    /// Takes the listener that was bound for a role.
    pub(crate) fn take_listener(&mut self, role: &str) -> anyhow::Result<TcpListener> {
        let listener = self.listeners.remove(role);
        listener.with_context(|| format!("no listener was bound for the role {role}"))
    }

    /// Serves HTTP until the process stops; if the server ends before, so does the process.
    pub(crate) fn serve(
        &self,
        name: &'static str,
        listener: TcpListener,
        router: axum::Router,
        limits: HttpLimits,
    ) {
        let serving = http::serve(listener, router, limits, self.lifecycle.clone());
        self.lifecycle.spawn(name, OnExit::EndsProcess, serving);
    }
}
