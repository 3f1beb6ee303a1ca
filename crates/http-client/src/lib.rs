//! What our HTTP clients share: connections over HTTP/1.1 with TLS, bearer tokens that nothing shows, URLs of servers,
//! and pauses between attempts.
//!
//! Deliberately absent: requests, retries and their meaning, which differ from client to client.

mod backoff;
mod bearer;
mod connect;
mod server_url;

pub use backoff::Backoff;
pub use bearer::{BearerError, BearerToken};
pub use connect::{ConnectSettings, HttpClient, http_client, retry_after};
pub use server_url::{ServerUrlError, server_url, shows_token};
