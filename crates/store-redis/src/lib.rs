//! Session store on Redis.
//!
//! A session is one hash, `{prefix}session:{<id>}` (the braces are Redis Cluster's hash tag:
//! whatever belongs to a session lives in one slot), with the session as JSON, its revision, and
//! the server's own expiry as its time to live. Each change is one Lua script, so it happens whole
//! or not at all. Beside them stands an index of three keys, `{prefix}{sessions}:…`, that lists and
//! counts them: what it says too much is checked against the sessions themselves (`index`, `bounds`).
//!
//! A mailbox is five more keys in the session's slot (`mailbox::scripts`), with the session's time to
//! live. A lock is one key of its own (`session_lock`). What belongs to an owner's tasks lies in a slot
//! of its own (`task_store`).
//!
//! # Durability, as it is
//! With an append-only file and `appendfsync always`, what Redis acknowledged survives its own `kill -9`
//! and the machine's. With `everysec` about the last second can be lost, to a mere `kill -9` too (seen
//! with Redis 7.0: a write of the file waits behind an fsync that is under way). A failover to a replica
//! can lose acknowledged changes as well. So sessions here are what can be made again: a client whose
//! session is gone gets a 404 and initialises anew, and resumes events from its cursor. A task that is
//! lost is unknown to its client, who has to ask for the work again.

mod bounds;
mod config;
mod connection;
mod error;
mod index;
mod mailbox;
mod port_error;
mod record;
mod scripts;
mod session_lock;
mod store;
mod task_store;

pub use config::RedisConfig;
pub use error::RedisError;
pub use store::RedisSessionStore;
