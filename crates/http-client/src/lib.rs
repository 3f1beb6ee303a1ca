//! What our HTTP clients share: connections over HTTP/1.1 with TLS, bearer tokens that nothing shows, URLs of servers,
//! proxies, pauses between attempts, what GitHub's API says of a refusal, and the text of others in lines of the log.
//!
//! Deliberately absent: requests, retries and their meaning, which differ from client to client.

mod backoff;
mod bearer;
mod connect;
mod github_message;
mod proxies;
mod quoted;
mod server_url;

pub use backoff::Backoff;
pub use bearer::{BearerError, BearerToken};
pub use connect::{ConnectSettings, HttpClient, http_client, http_client_through, retry_after};
pub use github_message::GithubMessage;
pub use proxies::{HttpProxies, ProxyError};
pub use quoted::quoted;
pub use server_url::{ServerUrlError, server_url, shows_token};
