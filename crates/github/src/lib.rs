//! GitHub's API: REST and GraphQL, of github.com or an Enterprise Server, within a budget that all replicas share.
//!
//! A call goes through these rooms, and no task of its own runs for it:
//!
//! | module | idea |
//! | --- | --- |
//! | `call`, `pages`, `query` | what a caller asks for: a resource, a list page by page, a query |
//! | `route`, `document` | the routes and queries that are known, which tests compare with GitHub's own descriptions |
//! | `client`, `plans` | a request made of it; credentials that GitHub refuses are renewed once |
//! | `credentials`, `installation`, `app_key`, `secret_file` | whose token it carries: of a file that may be rotated, or of an installation of an App, renewed by one caller ahead of its end |
//! | `exchange` | the attempts: budget, breaker, pauses |
//! | `throttle`, `quota`, `quota_left` | the shared budget, and what GitHub says of it |
//! | `breaker` | leaves a GitHub that fails alone for a while |
//! | `verdict`, `pace` | what an answer means, and how long the pauses are |
//! | `transport`, `api_url` | one request and its whole answer, on one server alone |
//! | `config`, `error`, `metrics`, `limits` | settings, failures with what helps, metrics, bounds |
//!
//! Deliberately absent: types of GitHub's resources. Callers read what they need; fields that a version of the API
//! lacks are theirs to leave out.

mod api_url;
mod api_version;
mod app_key;
mod breaker;
mod call;
mod client;
mod config;
mod credentials;
mod document;
mod error;
mod exchange;
mod graphql_error;
mod installation;
mod limits;
mod metrics;
mod pace;
mod pages;
mod plans;
mod query;
mod quota;
mod quota_left;
mod route;
mod secret_file;
mod throttle;
mod transport;
mod verdict;

pub use api_version::GithubApiVersion;
pub use breaker::BreakerState;
pub use call::{RestAnswer, RestCall, Validators};
pub use client::{GithubClient, GithubDeps};
pub use config::{GithubConfig, GithubConfigError, GithubIdentity};
pub use credentials::GithubAccess;
pub use document::GraphqlDocument;
pub use error::GithubError;
pub use graphql_error::GraphqlFault;
pub use metrics::{GithubMetrics, GithubResource};
pub use pace::GithubPace;
pub use pages::{PageAnswer, PageLink, RestPages};
pub use query::{ConnectionCursor, GraphqlAnswer, PageInfo, QueryCost};
pub use route::RestRoute;
pub use secret_file::SecretFault;
