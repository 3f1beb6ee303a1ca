//! The connections over which a log asks the server.
//!
//! A connection carries its messages in order, and whatever follows a page of events on the same one, the hints of
//! new events above all, waits until the page is read. So a process whose clients search the log reads pages over a
//! connection of their own ([`JetStreamLog::reading_pages_over`]).

use std::{future::Future, iter};

use async_nats::jetstream::{Context, context::ContextBuilder, stream::Stream};
use ports::BoxError;
use tokio::{sync::watch, time::Instant};

use super::{JetStreamLog, stream::StreamNames};
use crate::{NatsConnection, NatsError, config::REQUEST_TIMEOUT, denials::NatsDenial};

/// Maximum number of unanswered messages over all appends of a handle; further messages wait.
pub(super) const MAX_IN_FLIGHT: usize = 4096;

/// A connection, and the stream as it is reached over it.
#[derive(Clone)]
pub(super) struct LogConnection {
    pub(super) connection: NatsConnection,
    pub(super) context: Context,
    pub(super) stream: Stream<()>,
}

impl LogConnection {
    pub(super) async fn new(
        connection: NatsConnection,
        names: &StreamNames,
    ) -> Result<Self, NatsError> {
        let context = ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .max_ack_inflight(MAX_IN_FLIGHT)
            .build(connection.client().clone());
        let no_info = context.get_stream_no_info(&names.stream).await;
        let stream = no_info.map_err(|error| names.refused(error))?;
        Ok(Self {
            connection,
            context,
            stream,
        })
    }
}

impl JetStreamLog {
    /// The same log for readers of many pages: pages come over `connection`, everything else over that of this
    /// handle. The log answers while both connections do.
    ///
    /// # Errors
    /// The driver refuses the stream's name.
    pub async fn reading_pages_over(&self, connection: NatsConnection) -> Result<Self, NatsError> {
        Ok(Self {
            pages: Some(LogConnection::new(connection, &self.names).await?),
            open: Default::default(),
            pages_read: Default::default(),
            ..self.clone()
        })
    }

    /// The connection over which pages come.
    pub(super) fn pages(&self) -> &LogConnection {
        self.pages.as_ref().unwrap_or(&self.main)
    }

    fn connections(&self) -> impl Iterator<Item = &NatsConnection> {
        let all = iter::once(&self.main).chain(&self.pages);
        all.map(|over| &over.connection)
    }

    /// Resolves once a connection was lost and is there again: answers to earlier requests do not arrive.
    pub(super) fn connected_again(&self) -> impl Future<Output = ()> + use<> {
        let mut of_pages = self.pages.as_ref().map(|over| over.connection.resyncs());
        let mut of_main = self.main.connection.resyncs();
        async move {
            tokio::select! {
                () = changed(&mut of_main) => {}
                () = async {
                    match &mut of_pages {
                        Some(resyncs) => changed(resyncs).await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
    }

    /// The reason, in the server's words, for which a call got no answer.
    pub(super) fn refusal_since(
        &self,
        began: Instant,
        concerns: impl Fn(&NatsDenial) -> bool,
    ) -> Option<BoxError> {
        let mut refusals = self
            .connections()
            .map(|connection| connection.refusal_since(began, &concerns));
        refusals.find_map(|refusal| refusal)
    }

    /// Whether the server refuses something that concerns the caller.
    pub(super) fn is_refused(&self, concerns: impl Fn(&NatsDenial) -> bool) -> bool {
        let mut standing = self
            .connections()
            .map(|connection| connection.denials().standing(&concerns));
        standing.any(|denials| !denials.is_empty())
    }

    /// The first denial since a time that concerns the caller, once those are here that the server has sent.
    pub(super) async fn denied_since(
        &self,
        began: Instant,
        concerns: impl Fn(&NatsDenial) -> bool,
    ) -> Option<NatsDenial> {
        for connection in self.connections() {
            let denial = connection.denials().since_then(began, &concerns).await;
            if denial.is_some() {
                return denial;
            }
        }
        None
    }

    /// Waits for a denial since a time that concerns the caller.
    pub(super) async fn next_denial(
        &self,
        began: Instant,
        concerns: impl Fn(&NatsDenial) -> bool,
    ) -> NatsDenial {
        let over_main = self.main.connection.denials();
        let Some(pages) = &self.pages else {
            return over_main.next_since(began, &concerns).await;
        };
        tokio::select! {
            denial = over_main.next_since(began, &concerns) => denial,
            denial = pages.connection.denials().next_since(began, &concerns) => denial,
        }
    }

    /// Forgets denials from before a time: each use that they concern has been tried since, and was allowed.
    pub(super) fn lifted(&self, before: Instant, concerns: impl Fn(&NatsDenial) -> bool) {
        for connection in self.connections() {
            connection.denials().lifted(before, &concerns);
        }
    }
}

/// Never resolves once the connection is closed.
pub(super) async fn changed(resyncs: &mut watch::Receiver<u64>) {
    if resyncs.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
