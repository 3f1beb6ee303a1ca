//! A connection that always reconnects, and detects that messages may have been lost.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr, connection::State};
use futures_util::StreamExt;
use ports::BoxError;
use role_keys::RoleTrust;
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, info, warn};

use crate::{
    NatsConfig, NatsError,
    config::{
        CLIENT_COMMANDS, CONNECT_TIMEOUT, PING_INTERVAL, RECONNECT_PAUSE, REQUEST_TIMEOUT,
        SUBSCRIPTION_MESSAGES,
    },
    credentials,
    denials::{Denials, NatsDenial},
    payload,
};

/// Interval of checks for losses without an event, because the driver's events can get lost as
/// well.
const LOSS_POLL: Duration = Duration::from_secs(1);

/// A connection to NATS, shared by its clones. It always reconnects; dropping the last clone closes
/// it.
#[derive(Clone)]
pub struct NatsConnection {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    prefix: String,
    /// Number of times that subscriptions were re-established after a loss.
    resyncs: watch::Receiver<u64>,
    watcher: AbortHandle,
    signals: Arc<Signals>,
    trust: RoleTrust,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl fmt::Debug for NatsConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConnection")
            .field("prefix", &self.inner.prefix)
            .finish_non_exhaustive()
    }
}

/// Signals from the driver's event callback to the watcher.
#[derive(Default)]
struct Signals {
    /// Reports of the driver that it dropped a message.
    slow_consumers: AtomicU64,
    /// What the server refuses.
    denials: Denials,
    changed: Notify,
}

impl NatsConnection {
    /// Connects; retries until `startup_timeout` has passed.
    ///
    /// # Errors
    /// The configuration is unusable, the credentials are refused, the server's messages are too small for
    /// events, or no server answers in time.
    pub async fn connect(config: NatsConfig) -> Result<Self, NatsError> {
        config.check()?;
        let signals = Arc::new(Signals::default());
        let (servers, options) = credentials::separate(&config.url, options(&config, &signals))?;
        let client = connect(&servers, options, config.startup_timeout).await?;
        payload::check(client.max_payload())?;
        payload::warn_if_small(client.max_payload());
        let (resynced, resyncs) = watch::channel(0);
        let watcher = tokio::spawn(watch_losses(client.clone(), Arc::clone(&signals), resynced));
        let watcher = watcher.abort_handle();
        let (prefix, trust) = (config.prefix, config.trust);
        Ok(Self {
            inner: Arc::new(Inner {
                client,
                prefix,
                resyncs,
                watcher,
                signals,
                trust,
            }),
        })
    }

    /// The rule by which messages and entries are believed.
    pub(crate) fn trust(&self) -> &RoleTrust {
        &self.inner.trust
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    /// A subject with this installation's prefix.
    pub(crate) fn subject(&self, name: &str) -> String {
        match self.inner.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}.{name}"),
        }
    }

    /// A stream name with this installation's prefix.
    pub(crate) fn stream_name(&self, name: &str) -> String {
        match self.inner.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}_{name}"),
        }
    }

    /// Largest body of an entry that the server takes now.
    pub(crate) fn max_body_bytes(&self) -> usize {
        payload::max_body_bytes(self.client().max_payload())
    }

    /// Refuses a server that came back with messages that are too small.
    pub(crate) fn check_payload(&self) -> Result<(), NatsError> {
        payload::check(self.client().max_payload())
    }

    /// Number of reports of the driver that it dropped a message, because a subscription had as many
    /// waiting as it may. Readers of the log find what was lost; a large number means that somebody floods
    /// the server, or that this process is overloaded.
    #[must_use]
    pub fn slow_consumers(&self) -> u64 {
        self.inner.signals.slow_consumers.load(Ordering::SeqCst)
    }

    /// What the server refuses.
    pub(crate) fn denials(&self) -> &Denials {
        &self.inner.signals.denials
    }

    /// The reason, in the server's words, for which a call got no answer: a permission or credentials that
    /// the server has refused since the call began.
    pub(crate) fn refusal_since(
        &self,
        began: Instant,
        concerns: impl Fn(&NatsDenial) -> bool,
    ) -> Option<BoxError> {
        if let Some(refused) = self.denials().refused_credentials() {
            return Some(refused.into());
        }
        self.denials().since(began, concerns).map(Into::into)
    }

    /// Sends all subscriptions again, over a new connection: the server has forgotten those that it refused.
    pub(crate) async fn connect_again(&self) {
        // The driver's task has ended with the connection otherwise.
        let _ = self.client().force_reconnect().await;
    }

    /// Number of the present connection: they are counted from 1.
    pub(crate) fn number(&self) -> u64 {
        self.client().statistics().connects.load(Ordering::SeqCst)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client().connection_state() == State::Connected
    }

    /// Increases each time that messages may have been lost and every subscription works again.
    pub(crate) fn resyncs(&self) -> watch::Receiver<u64> {
        let mut resyncs = self.inner.resyncs.clone();
        resyncs.mark_unchanged();
        resyncs
    }

    /// Waits until the server has processed everything that this connection has sent so far.
    pub(crate) async fn round_trip(&self) -> Result<(), BoxError> {
        round_trip(self.client()).await
    }
}

/// Sets every option whose default in the driver would be too long or unbounded.
fn options(config: &NatsConfig, signals: &Arc<Signals>) -> ConnectOptions {
    let signals = Arc::clone(signals);
    ConnectOptions::new()
        .name(&config.client_name)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .max_reconnects(None)
        .client_capacity(CLIENT_COMMANDS)
        .subscription_capacity(SUBSCRIPTION_MESSAGES)
        .reconnect_delay_callback(reconnect_pause)
        .event_callback(move |event| {
            record_driver_event(&signals, &event);
            std::future::ready(())
        })
}

/// No pause before the first attempt, then pauses that double.
fn reconnect_pause(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(2))
        .unwrap_or(u32::MAX)
        .min(10);
    match attempt {
        0 | 1 => Duration::ZERO,
        _ => (RECONNECT_PAUSE.0 * 2_u32.pow(doublings)).min(RECONNECT_PAUSE.1),
    }
}

fn record_driver_event(signals: &Signals, event: &Event) {
    match event {
        Event::Connected => {
            signals.denials.connected();
            info!("connected to NATS");
        }
        Event::ServerError(said) => signals.denials.server_error(said),
        Event::ClientError(said) => {
            signals.denials.client_error(said);
            debug!(event = %event, "NATS connection");
        }
        Event::Disconnected => warn!("connection to NATS lost; reconnecting"),
        Event::SlowConsumer(subscription) => {
            let count = signals.slow_consumers.fetch_add(1, Ordering::SeqCst) + 1;
            // The 1st, 2nd, 4th, 8th …: a client that floods the server does not flood the log.
            if count.is_power_of_two() {
                warn!(
                    count,
                    subscription, "dropped a message of NATS: more of them wait than may"
                );
            }
        }
        other => debug!(event = %other, "NATS connection"),
    }
    signals.changed.notify_one();
}

async fn connect(
    servers: &[ServerAddr],
    options: ConnectOptions,
    startup_timeout: Duration,
) -> Result<Client, NatsError> {
    let deadline = Instant::now() + startup_timeout;
    let mut attempt = 1;
    loop {
        let error = match options.clone().connect(servers).await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                return Err(NatsError::Refused {
                    source: error.into(),
                });
            }
            _ if Instant::now() >= deadline => {
                return Err(NatsError::Unreachable {
                    waited: startup_timeout,
                    source: error.into(),
                });
            }
            _ => {
                if attempt == 1 {
                    let seconds = startup_timeout.as_secs();
                    warn!(%error, "no NATS server answers at nats.url yet; trying for {seconds} s");
                }
                attempt += 1;
            }
        }
        sleep(reconnect_pause(attempt)).await;
    }
}

/// Turns lost connections and overflowing driver queues into one signal, sent once every
/// subscription works again: a reader that then reads the store finds everything published before
/// the signal, and receives everything published after it.
async fn watch_losses(client: Client, signals: Arc<Signals>, resynced: watch::Sender<u64>) {
    let seen = || {
        let connects = client.statistics().connects.load(Ordering::SeqCst);
        (connects, signals.slow_consumers.load(Ordering::SeqCst))
    };
    // The first connection is not a loss.
    let mut known = (1, 0);
    let mut max_payload = client.max_payload();
    loop {
        // A timeout is as good as a signal: either one only triggers the check.
        let _ = timeout(LOSS_POLL, signals.changed.notified()).await;
        let now = seen();
        if now == known {
            continue;
        }
        // The driver re-sends subscriptions before anything else, so one round trip proves them. If
        // it fails, the next check tries again.
        if round_trip(&client).await.is_ok() {
            known = now;
            let before = std::mem::replace(&mut max_payload, client.max_payload());
            if before != max_payload {
                payload::warn_if_small(max_payload);
                if let Err(error) = payload::check(max_payload) {
                    error!(%error, "no event can be stored");
                }
            }
            resynced.send_modify(|count| *count += 1);
        }
    }
}

/// Sends a message to an inbox of this connection. Unlike a request, it does not depend on other
/// subscribers.
async fn round_trip(client: &Client) -> Result<(), BoxError> {
    let echo = async {
        let inbox = client.new_inbox();
        let mut echo = client.subscribe(inbox.clone()).await?;
        client.publish(inbox, bytes::Bytes::new()).await?;
        echo.next().await.ok_or("the connection is closed")?;
        Ok::<_, BoxError>(())
    };
    timeout(REQUEST_TIMEOUT, echo).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stranger that publishes faster than this process reads.
    #[tokio::test]
    async fn what_the_driver_drops_is_counted() {
        let server = testkit::servers::NatsServer::start().unwrap();
        let connection = NatsConnection::connect(NatsConfig::new(server.url()));
        let connection = connection.await.unwrap();
        let mut resyncs = connection.resyncs();
        let _unread = connection.client().subscribe("flood").await.unwrap();
        for _ in 0..=SUBSCRIPTION_MESSAGES {
            let flood = connection.client().publish("flood", bytes::Bytes::new());
            flood.await.unwrap();
        }
        // Readers learn that something may be missing.
        let told = timeout(Duration::from_secs(10), resyncs.changed());
        told.await.unwrap().unwrap();
        assert!(connection.slow_consumers() > 0);
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        assert_eq!(reconnect_pause(1), Duration::ZERO);
        assert!(reconnect_pause(2) < reconnect_pause(3));
        assert_eq!(reconnect_pause(usize::MAX), RECONNECT_PAUSE.1);
    }
}
