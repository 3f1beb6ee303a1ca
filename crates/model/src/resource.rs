//! The `github://` URIs that name resources.

use std::{borrow::Cow, fmt};

use crate::{
    ResourceType,
    github_name::{login, repository},
    limits::MAX_RESOURCE_URI_BYTES,
};

/// The collections of numbered resources in a repository, and the kinds that they hold. A kind that is not
/// listed has events but no URI of its own.
const COLLECTIONS: [(&str, ResourceType); 3] = [
    ("issues", ResourceType::ISSUE),
    ("pulls", ResourceType::PULL_REQUEST),
    ("milestones", ResourceType::MILESTONE),
];

/// A resource that clients read and subscribe to. Owner and repository are kept in lower case, because
/// GitHub compares them without case. Equivalent spellings of a URI (case, `%6F`, a slash at the end) are one
/// value, and [`Display`](fmt::Display) gives its canonical spelling.
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

const SCHEME: &str = "github://";

fn name(segment: &str, read: NameReader) -> Result<String, ResourceUriError> {
    read(segment).map_err(|_| ResourceUriError)
}

type NameReader = fn(&str) -> Result<String, crate::NameError>;

fn number(segment: &str) -> Result<u64, ResourceUriError> {
    if segment.is_empty() || !segment.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ResourceUriError);
    }
    segment.parse().map_err(|_| ResourceUriError)
}

/// A segment without percent-encoding (RFC 3986, "Percent-Encoding Normalization"). What is not visible ASCII
/// after decoding is in no name, nor is a slash or a percent sign.
fn decoded(segment: &str) -> Result<Cow<'_, str>, ResourceUriError> {
    if !segment.contains('%') {
        return Ok(Cow::Borrowed(segment));
    }
    let mut parts = segment.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.get(..2).ok_or(ResourceUriError)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let byte = u8::from_str_radix(digits, 16).map_err(|_| ResourceUriError)?;
        if !is_hex || !byte.is_ascii_graphic() || matches!(byte, b'/' | b'%') {
            return Err(ResourceUriError);
        }
        text.push(char::from(byte));
        text.push_str(&part[2..]);
    }
    Ok(Cow::Owned(text))
}

/// The segments after the scheme, decoded; the first, which names the collection, in lower case.
fn segments(uri: &str) -> Result<Vec<Cow<'_, str>>, ResourceUriError> {
    if uri.len() > MAX_RESOURCE_URI_BYTES {
        return Err(ResourceUriError);
    }
    let scheme = uri.get(..SCHEME.len()).ok_or(ResourceUriError)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(ResourceUriError);
    }
    let path = &uri[SCHEME.len()..];
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut segments: Vec<_> = path.split('/').map(decoded).collect::<Result<_, _>>()?;
    if segments.iter().any(|segment| segment.is_empty()) {
        return Err(ResourceUriError);
    }
    if let Some(collection) = segments.first_mut() {
        *collection = Cow::Owned(collection.to_ascii_lowercase());
    }
    Ok(segments)
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

    /// Parses a URI in any of its spellings.
    ///
    /// # Errors
    /// It names no resource of this server, or is longer than 256 bytes.
    pub fn parse(uri: &str) -> Result<Self, ResourceUriError> {
        let segments = segments(uri)?;
        let parts: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        match parts.as_slice() {
            ["events"] => Ok(Self::Events {
                owner: None,
                repo: None,
            }),
            ["events", owner] => Ok(Self::Events {
                owner: Some(name(owner, login)?),
                repo: None,
            }),
            ["events", owner, repo] => Ok(Self::Events {
                owner: Some(name(owner, login)?),
                repo: Some(name(repo, repository)?),
            }),
            ["projects", owner, n] => Ok(Self::Project {
                owner: name(owner, login)?,
                number: number(n)?,
            }),
            [collection, owner, repo, n] => {
                let mut known = COLLECTIONS.iter().map(|(known, _)| *known);
                Ok(Self::Numbered {
                    collection: known
                        .find(|known| known == collection)
                        .ok_or(ResourceUriError)?,
                    owner: name(owner, login)?,
                    repo: name(repo, repository)?,
                    number: number(n)?,
                })
            }
            _ => Err(ResourceUriError),
        }
    }

    /// The spelling of a URI by which resources are told apart; a URI of another scheme has only its own.
    #[must_use]
    pub fn canonical(uri: &str) -> Cow<'_, str> {
        match Self::parse(uri) {
            Ok(uri) => Cow::Owned(uri.to_string()),
            Err(_) => Cow::Borrowed(uri),
        }
    }

    /// The canonical spelling of a URI template such as `github://issues/{owner}/{repo}/{number}`, of which
    /// clients ask for completions; `None` if it is not one of this scheme.
    #[must_use]
    pub fn canonical_template(template: &str) -> Option<String> {
        let segments = segments(template).ok()?;
        Some(format!("{SCHEME}{}", segments.join("/")))
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_resource_are_one_uri_in_lower_case() {
        for (given, canonical) in [
            ("github://events", "github://events"),
            ("github://events/", "github://events"),
            ("GITHUB://Events", "github://events"),
            ("github://events/Octo", "github://events/octo"),
            ("github://events/%6Fcto/", "github://events/octo"),
            ("github://events/o/R", "github://events/o/r"),
            ("github://events/o/%52%2d1", "github://events/o/r-1"),
            ("github://issues/O/r/7", "github://issues/o/r/7"),
            ("github://%69ssues/O/r/%37", "github://issues/o/r/7"),
            ("github://pulls/o/r/8", "github://pulls/o/r/8"),
            ("github://milestones/o/r/1", "github://milestones/o/r/1"),
            ("github://projects/o/3", "github://projects/o/3"),
        ] {
            assert_eq!(ResourceUri::parse(given).unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let long_owner = format!("github://events/{}", "o".repeat(40));
        let long_repo = format!("github://events/o/{}", "r".repeat(101));
        for bad in [
            "",
            "http://x",
            "github:",
            "github://",
            "github://events//",
            "github:///events",
            "github://issues/o/r",
            "github://issues/o/r/x",
            "github://issues/o/r/-1",
            "github://issues/o/r/+1",
            "github://issues//r/1",
            "github://projects/o/r/1",
            "github://events/o/r/s",
            "github://events/o%2Fr",
            "github://events/%",
            "github://events/%6",
            "github://events/%+6",
            "github://events/%C3%A9",
            "github://events/o/..",
            "github://events?x=1",
            "github://issues/o/r/99999999999999999999999",
            "gith\u{fc}b://events",
            &long_owner,
            &long_repo,
        ] {
            assert!(ResourceUri::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_issues_pull_requests_milestones_and_projects_have_a_uri_by_number() {
        let of = |kind| ResourceUri::numbered(kind, "o", Some("r"), 7);
        let with_uri = ResourceType::KNOWN.iter().filter(|kind| of(kind).is_some());
        let names: Vec<_> = with_uri.map(ResourceType::as_str).collect();
        assert_eq!(names, ["issue", "pull_request", "milestone", "project"]);
        assert_eq!(of(&ResourceType::open("news_of_tomorrow")), None);
    }

    #[test]
    fn templates_are_compared_in_one_spelling() {
        let canonical = "github://issues/{owner}/{repo}/{number}";
        for given in [
            canonical,
            "GITHUB://ISSUES/{owner}/{repo}/{number}/",
            "github://issues/%7Bowner%7D/{repo}/{number}",
        ] {
            let template = ResourceUri::canonical_template(given);
            assert_eq!(template.as_deref(), Some(canonical));
        }
        for other in ["test://{a}", "github://events//", "github://%25%37b"] {
            assert_eq!(ResourceUri::canonical_template(other), None);
        }
    }

    proptest! {
        #[test]
        fn the_canonical_spelling_of_any_uri_is_its_own(uri in "(?i)github://[a-z%0-9/._-]{0,40}") {
            if let Ok(parsed) = ResourceUri::parse(&uri) {
                let canonical = parsed.to_string();
                prop_assert_eq!(ResourceUri::parse(&canonical), Ok(parsed));
            }
        }

        #[test]
        fn every_spelling_of_a_resource_is_the_resource(
            collection in prop::sample::select(vec!["issues", "pulls", "milestones"]),
            owner in "[a-z0-9-]{1,20}", repo in "[a-z0-9._-]{1,19}x", number in any::<u64>(),
            choices in prop::collection::vec(0..3_u8, 90), slash in any::<bool>(),
        ) {
            let canonical = format!("github://{collection}/{owner}/{repo}/{number}");
            let mut spelt = String::new();
            for (at, letter) in canonical.char_indices() {
                let is_delimiter = at < SCHEME.len() || letter == '/';
                match choices.get(at) {
                    Some(1) => spelt.push(letter.to_ascii_uppercase()),
                    Some(2) if !is_delimiter => spelt += &format!("%{:02X}", u32::from(letter)),
                    _ => spelt.push(letter),
                }
            }
            if slash {
                spelt.push('/');
            }
            let parsed = ResourceUri::parse(&spelt).map(|uri| uri.to_string());
            prop_assert_eq!(parsed, Ok(canonical));
        }
    }
}
