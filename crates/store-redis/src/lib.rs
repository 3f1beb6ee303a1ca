//! Session store on Redis.
//!
//! A session is one hash, `{prefix}session:{<id>}` (the braces are Redis Cluster's hash tag: all
//! keys of a session are in one slot), with the session as JSON, its revision, and the key's expiry
//! as its time to live. Each change is one Lua script, so it is applied completely or not at all.
//! An index of three keys, `{prefix}{sessions}:…`, lists and counts the sessions; its surplus
//! entries are checked against the sessions themselves (`index`, `bounds`).
//!
//! A mailbox is five more keys in the session's slot (`mailbox::scripts`), with the session's time
//! to live. A lock is one key of its own (`leases`). A record of any other kind is a hash
//! in a slot of its own (`records`).
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
mod bound_scripts;
mod bounds;
mod check_scripts;
mod config;
mod connection;
mod error;
mod foreign_keys;
mod index;
mod lease_scripts;
mod leases;
mod mailbox;
mod records;
mod refusal;
mod server_settings;
mod session_record;
mod session_scripts;
mod session_store;
mod shared_keys;
mod store;

pub use config::RedisConfig;
pub use error::RedisError;
pub use server_settings::WeakRedisSetting;
pub use store::RedisSessionStore;
