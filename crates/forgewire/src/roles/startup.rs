//! What a role starts with.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;
use ports::{MirrorReads, ResourceFinder, ResourceReader};
use service_kit::{
    admin::HealthDetail,
    bodies::BodyBudget,
    descriptors::DescriptorPlan,
    http::{self, HttpLimits},
    lifecycle::{Lifecycle, OnExit},
    metrics::MetricsRegistry,
    request_threads::{RequestClass, RequestThreads},
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
    /// The connections that each listener may have.
    pub(crate) connections: &'a DescriptorPlan,
    /// The threads for the edge's clients, on which pages of the log are read too.
    pub(crate) client_threads: Option<RequestThreads>,
    /// The threads on which requests are served, for each listener.
    pub(crate) request_threads: Vec<RequestThreads>,
    /// The memory for the bodies of requests, which all roles of the process share.
    pub(crate) bodies: Arc<BodyBudget>,
    /// One for each role, by its name.
    pub(crate) listeners: BTreeMap<&'static str, TcpListener>,
    /// Makes the toolsets from outside the product that the edge offers too.
    pub(crate) toolsets: MakeToolsets,
    /// What each role shows in `/health`, by its name.
    pub(crate) details: Vec<(&'static str, HealthDetail)>,
    /// The sync role of this process, once it has started.
    pub(crate) local_resources: Option<Arc<dyn ResourceReader>>,
    /// Its mirror of GitHub's state.
    pub(crate) local_mirror: Option<Arc<dyn MirrorReads>>,
    /// The same, found by node ids.
    pub(crate) local_finder: Option<Arc<dyn ResourceFinder>>,
}

impl Startup<'_> {
    /// Takes the listener that was bound for a role.
    pub(crate) fn take_listener(&mut self, role: &str) -> anyhow::Result<TcpListener> {
        let listener = self.listeners.remove(role);
        listener.with_context(|| format!("no listener was bound for the role {role}"))
    }

    /// Serves HTTP until the process stops; if the server ends before, so does the process. Requests run on threads
    /// of their own, and streams on threads with the priority of this one.
    pub(crate) fn serve(
        &mut self,
        (name, class): (&'static str, RequestClass),
        listener: TcpListener,
        router: axum::Router,
        limits: HttpLimits,
    ) -> anyhow::Result<()> {
        self.on_threads_for(class, serving(name, listener, router, limits))
    }

    /// As [`Self::serve`], on the threads for the edge's clients.
    pub(crate) fn serve_clients(
        &mut self,
        name: &'static str,
        listener: TcpListener,
        router: axum::Router,
        limits: HttpLimits,
    ) -> anyhow::Result<()> {
        let threads = self.client_threads.take();
        let threads = threads.context("no threads were started for clients")?;
        self.on_threads(threads, serving(name, listener, router, limits));
        Ok(())
    }

    /// Starts what serves requests on threads of its own.
    pub(crate) fn on_threads_for(
        &mut self,
        class: RequestClass,
        start: impl FnOnce(&Lifecycle),
    ) -> anyhow::Result<()> {
        let threads = RequestThreads::start(class).context("starting the threads for requests")?;
        self.on_threads(threads, start);
        Ok(())
    }

    fn on_threads(&mut self, threads: RequestThreads, start: impl FnOnce(&Lifecycle)) {
        let entered = threads.enter();
        start(self.lifecycle);
        drop(entered);
        self.request_threads.push(threads);
    }
}

/// Starts a server of HTTP that ends the process when it ends.
fn serving(
    name: &'static str,
    listener: TcpListener,
    router: axum::Router,
    limits: HttpLimits,
) -> impl FnOnce(&Lifecycle) {
    move |lifecycle| {
        let serving = http::serve(listener, router, limits, lifecycle.clone());
        lifecycle.spawn(name, OnExit::EndsProcess, serving);
    }
}
