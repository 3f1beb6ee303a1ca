//! What became of an issue that its repository no longer has.

use std::time::Duration;

use github::{GithubAccess, GithubError, RestCall, RestRoute};
use model::ResourceId;
use serde::Deserialize;

use super::GithubLists;

/// What GitHub says of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IssueFate {
    /// It is where it was.
    There,
    /// It was deleted; or transferred to where the credentials may not look.
    Deleted,
    /// It is in another repository, as another issue.
    Transferred,
    /// The repository shows none of its issues: the feature is switched off.
    SwitchedOff,
}

#[derive(Deserialize)]
struct WrittenIssue {
    node_id: String,
    number: u64,
    repository_url: String,
}

impl WrittenIssue {
    /// Whether it is another one than that which was asked for. Its node id alone does not say so: GitHub has two forms
    /// of them. Nor does its repository alone, which may have been renamed.
    fn is_other(&self, (owner, repo): (&str, &str), (number, node_id): (u64, &str)) -> bool {
        let mut address = self.repository_url.rsplit('/');
        let is = |part: Option<&str>, name: &str| {
            part.is_some_and(|part| part.eq_ignore_ascii_case(name))
        };
        let is_here = is(address.next(), repo) && is(address.next(), owner);
        self.node_id != node_id && !(is_here && self.number == number)
    }
}

impl GithubLists {
    /// Asks for an issue: one request, which waits for nothing. GitHub answers 410 for one that was deleted and for all of a repository whose
    /// issues are switched off, 404 for one that it does not show, and leads to the new one after a transfer.
    ///
    /// # Errors
    /// Those of the client.
    pub(crate) async fn issue_fate(
        &self,
        (owner, repo): (&str, &str),
        (number, node_id): (u64, &ResourceId),
    ) -> Result<IssueFate, GithubError> {
        let access = GithubAccess::Owner(owner.to_owned());
        let text = number.to_string();
        let call = RestCall::new(RestRoute::ISSUE, access, &[owner, repo, &text]);
        // One attempt: five of them for an issue that GitHub cannot show would open the circuit breaker for all others.
        let call = call.patience(Duration::ZERO);
        match self.client.get::<WrittenIssue>(&call).await {
            Ok(issue) if issue.is_other((owner, repo), (number, node_id.as_str())) => {
                Ok(IssueFate::Transferred)
            }
            Ok(_) => Ok(IssueFate::There),
            Err(GithubError::Gone { status, said, .. })
                if status == 410 && said.to_ascii_lowercase().contains("disabled") =>
            {
                Ok(IssueFate::SwitchedOff)
            }
            Err(GithubError::Gone { status: 410, .. } | GithubError::NotFound { .. }) => {
                Ok(IssueFate::Deleted)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_issue_has_another_node_id_and_another_place() {
        let answer = |node_id: &str, number, repo: &str| WrittenIssue {
            node_id: node_id.to_owned(),
            number,
            repository_url: format!("https://api.github.com/repos/{repo}"),
        };
        let is_other = |issue: WrittenIssue| issue.is_other(("octo", "cat"), (7, "I_7"));
        assert!(!is_other(answer("I_7", 7, "octo/cat")));
        // The other form of its node id; and its repository has a new name, or is written in another case.
        assert!(!is_other(answer("MDU6SXNzdWU3", 7, "Octo/Cat")));
        assert!(!is_other(answer("I_7", 7, "octo/lion")));
        assert!(is_other(answer("I_9", 7, "octo/lion")));
        assert!(is_other(answer("I_9", 7, "apex/cat")));
        assert!(is_other(answer("I_9", 9, "octo/cat")));
    }
}
