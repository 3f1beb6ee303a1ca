//! What became of an issue that its repository no longer has.

use github::{GithubAccess, GithubError, RestCall, RestRoute};
use model::ResourceId;
use serde::Deserialize;

use super::GithubLists;
use crate::limits::LIST_PATIENCE;

/// What GitHub says of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IssueFate {
    /// It is where it was.
    There,
    /// It was deleted; or transferred to where the credentials may not look.
    Deleted,
    /// It is in another repository, as another issue.
    Transferred,
}

#[derive(Deserialize)]
struct WrittenIssue {
    node_id: String,
}

impl GithubLists {
    /// Asks for an issue: one request. GitHub answers 410 for one that was deleted, 404 for one that it does not show, and
    /// leads to the new one after a transfer.
    ///
    /// # Errors
    /// Those of the client.
    pub(crate) async fn issue_fate(
        &self,
        (owner, repo): (&str, &str),
        (number, node_id): (u64, &ResourceId),
    ) -> Result<IssueFate, GithubError> {
        let access = GithubAccess::Owner(owner.to_owned());
        let number = number.to_string();
        let call = RestCall::new(RestRoute::ISSUE, access, &[owner, repo, &number]);
        match self
            .client
            .get::<WrittenIssue>(&call.patience(LIST_PATIENCE))
            .await
        {
            Ok(issue) if issue.node_id == node_id.as_str() => Ok(IssueFate::There),
            Ok(_) => Ok(IssueFate::Transferred),
            Err(GithubError::Gone { .. } | GithubError::NotFound { .. }) => Ok(IssueFate::Deleted),
            Err(error) => Err(error),
        }
    }
}
