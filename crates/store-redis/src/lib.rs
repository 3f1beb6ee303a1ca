//! Records, mailboxes, leases and budgets on Redis.
//!
//! A record, for instance a session, is a hash in a slot of its own, and each collection has an index
//! (`records`). A mailbox is five keys in one slot (`mailbox::scripts`), named by its session, with a time to live
//! of its own. A lease is one key (`leases`), and the account of a budget two (`budget`). Each change is one Lua script, so it is applied completely or not
//! at all.
//!
//! # Durability
//! With an append-only file and `appendfsync always`, acknowledged writes survive a `kill -9` of
//! Redis and a crash of the machine. With `everysec` about the last second can be lost, even to a
//! mere `kill -9` (observed with Redis 7.0: a write to the file waits behind an fsync in progress).
//! A failover to a replica can lose acknowledged changes as well. Sessions here are therefore data
//! that can be recreated: a client whose session is gone gets a 404, initialises anew, and resumes
//! events from its cursor. A lost task is unknown to the server, and its client has to request the
//! work again.

mod access_check;
mod budget;
mod budget_scripts;
mod check_scripts;
mod config;
mod connection;
mod error;
mod foreign_keys;
mod lease_scripts;
mod leases;
mod mailbox;
mod records;
mod refusal;
mod server_settings;
mod shared_keys;
mod store;
mod store_keys;

pub use config::RedisConfig;
pub use error::RedisError;
pub use server_settings::WeakRedisSetting;
pub use store::RedisSessionStore;
