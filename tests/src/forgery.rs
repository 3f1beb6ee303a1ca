//! Somebody who reaches a cluster's NATS and is none of its roles.

use std::sync::Arc;

use anyhow::{Context, Result};
use model::{RandomIds, Sequenced, SessionId, StoredEvent, SystemClock};
use nats::{BusConfig, JetStreamLog, LogConfig, NatsBus, NatsConfig, NatsConnection};
use ports::{Bus, BusMessage, EdgeNews, EventHint, EventLog, Topic};
use role_keys::{RoleKeys, RoleTrust};
use store_layers::StoredLog;
use testkit::cluster::System;

/// A client of a cluster's NATS, with the messages that a role would send.
#[derive(Debug)]
pub struct ForgedRole {
    bus: NatsBus,
    log: StoredLog<JetStreamLog>,
}

/// The trust of a process with one key.
fn trust(key: &str) -> Result<RoleTrust> {
    let keys = RoleKeys::read([key], &[])?.context("one key is given")?;
    Ok(RoleTrust::keyed(
        keys,
        None,
        Arc::new(SystemClock),
        &RandomIds,
    ))
}

/// The trust of a role of the cluster: its key is in `deploy/cluster.toml`.
pub(crate) fn role_trust(system: &System) -> Result<RoleTrust> {
    trust(&format!(
        "{}, and as long as a key has to be",
        system.secret()
    ))
}

impl ForgedRole {
    /// Connects, with a key of its own or with none.
    ///
    /// # Errors
    /// The cluster's NATS does not answer.
    pub async fn connect(system: &mut System, key: Option<&str>) -> Result<Self> {
        let trust = key.map_or_else(|| Ok(RoleTrust::none()), trust)?;
        let port = system.cluster().port("nats").context("NATS has a port")?;
        let config = NatsConfig {
            trust,
            ..NatsConfig::new(format!("nats://127.0.0.1:{port}"))
        };
        let connection = NatsConnection::connect(config).await?;
        let log = JetStreamLog::open(connection.clone(), LogConfig::default());
        let log = StoredLog::new(log.await?);
        let bus = NatsBus::new(connection, BusConfig::default());
        Ok(Self { bus, log })
    }

    /// Announces an event that the log does not have, at the place of the next one.
    ///
    /// # Errors
    /// NATS does not take it.
    pub async fn hint(&self, event: StoredEvent) -> Result<()> {
        let head = self.log.head().await?;
        let event = Sequenced {
            sequence: head.last.next(),
            item: event,
        };
        let hint = EventHint {
            epoch: head.epoch,
            events: vec![event],
        };
        let message = BusMessage::Events(Arc::new(hint));
        Ok(self.bus.publish(&Topic::Broadcast, message, None).await?)
    }

    /// Says that a session has ended.
    ///
    /// # Errors
    /// NATS does not take it.
    pub async fn end_session(&self, session: SessionId) -> Result<()> {
        let topic = Topic::Session(session.clone());
        let message = EdgeNews::SessionEnded(session).into();
        Ok(self.bus.publish(&topic, message, None).await?)
    }

    /// Writes an event into the log.
    ///
    /// # Errors
    /// NATS does not take it.
    pub async fn append(&self, event: StoredEvent) -> Result<()> {
        self.log.append(vec![event]).await?;
        Ok(())
    }
}
