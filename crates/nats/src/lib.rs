//! Bus and JetStream event log on NATS.
//!
//! | type | is |
//! | --- | --- |
//! | [`NatsConnection`] | a connection that reconnects for ever, and knows when messages were lost |
//! | [`NatsBus`] | [`ports::Bus`] on core NATS: `mcp.broadcast`, `mcp.session.<id>` |
//! | [`JetStreamLog`] | [`ports::EventLog`] on one JetStream stream, `FORGEWIRE_EVENTS` |
//!
//! Works with nats-server 2.9 and later.
//!
//! # Durability, as it is
//! An append is acknowledged once the stream's leader (and with several replicas a majority) has
//! stored it. Whether that means "on the disk" is the server's setting, not ours: with
//! `sync_interval: always`, which exists from 2.10 on, every acknowledged event has been fsynced. A
//! server without it, so every 2.9, fsyncs about every two minutes: what it acknowledged survives
//! its own `kill -9` (the operating system has the pages) but not a power cut or a crash of the
//! machine, unless other replicas live on. In production use 2.10.23 or later, `always`, and three
//! replicas in three zones.
//!
//! # Secrets
//! Credentials in the URL (`nats://user:password@host`, `nats://token@host`) go to the server and
//! nowhere else: they are cut out before the driver, which logs addresses, sees the URL.

mod bus;
mod config;
mod connection;
mod credentials;
mod error;
mod log;

pub use bus::NatsBus;
pub use config::{BusConfig, LogConfig, NatsConfig};
pub use connection::NatsConnection;
pub use error::NatsError;
pub use log::JetStreamLog;
