//! Bus and JetStream log on NATS.
//!
//! | type | purpose |
//! | --- | --- |
//! | [`NatsConnection`] | a connection that always reconnects, and detects that messages may have been lost |
//! | [`NatsBus`] | [`ports::Bus`] on core NATS: `mcp.broadcast`, `mcp.session.<id>`, `mcp.deliveries` |
//! | [`JetStreamLog`] | [`ports::LogStore`] on one JetStream stream, `FORGEWIRE_EVENTS` |
//!
//! Works with nats-server 2.9 and later.
//!
//! # Durability
//! An append is acknowledged once the stream's leader (and with several replicas a majority) has
//! stored it. Whether the event is then on the disk depends on the server's settings: with
//! `sync_interval: always`, which exists from 2.10 on, every acknowledged event has been fsynced. A
//! server without this setting, which includes every 2.9, fsyncs about every two minutes:
//! acknowledged events survive its own `kill -9` (the operating system holds the pages) but not a
//! power cut or a crash of the machine, unless other replicas stay up. In production use 2.10.23 or
//! later, `always`, and three replicas in three zones.
//!
//! From 2.12 on, a server that syncs each message gets concurrent appends as batches, which it syncs as a whole.
//!
//! # Size of messages
//! An event is one message of the log, and of the bus. A server that takes smaller messages than the
//! default (`max_payload`, 1 MiB) gets larger events without their `data`; below 128 KiB it is refused.
//!
//! # Trust
//! With keys of the roles ([`NatsConfig::trust`]), messages and entries carry a stamp, and what has none
//! is dropped, or skipped like an entry that does not decode. A stamp does not protect the stream from
//! being deleted, nor from entries that are removed: that takes permissions of the server.
//!
//! # Secrets
//! Credentials in the URL (`nats://user:password@host`, `nats://token@host`) are sent only to the
//! server: they are removed before the URL is passed to the driver, which logs addresses.

mod bus;
mod config;
mod connection;
mod credentials;
mod denials;
mod error;
mod log;
mod payload;
mod stamps;
mod trials;

pub use bus::NatsBus;
pub use config::{BatchUse, BusConfig, LogConfig, NatsConfig};
pub use connection::NatsConnection;
pub use error::NatsError;
pub use log::{JetStreamLog, SettingsChange};
