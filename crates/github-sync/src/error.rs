//! Errors of the sync role.

use model::{Classified, ErrorClass};

/// The reason why the configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum SyncBuildError {
    /// A value out of range.
    #[error("sync.{key} is {given}, it has to be between {least} and {most}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// The configured value.
        given: u64,
        /// The smallest value.
        least: u64,
        /// The largest value.
        most: u64,
    },
    /// A repository that is not written as `owner/name`.
    #[error("sync.repositories has {given:?}, which is not owner/name")]
    Repository {
        /// The configured value.
        given: String,
    },
    /// An organization that cannot be a login.
    #[error("sync.organizations has {given:?}, which is not the login of an organization")]
    Organization {
        /// The configured value.
        given: String,
    },
    /// A URL to which no webhook can send.
    #[error("sync.webhook_url has {given:?}, which is not https://host/path")]
    WebhookUrl {
        /// The configured value.
        given: String,
    },
    /// A kind of resource that does not exist.
    #[error(
        "sync.resources has {given:?}, which is no kind of resource; use repositories, issues, pulls, milestones, labels, \
         releases, workflow_runs, projects, draft_issues, project_fields, project_views, project_items, pull_states or issue_links, or leave \
         it out for all"
    )]
    Resource {
        /// The configured value.
        given: String,
    },
    /// A kind of derived event that does not exist.
    #[error(
        "sync.derived has {given:?}, which is nothing that is told; use {}, or an empty list for nothing",
        crate::derived_kind::DerivedKind::ALL.map(crate::derived_kind::DerivedKind::as_str).join(", ")
    )]
    Derived {
        /// The configured value.
        given: String,
    },
}

impl Classified for SyncBuildError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// The reason why the client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not an address like `http://sync:3002`.
    #[error("sync.endpoint cannot be used")]
    Endpoint(#[source] service_kit::grpc::GrpcError),
}

impl Classified for ConnectError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// The gRPC server ended unexpectedly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport failed.
    #[error("the gRPC server failed")]
    Transport(#[source] tonic::transport::Error),
}

impl Classified for ServeError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}
