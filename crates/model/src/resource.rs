//! The kinds of resources, and the `github://` URIs that name them.

use std::fmt;

use crate::name::open_name;

open_name! {
    /// A kind of GitHub resource.
    ResourceType {
        /// An issue.
        ISSUE = "issue",
        /// A pull request.
        PULL_REQUEST = "pull_request",
        /// A milestone.
        MILESTONE = "milestone",
        /// A project (Projects v2).
        PROJECT = "project",
        /// A draft issue, which exists only in a project.
        DRAFT_ISSUE = "draft_issue",
    }
}

/// The collections of numbered resources in a repository, and the kinds that they hold. A kind that is not
/// listed has events but no URI of its own.
const COLLECTIONS: [(&str, ResourceType); 3] = [
    ("issues", ResourceType::ISSUE),
    ("pulls", ResourceType::PULL_REQUEST),
    ("milestones", ResourceType::MILESTONE),
];

/// A resource that clients read and subscribe to. Owner and repository are kept in lower case, because
/// GitHub compares them without case.
///
/// | URI | resource |
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
    /// One resource that has a number in its repository.
    Numbered {
        /// The collection that holds it: issues, pulls or milestones.
        collection: &'static str,
        /// The repository's owner.
        owner: String,
        /// The repository.
        repo: String,
        /// Its number.
        number: u64,
    },
    /// One project of an organization or user.
    Project {
        /// Login of the organization or user.
        owner: String,
        /// Its number.
        number: u64,
    },
}

/// The URI names no resource of this server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a resource of this server; use github://events[/{{owner}}[/{{repo}}]], \
     github://issues|pulls|milestones/{{owner}}/{{repo}}/{{number}} or github://projects/{{owner}}/{{number}}"
)]
pub struct ResourceUriError;

/// Maximum length of a URI in bytes: GitHub allows 39 for an owner and 100 for a repository.
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
    /// The URI of a resource by its number; `None` if this build does not know the kind, or does not
    /// address it by number.
    #[must_use]
    pub fn numbered(
        kind: &ResourceType,
        owner: &str,
        repo: Option<&str>,
        number: u64,
    ) -> Option<Self> {
        let owner = owner.to_ascii_lowercase();
        if *kind == ResourceType::PROJECT {
            return Some(Self::Project { owner, number });
        }
        let mut collections = COLLECTIONS.iter();
        let (collection, _) = collections.find(|(_, of)| of == kind)?;
        Some(Self::Numbered {
            collection,
            owner,
            repo: repo?.to_ascii_lowercase(),
            number,
        })
    }

    /// Parses a URI.
    ///
    /// # Errors
    /// It names no resource of this server, or is longer than 256 bytes.
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
                let mut known = COLLECTIONS.iter().map(|(known, _)| *known);
                Ok(Self::Numbered {
                    collection: known
                        .find(|known| known == collection)
                        .ok_or(ResourceUriError)?,
                    owner: name(owner)?,
                    repo: name(repo)?,
                    number: number(n)?,
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
                collection,
                owner,
                repo,
                number,
            } => write!(f, "github://{collection}/{owner}/{repo}/{number}"),
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
