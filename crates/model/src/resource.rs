//! What kinds of resource there are, and the `github://` URIs that name them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of GitHub resource; lower case with underscores on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceType {
    /// An issue.
    Issue,
    /// A pull request.
    PullRequest,
    /// A milestone.
    Milestone,
    /// A project (Projects v2).
    Project,
    /// A draft issue that lives in a project only.
    DraftIssue,
}

impl ResourceType {
    /// All kinds, in the order in which we list them to users.
    pub const ALL: [Self; 5] = [
        Self::Issue,
        Self::PullRequest,
        Self::Milestone,
        Self::Project,
        Self::DraftIssue,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::PullRequest => "pull_request",
            Self::Milestone => "milestone",
            Self::Project => "project",
            Self::DraftIssue => "draft_issue",
        }
    }

    /// Reads a name in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }

    /// The collection in a `github://` URI, for kinds that are addressed by number.
    const fn collection(self) -> Option<&'static str> {
        match self {
            Self::Issue => Some("issues"),
            Self::PullRequest => Some("pulls"),
            Self::Milestone => Some("milestones"),
            Self::Project => Some("projects"),
            Self::DraftIssue => None,
        }
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A resource that clients read and subscribe to. Owner and repository are kept in lower case, because
/// GitHub compares them without case.
///
/// | URI | is |
/// | --- | --- |
/// | `github://events` | every event |
/// | `github://events/{owner}` | the events of one owner |
/// | `github://events/{owner}/{repo}` | the events of one repository |
/// | `github://issues/{owner}/{repo}/{number}` | one issue; likewise `pulls`, `milestones` |
/// | `github://projects/{owner}/{number}` | one project |
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ResourceUri {
    /// The event log, whole or of one owner or repository.
    Events {
        /// Only this owner.
        owner: Option<String>,
        /// Only this repository of the owner.
        repo: Option<String>,
    },
    /// One issue, pull request or milestone.
    Numbered {
        /// Issue, pull request or milestone.
        kind: ResourceType,
        /// The repository's owner.
        owner: String,
        /// The repository.
        repo: String,
        /// Its number.
        number: u64,
    },
    /// One project of an organization or user.
    Project {
        /// Who owns it.
        owner: String,
        /// Its number.
        number: u64,
    },
}

/// A URI that names no resource of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a resource of this server; use github://events[/{{owner}}[/{{repo}}]], \
     github://issues|pulls|milestones/{{owner}}/{{repo}}/{{number}} or github://projects/{{owner}}/{{number}}"
)]
pub struct ResourceUriError;

/// Longest URI that we look at, in bytes: GitHub allows 39 for an owner and 100 for a repository.
const MAX_URI_BYTES: usize = 256;

fn name(segment: &str) -> Result<String, ResourceUriError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if segment.is_empty() || !segment.bytes().all(allowed) {
        return Err(ResourceUriError);
    }
    Ok(segment.to_ascii_lowercase())
}

fn number(segment: &str) -> Result<u64, ResourceUriError> {
    if segment.is_empty() || !segment.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ResourceUriError);
    }
    segment.parse().map_err(|_| ResourceUriError)
}

impl ResourceUri {
    /// Reads a URI.
    ///
    /// # Errors
    /// It is not one of ours, or longer than 256 bytes.
    pub fn parse(uri: &str) -> Result<Self, ResourceUriError> {
        if uri.len() > MAX_URI_BYTES {
            return Err(ResourceUriError);
        }
        let path = uri.strip_prefix("github://").ok_or(ResourceUriError)?;
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["events"] => Ok(Self::Events {
                owner: None,
                repo: None,
            }),
            ["events", owner] => Ok(Self::Events {
                owner: Some(name(owner)?),
                repo: None,
            }),
            ["events", owner, repo] => Ok(Self::Events {
                owner: Some(name(owner)?),
                repo: Some(name(repo)?),
            }),
            ["projects", owner, n] => Ok(Self::Project {
                owner: name(owner)?,
                number: number(n)?,
            }),
            [collection, owner, repo, n] => {
                let kind = ResourceType::ALL
                    .into_iter()
                    .find(|k| *k != ResourceType::Project && k.collection() == Some(collection))
                    .ok_or(ResourceUriError)?;
                let (owner, repo, number) = (name(owner)?, name(repo)?, number(n)?);
                Ok(Self::Numbered {
                    kind,
                    owner,
                    repo,
                    number,
                })
            }
            _ => Err(ResourceUriError),
        }
    }
}

impl fmt::Display for ResourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events { owner: None, .. } => f.write_str("github://events"),
            Self::Events {
                owner: Some(owner),
                repo: None,
            } => write!(f, "github://events/{owner}"),
            Self::Events {
                owner: Some(owner),
                repo: Some(repo),
            } => {
                write!(f, "github://events/{owner}/{repo}")
            }
            Self::Numbered {
                kind,
                owner,
                repo,
                number,
            } => {
                let collection = kind.collection().unwrap_or("items");
                write!(f, "github://{collection}/{owner}/{repo}/{number}")
            }
            Self::Project { owner, number } => write!(f, "github://projects/{owner}/{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_round_trip_in_lower_case() {
        for (given, canonical) in [
            ("github://events", "github://events"),
            ("github://events/Octo", "github://events/octo"),
            ("github://events/o/R", "github://events/o/r"),
            ("github://issues/O/r/7", "github://issues/o/r/7"),
            ("github://pulls/o/r/8", "github://pulls/o/r/8"),
            ("github://milestones/o/r/1", "github://milestones/o/r/1"),
            ("github://projects/o/3", "github://projects/o/3"),
        ] {
            assert_eq!(ResourceUri::parse(given).unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        for bad in [
            "",
            "http://x",
            "github://",
            "github://issues/o/r",
            "github://issues/o/r/x",
            "github://issues/o/r/-1",
            "github://issues/o/r/+1",
            "github://issues//r/1",
            "github://projects/o/r/1",
            "github://events/o/r/s",
            "github://issues/o/r/99999999999999999999999",
        ] {
            assert!(ResourceUri::parse(bad).is_err(), "{bad}");
        }
    }
}
